"""A clip of a registered set as a video file of any length, with its ground truth beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from scalor_ppl.data.lossless import encode
from scalor_ppl.data.particle_truth import KnownParticles
from scalor_ppl.data.particles import ParticleSource
from scalor_ppl.data.records import Clip, ClipSource, GeneratedSource
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.tracks.mot_rows import truth_row

LEAST_VISIBLE = 0.08
"""Least visible share of an object that has a row: what the *plain* scores ask for."""

_PART = 32  # frames painted at a time: 100 MB in all of 256 x 256 pixels


def write_toy_video(source: ClipSource, path: str | Path, frames: int, *, index: int = 0) -> Path:
    """Write a clip as a lossless video, and its ground truth as MOTChallenge rows beside it.

    FFV1, 10 frames a second. The pixels are those of ``source.clip(index, frames)``, but only a
    few frames are in memory at a time. An object has a row in the frames where at least 8 % of its
    area lie in the view; its id in the file is that of the clip plus 1, and its confidence 0 where
    it is to be ignored. Beside a set of particles lie its
    `KnownParticles`, in a file ``.json``. Each file appears whole or not at all.

    Args:
        source: a registered set.
        path: the video; its suffix, one of `lossless.SUFFIXES`, tells the container.
        frames: how many, at least 1.
        index: of the clip.

    Returns:
        The path of the rows: the video's, with the suffix ``.txt``.

    Raises:
        UserError: the source is a recording, has no such clip, or the files cannot be written.
    """
    if not isinstance(source, GeneratedSource):
        raise UserError(
            f"{source.name} is no registered set: `data cut` makes a video of a part of a recording"
        )
    parts = source.parts(index, frames, _PART)
    rows = Path(path).with_suffix(".txt")
    with (
        written_whole(rows) as lent_rows,
        written_whole(path) as lent,
        lent_rows.open("w", encoding="ascii", newline="\n") as file,
    ):
        encode(lent, _told(parts, file))
        if isinstance(source, ParticleSource):
            known = KnownParticles.of(source.spec, source.particles(index, frames))
            known.write(rows.with_suffix(".json"))
    return rows


def _told(parts: Iterator[Clip], file: TextIO) -> Iterator[np.ndarray]:
    """The frames [H, W, C] of parts, whose rows go to a file."""
    done = 0
    for part in parts:
        truth = part.truth
        assert truth is not None
        for t, n in np.argwhere(truth.visible >= LEAST_VISIBLE):
            ignored = truth.ignored is not None and bool(truth.ignored[t, n])
            file.write(truth_row(done + t, truth.ids[n] + 1, truth.boxes[t, n], ignored))
        yield from part.video
        done += len(part.video)
