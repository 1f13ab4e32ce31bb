"""The seam: what a program is, and how it is found."""
