"""Estimators, training, checkpoints, and what a trained program makes of a video."""
