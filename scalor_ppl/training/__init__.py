"""Training: runs, checkpoints, the loop."""
