"""Checkpoints, and everything else by which a stopped command is resumed."""
