"""Tables of systems as data: one TOML file each, read by ``scalor_ppl.studies.systems.table``."""
