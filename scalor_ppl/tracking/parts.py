"""Rows in a file in the making, as they lie in memory, and what all formats made of them share."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scalor_ppl.tracking.table import ROW
from scalor_ppl.tracking.tracked import Tracked

BLOCK = 65536
"""Rows of a file in the making that are held in memory at a time."""

_PLACES = ("left", "top", "x", "y")


def as_bytes(rows: np.ndarray, tracked: Tracked, threshold: float) -> bytes:
    """Rows as they lie in memory."""
    return rows.tobytes()


def count_rows(part: Path) -> int:
    """How many rows a file in the making has."""
    return part.stat().st_size // ROW.itemsize


def row_blocks(part: Path) -> Iterator[np.ndarray]:
    """The rows of a file in the making ``[R]`` of `table.ROW`, at most `BLOCK` at a time."""
    with part.open("rb") as file:
        while len(data := file.read(BLOCK * ROW.itemsize)):
            yield np.frombuffer(data, ROW)


def all_rows(part: Path) -> np.ndarray:
    """All rows of a file in the making ``[R]`` of `table.ROW`, by frame and then by id."""
    return np.fromfile(part, ROW)


def from_pixel_centres(rows: np.ndarray) -> np.ndarray:
    """Rows with places as programs of microscopy count them.

    Our places are distances from the edges of the frame: the centre of the first pixel is at .5.
    TrackMate, napari and other readers of arrays have it at 0.

    Args:
        rows: ``[R]`` of `table.ROW`.
    """
    moved = rows.copy()
    for name in _PLACES:
        moved[name] -= 0.5
    return moved


def links(rows: np.ndarray) -> np.ndarray:
    """Which rows follow each other in a track.

    Args:
        rows: ``[R]`` of `table.ROW`.

    Returns:
        int64 ``[E, 2]``, places in ``rows`` of the earlier and the later one, by id and then by
        frame; frames in which the object was not seen are skipped.
    """
    order = np.lexsort((rows["frame"], rows["id"]))
    same = rows["id"][order][1:] == rows["id"][order][:-1]
    return np.stack([order[:-1][same], order[1:][same]], 1)
