"""Tracks as MOTChallenge text, the format that every tracking tool reads.

One row an object and frame: `frame,id,left,top,width,height,conf,-1,-1,-1`
(https://motchallenge.net/instructions). Frames and ids count from 1, as the format has it, so a
row's id is ours plus 1. Boxes are pixels from the upper left corner of the view, unshifted, as
trackers and scoring tools in use write and read them; `conf` is `Tracks.presence`.
"""

from pathlib import Path

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.mot_reader import read_rows
from scalor_ppl.tracks.mot_rows import track_row
from scalor_ppl.tracks.table import EMPTY, Tracks

_CELLS = 2**22  # of a table by frame and slot, whatever the number of rows: 120 MB
_EMPTY_CELLS = 32  # beside each row, at most, in larger ones


def write_mot(path: str | Path, tracks: Tracks, *, presence_threshold: float = 0.5) -> None:
    """Write the present objects of one clip as MOTChallenge rows, atomically.

    Scoring tools count every row whatever its `conf`, so absent objects are left out.

    Args:
        path: the text file, usually `NAME.txt`.
        tracks: one clip.
        presence_threshold: least presence of an object to be written, 0..1.

    Raises:
        UserError: when the file cannot be written.
    """
    frames, slots = np.nonzero(tracks.present(presence_threshold))
    with written_whole(path) as lent, lent.open("w", encoding="ascii", newline="\n") as file:
        for frame, slot in zip(frames.tolist(), slots.tolist(), strict=True):
            identity, presence = tracks.ids[frame, slot], tracks.presence[frame, slot]
            file.write(track_row(frame, identity, tracks.boxes[frame, slot], presence))


def read_mot(path: str | Path, *, frames: int | None = None) -> Tracks:
    """Read MOTChallenge rows back; the inverse of `write_mot` up to the order of slots.

    The format does not say which objects were discovered: the first row of an id counts as its
    discovery. K is the largest number of rows in one frame. Where the table by frame and slot is
    not needed, `mot_reader.read_rows` takes memory for the rows only.

    Args:
        path: see `mot_reader.read_rows`.
        frames: T, where the clip has frames after the last row; by default the last row's frame.

    Returns:
        The tracks, with a row's id less 1; ids below 1 or beyond 64 bits are numbered anew.

    Raises:
        UserError: as `mot_reader.read_rows`; a frame beyond `frames`; frames so far apart that
            their numbers cannot be those of a video.
    """
    table = read_rows(path)
    last = int(table.frames.max(initial=-1)) + 1
    if frames is not None and last > frames:
        raise UserError(f"{path} has a row for frame {last}, the clip has {frames} frames")
    length = last if frames is None else frames
    most = int(np.unique(table.frames, return_counts=True)[1].max(initial=0))
    if length * most > max(_CELLS, _EMPTY_CELLS * len(table)):
        raise UserError(
            f"{path} has {len(table)} rows for frames up to {last}: if these are times, number the "
            "frames from 1"
        )
    return by_frame(table, length)


def by_frame(table: BoxTable, length: int) -> Tracks:
    """The rows as tracks, by frame and slot.

    Args:
        table: of frames below `length`.
        length: T.
    """
    counts = np.unique(table.frames, return_counts=True)[1]
    slots = int(counts.max(initial=0))
    begins = np.cumsum(counts) - counts
    place = table.frames, np.arange(len(table)) - np.repeat(begins, counts)
    numbers = table.ids
    if len(numbers) and table.labels == tuple(numbers.tolist()) and table.labels[0] >= 1:
        numbers = numbers - 1
    elif len(numbers):
        numbers = np.arange(len(numbers))
    ids = np.full((length, slots), EMPTY, dtype=np.int64)
    boxes = np.zeros((length, slots, 4), dtype=np.float32)
    presence = np.zeros((length, slots), dtype=np.float32)
    discovered = np.zeros((length, slots), dtype=bool)
    ids[place] = numbers[table.objects]
    boxes[place] = table.boxes
    presence[place] = table.confidence
    discovered[place] = table.first_rows()
    return Tracks(ids, boxes, presence, discovered)
