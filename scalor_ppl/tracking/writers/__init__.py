"""The formats of tracks, a file each, and how one is chosen."""

from pathlib import Path

from scalor_ppl.errors import UserError
from scalor_ppl.tracking.writers import csv, mot, netcdf, parquet
from scalor_ppl.tracking.writers.form import Format

FORMATS: dict[str, Format] = {
    "mot": mot.FORMAT,
    "csv": csv.FORMAT,
    "parquet": parquet.FORMAT,
    "nc": netcdf.FORMAT,
}


def format_of(path: Path, name: str | None) -> Format:
    """The format of that name, or by default the one that a path ends in.

    Raises:
        UserError: there is no such format, or it needs a package that is missing.
    """
    if name is None:
        found = next((n for n, each in FORMATS.items() if path.suffix in each.suffixes), None)
        if found is None:
            ends = ", ".join(suffix for each in FORMATS.values() for suffix in each.suffixes)
            raise UserError(f"--out {path}: end it in {ends}, or give a --format")
        name = found
    if name not in FORMATS:
        raise UserError(f"--format {name} is unknown: give {', '.join(FORMATS)}")
    FORMATS[name].check()
    return FORMATS[name]
