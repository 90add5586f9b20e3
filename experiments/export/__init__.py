"""What a finished run has learned, in files for people and for other programs."""
