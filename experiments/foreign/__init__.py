"""Predictions of other programs, and of other networks in the place of the truth."""
