"""Checkpoints and what a stopped run needs to be resumed."""
