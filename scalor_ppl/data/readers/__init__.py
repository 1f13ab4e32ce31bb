"""Readers of recordings: video, images, microscopy stacks, and those of your own (`base`)."""
