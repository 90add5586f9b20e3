"""CAST: superpixel tokens grouped level by level."""
