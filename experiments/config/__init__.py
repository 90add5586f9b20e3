"""What a user configures and types: files and flags merged, checked and explained."""
