"""Trained programs that ship with the package, made by ``scalor-ppl reproduce ROW --export``."""
