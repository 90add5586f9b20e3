"""What a run leaves in numbers: curves, metrics, tables, predictions."""
