"""What a person with a GPU runs once: `make gpu-check`."""
