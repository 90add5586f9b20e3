"""Files that data are kept in: cache, converted store, images, and fingerprints of what was read."""
