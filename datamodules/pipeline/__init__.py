"""From frames on disk to samples: fixed steps, views, superpixels, and maps that are derived from others."""
