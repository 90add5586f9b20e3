"""Training, testing and predicting: LightningCLI over a merged configuration, one folder a run."""
