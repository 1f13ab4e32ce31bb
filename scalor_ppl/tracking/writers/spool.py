"""Rows as plain bytes: the file in the making of formats that cannot be cut and continued."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scalor_ppl.tracking.rows import ROW

BLOCK = 65536  # rows held in memory at a time


def encode(rows: np.ndarray) -> bytes:
    """Rows as they lie in memory."""
    return rows.tobytes()


def count(part: Path) -> int:
    """How many rows a file in the making has."""
    return part.stat().st_size // ROW.itemsize


def blocks(part: Path) -> Iterator[np.ndarray]:
    """The rows of a file in the making ``[R]`` of `rows.ROW`, at most ``BLOCK`` at a time."""
    with part.open("rb") as file:
        while len(data := file.read(BLOCK * ROW.itemsize)):
            yield np.frombuffer(data, ROW)
