"""What a run leaves in pictures."""
