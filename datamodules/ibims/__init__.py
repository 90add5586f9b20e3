"""iBims-1: 100 frames of indoor scenes with exact depth and annotated planes and edges."""
