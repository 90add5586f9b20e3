"""A trained method on images of one's own: photos in, depth, segments and pictures out."""
