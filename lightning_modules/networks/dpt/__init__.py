"""DPT: a dense prediction transformer, hybrid or on DINOv2."""
