"""Tracks as a table in NetCDF, for xarray: one dimension, ``row``, and a variable a column."""

from pathlib import Path

import h5netcdf
import numpy as np

from scalor_ppl.files import check_room, written_whole
from scalor_ppl.tracking.output import About
from scalor_ppl.tracking.rows import MEANING, ROW
from scalor_ppl.tracking.writers import spool
from scalor_ppl.tracking.writers.form import Format

ROOM = 2**20  # bytes beside those of the rows


def finish(part: Path, target: Path, about: About) -> None:
    """Write the rows as NetCDF, a block at a time."""
    length = spool.count(part)
    check_room(target, part.stat().st_size + ROOM)
    chunks = (min(max(length, 1), spool.BLOCK),)
    with written_whole(target) as lent, h5netcdf.File(lent, "w") as file:
        file.attrs.update(about.attributes())
        file.dimensions = {"row": length}
        for name, (said, units) in MEANING.items():
            # NetCDF has no truth values: they are 0 and 1.
            kind = np.dtype(np.int8) if ROW[name].kind == "b" else ROW[name]
            variable = file.create_variable(
                name, ("row",), kind, chunks=chunks, compression="gzip", compression_opts=4
            )
            variable.attrs.update({"long_name": said} | ({"units": units} if units else {}))
        begin = 0
        for rows in spool.blocks(part):
            for name in MEANING:
                file.variables[name][begin : begin + len(rows)] = rows[name]
            begin += len(rows)
    part.unlink()


FORMAT = Format((".nc",), spool.encode, finish)
