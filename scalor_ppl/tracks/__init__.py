"""The table of tracks, and its formats."""
