"""What is derived from frames: contours, class maps, edges, region support, superpixels of whole frames."""
