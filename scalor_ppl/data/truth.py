"""Which boxes of a file of ground truth belong to which frame of a recording.

Frames of a video count from its beginning. Those of a folder of images go by the numbers in the
files' names, as in MOTChallenge: where one is missing, or the first is number 101, boxes stay with
their images.
"""

import logging
import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from scalor_ppl.config.reading import DEFAULT_OPTIONS, SourceOptions
from scalor_ppl.data.frames import Sequence, look_at
from scalor_ppl.errors import UserError
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.mot_reader import read_rows

_LOG = logging.getLogger(__name__)


def read_truth(
    path: Path,
    sequence: Sequence,
    frames: range,
    *,
    options: SourceOptions = DEFAULT_OPTIONS,
    to_the_end: bool = False,
) -> BoxTable:
    """Read the boxes of some frames of a recording, and note those that no frame has.

    Args:
        path: see `mot_reader.read_rows`; rows with confidence 0 are to be ignored.
        sequence: the recording.
        frames: which of its frames, by their place in it, from 0.
        options: how the recording is read.
        to_the_end: they go to its end.

    Returns:
        The rows of these frames; the first of these is frame 0, the next frame 1.

    Raises:
        UserError: as `mot_reader.read_rows`; the images' names do not tell their numbers, or no box
            belongs to any of them.
    """
    table = read_rows(path)
    numbers = _image_numbers(sequence, options)
    if numbers is None:
        if to_the_end:
            _check_outside(path, table, table.frames >= frames.stop, sequence.name)
        return table.at(np.array(frames, dtype=np.int64))
    counted_from = 0 if numbers[0] == 0 else 1
    if counted_from != table.counted_from and len(table):
        _LOG.warning(
            "%s: images are numbered from %d, %s counts frames from %d: its frame %d is taken for "
            "image %d",
            *(sequence.name, counted_from, path, table.counted_from),
            *(table.counted_from, counted_from),
        )
    numbers = numbers - counted_from
    _check_outside(path, table, ~np.isin(table.frames, numbers), sequence.name)
    _tell_of_gaps(sequence, numbers)
    return table.at(numbers[frames.start : frames.stop : frames.step])


def share_in_view(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """[...] float32 share of each box's area within a view; 0 where there is no box.

    Args:
        boxes: [..., 4] left, top, width, height in pixels, NaN where there is none.
        height: of the view, in pixels.
        width: of the view, in pixels.
    """
    left, top, wide, high = np.moveaxis(boxes, -1, 0)
    across = np.minimum(left + wide, width) - np.maximum(left, 0)
    down = np.minimum(top + high, height) - np.maximum(top, 0)
    area = np.maximum(wide * high, 1e-9)
    share = np.maximum(across, 0) * np.maximum(down, 0) / area
    return np.nan_to_num(share, nan=0.0).clip(0, 1).astype(np.float32)


def _check_outside(path: Path, table: BoxTable, outside: np.ndarray, name: str) -> None:
    """Note rows that belong to no frame.

    Raises:
        UserError: none belongs to any.
    """
    if not outside.any():
        return
    first, last = (int(table.frames[outside][n]) + table.counted_from for n in (0, -1))
    where = f"frame {first}" if first == last else f"frames {first} to {last}"
    if outside.all():
        raise UserError(
            f"{path} has boxes of {where} only, of which {name} has none: number them alike, or "
            "take the file away"
        )
    _LOG.warning(
        "%s: %d of %d boxes, of %s, belong to frames that %s has not: they are left out",
        *(path, int(outside.sum()), len(table), where, name),
    )


def tell_of_places(sequence: Sequence, options: SourceOptions = DEFAULT_OPTIONS) -> None:
    """Note that images are numbered otherwise than frames are, which go by their place."""
    try:
        numbers = _image_numbers(sequence, options)
    except UserError:  # which matters to nobody who does not need them
        return
    if numbers is None or np.array_equal(numbers, np.arange(len(numbers)) + min(numbers[0], 1)):
        return
    _LOG.warning(
        "%s: the %d images are numbered %d to %d in their names, but frames are numbered by their "
        "place: %s is the first",
        *(sequence.name, len(numbers), numbers[0], numbers[-1], sequence.images[0].name),
    )


def _tell_of_gaps(sequence: Sequence, numbers: np.ndarray) -> None:
    steps = np.diff(numbers)
    gaps = np.flatnonzero(steps > 1)
    if len(gaps) and steps.min() == 1:
        _LOG.warning(
            "%s: %d images are missing between the first and the last, the first after %s: boxes "
            "go by the numbers in the names",
            *(sequence.name, int(steps.sum()) - len(steps), sequence.images[gaps[0]].name),
        )


def _image_numbers(sequence: Sequence, options: SourceOptions) -> np.ndarray | None:
    """int64 [T] the numbers in the names of images, rising; None where frames go by their place.

    That is in videos and stacks, and where no name has a number.

    Raises:
        UserError: the names have numbers, but do not tell which image is which frame.
    """
    if not sequence.images:
        return None
    parts = [re.findall(r"\d+", path.stem) for path in sequence.images]
    if not any(parts) or look_at(sequence, options).frames != len(sequence.images):
        return None
    unlike = next((n for n, part in enumerate(parts) if len(part) != len(parts[0])), None)
    if unlike is not None:
        raise UserError(
            f"{sequence.images[0].name} and {sequence.images[unlike].name} are named differently, "
            f"so that the boxes of {sequence.name} cannot be told apart: name images by their "
            "frame, as in 000001.png"
        )
    columns = [[int(digits) for digits in column] for column in zip(*parts, strict=True)]
    varying = [column for column in columns if len(set(column)) > 1] or columns[-1:]
    numbers = varying[0]
    if len(varying) > 1 or any(a >= b for a, b in pairwise(numbers)):
        raise UserError(
            f"the names of the images of {sequence.name} have several numbers that change, or do "
            "not rise: name them by their frame, as in 000001.png, to go with its boxes"
        )
    if numbers[-1] > 2**62:
        raise UserError(f"{sequence.images[-1]} has too large a number in its name")
    return np.array(numbers, dtype=np.int64)
