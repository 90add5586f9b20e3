"""Records of a run: configuration, curves, metrics, tables, predictions."""
