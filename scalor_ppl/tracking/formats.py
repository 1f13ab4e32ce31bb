"""The formats of tracks: text that grows line by line, and tables made at the end.

MOTChallenge and CSV can be cut and continued; their file in the making is what is wanted. NetCDF
and Parquet cannot: their rows lie as plain bytes until the end.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5netcdf
import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.files import check_room, written_whole
from scalor_ppl.tracking.outputs import About
from scalor_ppl.tracking.table import MEANING, ROW
from scalor_ppl.tracks.mot_rows import track_row


def _always() -> None:
    """Nothing is missing."""


@dataclass(frozen=True)
class Format:
    """A format of tracks.

    Attributes:
        suffixes: what its files end in.
        encode: rows ``[R]`` of `rows.ROW` as the bytes that are added to the file in the making.
        finish: makes the target of the whole file in the making, and leaves that alone or takes it
            away.
        header: bytes at the beginning of the file in the making.
        check: complains where the format cannot be written here.
    """

    suffixes: tuple[str, ...]
    encode: Callable[[np.ndarray], bytes]
    finish: Callable[[Path, Path, About], None]
    header: bytes = b""
    check: Callable[[], None] = _always


def _renamed(part: Path, target: Path, about: About) -> None:
    """The finish of a text format: the file in the making is what is wanted."""
    part.replace(target)


def _as_mot(rows: np.ndarray) -> bytes:
    """Rows as MOTChallenge text, see `tracks.mot`; frames and ids count from 1 there."""
    names = ("frame", "id", "left", "top", "width", "height", "confidence")
    columns = (rows[name].tolist() for name in names)
    return "".join(
        track_row(frame, identity, box, confidence)
        for frame, identity, *box, confidence in zip(*columns, strict=True)
    ).encode("ascii")


def _as_csv(rows: np.ndarray) -> bytes:
    """Rows as lines, with as many digits as make every number exact."""
    import pandas as pd  # half a second: only where it is wanted

    return pd.DataFrame(rows).to_csv(header=False, index=False, lineterminator="\n").encode("ascii")


_BLOCK = 65536  # rows of the file in the making held in memory at a time


def _as_bytes(rows: np.ndarray) -> bytes:
    """Rows as they lie in memory."""
    return rows.tobytes()


def _count(part: Path) -> int:
    """How many rows a file in the making has."""
    return part.stat().st_size // ROW.itemsize


def _blocks(part: Path) -> Iterator[np.ndarray]:
    """The rows of a file in the making ``[R]`` of `rows.ROW`, at most ``_BLOCK`` at a time."""
    with part.open("rb") as file:
        while len(data := file.read(_BLOCK * ROW.itemsize)):
            yield np.frombuffer(data, ROW)


ROOM = 2**20  # bytes beside those of the rows


def _to_netcdf(part: Path, target: Path, about: About) -> None:
    """Write the rows as NetCDF for xarray: one dimension, ``row``, and a variable a column."""
    length = _count(part)
    check_room(target, part.stat().st_size + ROOM)
    chunks = (min(max(length, 1), _BLOCK),)
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
        for rows in _blocks(part):
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
        for rows in _blocks(part):
            columns = [pa.array(np.ascontiguousarray(rows[name])) for name in names]
            writer.write_table(pa.table(columns, schema=schema))
    part.unlink()


FORMATS: dict[str, Format] = {
    "mot": Format((".txt",), _as_mot, _renamed),
    "csv": Format((".csv",), _as_csv, _renamed, header=f"{','.join(ROW.names or ())}\n".encode()),
    "parquet": Format((".parquet", ".pq"), _as_bytes, _to_parquet, check=_check_parquet),
    "nc": Format((".nc",), _as_bytes, _to_netcdf),
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
