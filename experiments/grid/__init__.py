"""Many runs of one comparison: sweeps and ablations, resumable."""
