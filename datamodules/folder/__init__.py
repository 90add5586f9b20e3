"""Frames of one's own: a folder of images and depth maps with a `dataset.yaml` that says what they are."""
