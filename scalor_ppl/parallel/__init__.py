"""Many tasks that do not need each other: one by one here, or side by side on Dask."""
