"""One pass over a recording that keeps what a survey looks at."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scalor_ppl.data import SourceOptions, iterate_frames
from scalor_ppl.data.frames import resized
from scalor_ppl.fitting.even import EvenSample

RUN = 5
"""Consecutive frames of a run."""

_FRAME_BYTES = 3_200_000  # larger frames are looked at in a reduced size
_SAMPLE_BYTES = 192 * 2**20
_RUNS_BYTES = 96 * 2**20
_MOST_RUNS = 20
_COLOURED = 16  # levels between a pixel's channels from which it is coloured
_COLOURED_SHARE = 1e-3


@dataclass(frozen=True)
class Gathered:
    """Frames of a recording.

    Attributes:
        size: height and width of a frame, in pixels.
        frames: how many there are.
        reduction: the frames below are this many times smaller than `size`, in each direction.
        samples: evenly spread frames [h, w, C] uint8; C is 1 where there is no colour.
        runs: evenly spread runs of `RUN` consecutive frames, likewise.
    """

    size: tuple[int, int]
    frames: int
    reduction: int
    samples: list[np.ndarray]
    runs: list[list[np.ndarray]]


def gather(path: str | Path, options: SourceOptions, samples: int) -> Gathered:
    """Read a recording once.

    Args:
        path: as for `iterate_frames`.
        options: how to read it.
        samples: most frames sampled; fewer where they would take more than 192 MB.

    Raises:
        UserError: as `iterate_frames`.
    """
    stream = iterate_frames(path, options=options)
    first = next(stream)
    size = (first.shape[0], first.shape[1])
    reduction = int(np.ceil(np.sqrt(first.nbytes / _FRAME_BYTES)))
    small = _reduced(first, reduction)
    sample = EvenSample(int(np.clip(_SAMPLE_BYTES // small.nbytes, 2, samples)))
    runs = EvenSample(int(np.clip(_RUNS_BYTES // (RUN * small.nbytes), 4, _MOST_RUNS)), RUN)
    count = 0
    while True:
        sample.offer(small)
        runs.offer(small)
        count += 1
        frame = next(stream, None)
        if frame is None:
            break
        small = _reduced(frame, reduction)
    kept, kept_runs = sample.frames, runs.runs
    if first.shape[2] == 3 and not _coloured(kept):
        kept = [frame[..., :1] for frame in kept]
        kept_runs = [[frame[..., :1] for frame in run] for run in kept_runs]
    return Gathered(size, count, reduction, kept, kept_runs)


def _reduced(frame: np.ndarray, reduction: int) -> np.ndarray:
    """A frame of its own: a view would keep the decoder's buffer alive."""
    if reduction == 1:
        return frame.copy()
    return resized(frame, (frame.shape[0] // reduction, frame.shape[1] // reduction))


def _coloured(frames: list[np.ndarray]) -> bool:
    """Whether the channels of RGB frames differ."""
    shares = [np.mean(np.ptp(frame, axis=-1) > _COLOURED) for frame in frames]
    return bool(max(shares) > _COLOURED_SHARE)
