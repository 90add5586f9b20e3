"""The page of `segdepth compare`: runs, curves, frames and pictures in one HTML file."""
