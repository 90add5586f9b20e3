"""From samples to batches: samplers, workers, and a training loader that can be resumed."""
