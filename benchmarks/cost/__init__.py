"""What networks cost against their peers: operations, time and memory."""
