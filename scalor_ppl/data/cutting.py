"""A part of a recording as a recording of its own, with its ground truth."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scalor_ppl.config.reading import DEFAULT_OPTIONS, SourceOptions
from scalor_ppl.data.frames import find_sequence, look_at, read_exact_frames
from scalor_ppl.data.lossless import RATE, encode
from scalor_ppl.data.region import Region
from scalor_ppl.data.truth import read_truth
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import holds_nothing
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.mot_rows import truth_row

VIDEO = "video.mkv"


def cut_recording(
    path: Path,
    out: Path,
    region: Region,
    *,
    boxes: Path | None = None,
    options: SourceOptions = DEFAULT_OPTIONS,
) -> tuple[int, int]:
    """Write a part of a recording as a MOTChallenge sequence, without loss (FFV1).

    Pixels keep all bits that they have, up to 16.

    Args:
        path: as in `frames.find_sequence`.
        out: folder to make: ``video.mkv``, and ``gt/gt.txt`` where there are boxes.
        region: of the frames.
        boxes: MOTChallenge rows of the recording; the sequence's own ground truth by default. Those
            whose centre lies in the region are kept.
        options: with start, stop, channel, slice, axes and reader; no others apply.

    Returns:
        How many frames were written, and the bits of a value: 8, 10, 12, 14 or 16.

    Raises:
        UserError: it cannot be read, has no such region, has pixels that no lossless video holds,
            or the folder cannot be written.
    """
    sequence = find_sequence(path, options)
    if not holds_nothing(out):
        raise UserError(f"{out} is there already: choose another --out")
    about = look_at(sequence, options)
    frames = read_exact_frames(sequence, options)
    first = region.cut(next(frames))  # complains before anything is made
    bits = about.bits + about.bits % 2
    if bits > 16 or first.dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"{path} has pixels of type {first.dtype}, which no lossless video holds: save it with "
            "whole numbers of 16 bits, from 0, first"
        )
    boxes = boxes or sequence.boxes
    with written_whole(out / VIDEO) as lent:
        count = encode(lent, _cut(first, frames, region), about.fps or RATE, bits)
    if boxes is not None:
        table = read_truth(
            boxes,
            sequence,
            range(options.start, options.start + count),
            options=options,
            to_the_end=options.stop is None,
        )
        with written_whole(out / "gt" / "gt.txt") as lent:
            lent.write_text("".join(_rows(table, region)))
    return count, bits


def _cut(first: np.ndarray, frames: Iterator[np.ndarray], region: Region) -> Iterator[np.ndarray]:
    yield first
    for frame in frames:
        yield region.cut(frame)


def _rows(table: BoxTable, region: Region) -> Iterator[str]:
    """The boxes in the region, in its pixels."""
    inside = table.kept(region.holds(table.boxes))
    columns = (inside.frames.tolist(), inside.objects.tolist(), inside.boxes, inside.ignored)
    for frame, n, box, ignored in zip(*columns, strict=True):
        moved = box - [region.left, region.top, 0, 0]
        yield truth_row(frame, inside.labels[n], moved, ignored=bool(ignored))
