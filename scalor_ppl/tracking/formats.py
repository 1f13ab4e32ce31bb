"""The formats of tracks: text that grows line by line, and what is made at the end.

MOTChallenge and CSV can be cut and continued; their file in the making is what is wanted. The
others cannot: their rows, or maps of ids, lie as plain bytes until the end.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5netcdf
import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.files import check_room, written_whole
from scalor_ppl.tracking import challenge
from scalor_ppl.tracking.geff import check_geff, to_geff
from scalor_ppl.tracking.outputs import About
from scalor_ppl.tracking.parts import BLOCK, as_bytes, count_rows, row_blocks
from scalor_ppl.tracking.table import MEANING, ROW
from scalor_ppl.tracking.tracked import Tracked
from scalor_ppl.tracking.trackmate import to_trackmate
from scalor_ppl.tracks.mot_rows import track_row


def _always() -> None:
    """Nothing is missing."""


@dataclass(frozen=True)
class Format:
    """A format of tracks.

    Attributes:
        suffixes: what the names of its files end in.
        encode: some frames as the bytes that are added to the file in the making: their rows
            ``[R]`` of `table.ROW`, the frames themselves, and the least presence of an object.
        finish: makes the target of the whole file in the making, and leaves that alone or takes it
            away.
        header: bytes at the beginning of the file in the making.
        check: complains where the format cannot be written here.
        folder: what is in the folder that it makes, as a regular expression that names match;
            empty where it makes a file.
    """

    suffixes: tuple[str, ...]
    encode: Callable[[np.ndarray, Tracked, float], bytes]
    finish: Callable[[Path, Path, About], None]
    header: bytes = b""
    check: Callable[[], None] = _always
    folder: str = ""

    def others_in(self, folder: Path) -> list[str]:
        """Names of what is in a folder and not of this format."""
        names = sorted(path.name for path in folder.iterdir())
        return [name for name in names if not re.fullmatch(self.folder, name)]


def _renamed(part: Path, target: Path, about: About) -> None:
    """The finish of a text format: the file in the making is what is wanted."""
    part.replace(target)


def _as_mot(rows: np.ndarray, tracked: Tracked, threshold: float) -> bytes:
    """Rows as MOTChallenge text, see `tracks.mot`; frames and ids count from 1 there."""
    names = ("frame", "id", "left", "top", "width", "height", "confidence")
    columns = (rows[name].tolist() for name in names)
    return "".join(
        track_row(frame, identity, box, confidence)
        for frame, identity, *box, confidence in zip(*columns, strict=True)
    ).encode("ascii")


def _as_csv(rows: np.ndarray, tracked: Tracked, threshold: float) -> bytes:
    """Rows as lines, with as many digits as make every number exact."""
    import pandas as pd  # half a second: only where it is wanted

    return pd.DataFrame(rows).to_csv(header=False, index=False, lineterminator="\n").encode("ascii")


ROOM = 2**20  # bytes beside those of the rows


def _to_netcdf(part: Path, target: Path, about: About) -> None:
    """Write the rows as NetCDF for xarray: one dimension, ``row``, and a variable a column."""
    length = count_rows(part)
    check_room(target, part.stat().st_size + ROOM)
    chunks = (min(max(length, 1), BLOCK),)
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
        for rows in row_blocks(part):
            for name in MEANING:
                file.variables[name][begin : begin + len(rows)] = rows[name]
            begin += len(rows)
    part.unlink()


def _check_parquet() -> None:
    """Complain where pyarrow is missing.

    Raises:
        UserError: it is.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UserError(
            "Parquet needs pyarrow: pip install 'scalor-ppl[parquet]', or write csv or nc"
        ) from None


def _to_parquet(part: Path, target: Path, about: About) -> None:
    """Write the rows as Parquet, a row group a block; attributes in its metadata, as JSON."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ROW.names or ()
    schema = pa.schema(
        [(name, pa.from_numpy_dtype(ROW[name])) for name in names],
        metadata={"scalor_ppl": json.dumps(about.attributes())},
    )
    with written_whole(target) as lent, pq.ParquetWriter(lent, schema) as writer:
        for rows in row_blocks(part):
            columns = [pa.array(np.ascontiguousarray(rows[name])) for name in names]
            writer.write_table(pa.table(columns, schema=schema))
    part.unlink()


FORMATS: dict[str, Format] = {
    "mot": Format((".txt",), _as_mot, _renamed),
    "csv": Format((".csv",), _as_csv, _renamed, header=f"{','.join(ROW.names or ())}\n".encode()),
    "parquet": Format((".parquet", ".pq"), as_bytes, _to_parquet, check=_check_parquet),
    "nc": Format((".nc",), as_bytes, _to_netcdf),
    "geff": Format(
        (".geff",),
        as_bytes,
        to_geff,
        check=check_geff,
        folder=r"nodes|edges|zarr\.json|\.zgroup|\.zattrs|\.zmetadata",
    ),
    "trackmate": Format((".xml",), as_bytes, to_trackmate),
    "ctc": Format(
        ("_RES",), challenge.as_maps, challenge.to_result, folder=r"mask\d+\.tif|res_track\.txt"
    ),
    "ctc-gt": Format(("_GT",), challenge.as_maps, challenge.to_truth, folder="TRA"),
}


def format_of(path: Path, name: str | None) -> Format:
    """The format of that name, or by default the one that a path ends in.

    Raises:
        UserError: there is no such format, or it needs a package that is missing.
    """
    if name is None:
        found = next((n for n, each in FORMATS.items() if path.name.endswith(each.suffixes)), None)
        if found is None:
            ends = ", ".join(suffix for each in FORMATS.values() for suffix in each.suffixes)
            raise UserError(f"--out {path}: end it in {ends}, or give a --format")
        name = found
    if name not in FORMATS:
        raise UserError(f"--format {name} is unknown: give {', '.join(FORMATS)}")
    FORMATS[name].check()
    return FORMATS[name]
