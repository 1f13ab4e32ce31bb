"""The rows of RESULTS.md as data: one TOML file each, read by ``scalor_ppl.studies.experiment``."""
