"""Tasks side by side, here or on Dask; processes that train one program together."""
