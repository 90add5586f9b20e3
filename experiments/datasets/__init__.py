"""Data on disk: what is there, whether it can be read, copies and pictures of it."""
