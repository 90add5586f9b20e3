"""How much methods cost and how fast they are, as ratios to a peer measured in the same run."""
