"""Amortized posteriors."""
