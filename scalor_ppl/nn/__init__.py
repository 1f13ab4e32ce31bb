"""Layers and distributions that any program may use."""
