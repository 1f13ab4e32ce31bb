"""Configurations by name, as TOML files."""
