"""A run on one page: a single HTML file with everything in it, that needs no network."""
