"""How hard sampled videos are to tell from real ones."""
