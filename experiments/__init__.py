"""What is run: one small YAML per row of a published table, and the `segdepth` command that runs it."""
