"""Comparisons, curves, the ledger of results, benchmarks."""
