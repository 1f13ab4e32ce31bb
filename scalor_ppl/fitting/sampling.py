"""One pass over a recording that keeps what a survey looks at."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from scalor_ppl.data import SourceOptions, iterate_frames
from scalor_ppl.data.frames import resized

RUN = 5
"""Consecutive frames of a run."""

_FRAME_BYTES = 3_200_000  # larger frames are looked at in a reduced size
_SAMPLE_BYTES = 192 * 2**20
_RUNS_BYTES = 128 * 2**20
_MOST_RUNS = 20
_COLOURED = 16  # levels between a pixel's channels from which it is coloured
_COLOURED_SHARE = 1e-3


class EvenSample:
    """Keeps evenly spaced runs of consecutive frames, in bounded memory and one pass.

    The stream is cut into runs. Every run is kept until there are too many; then every second one
    is dropped and the spacing doubles. So between half of `limit` and `limit` runs stay, or all of
    a short stream.

    Args:
        limit: most runs kept, at least 2.
        run: frames of a run, at least 1.
    """

    def __init__(self, limit: int, run: int = 1) -> None:
        if limit < 2 or run < 1:
            raise ValueError(f"limit={limit}, run={run}: give at least 2 and at least 1")
        self._limit = limit
        self._run = run
        self._spacing = 1
        self._offered = 0
        self._runs: list[list[np.ndarray]] = []

    def offer(self, frame: np.ndarray) -> None:
        """Take the stream's next frame; it is not copied."""
        place = self._offered % self._run
        wanted = self.wants
        if self._full:
            self._runs = self._runs[::2]
            self._spacing *= 2
        self._offered += 1
        if not wanted:
            return
        if place == 0:
            self._runs.append([])
        self._runs[-1].append(frame)

    @property
    def wants(self) -> bool:
        """Whether the next frame will be kept."""
        return self._offered // self._run % (self._spacing * (2 if self._full else 1)) == 0

    @property
    def _full(self) -> bool:
        """Whether the next frame begins a run for which there is no room."""
        run, place = divmod(self._offered, self._run)
        return place == 0 and run % self._spacing == 0 and len(self._runs) == self._limit

    @property
    def spacing(self) -> int:
        """Frames from the beginning of a run to that of the next one."""
        return self._spacing * self._run

    @property
    def runs(self) -> list[list[np.ndarray]]:
        """The complete runs kept, in order."""
        return [run for run in self._runs if len(run) == self._run]

    @property
    def frames(self) -> list[np.ndarray]:
        """The frames of all runs, in order; those of an incomplete run too."""
        return [frame for run in self._runs for frame in run]


@dataclass(frozen=True)
class Gathered:
    """Frames of a recording.

    Attributes:
        size: height and width of a frame, in pixels.
        frames: how many there are.
        reduction: the frames below are this many times smaller than `size`, in each direction.
        samples: evenly spread frames [h, w, C] uint8; C is 1 where there is no colour.
        spacing: frames from one of them to the next.
        runs: evenly spread runs of `RUN` consecutive frames, likewise.
    """

    size: tuple[int, int]
    frames: int
    reduction: int
    samples: list[np.ndarray]
    spacing: int
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
    reduction = int(np.ceil(np.sqrt(first[..., 0].size * _channels(first) / _FRAME_BYTES)))
    small = _reduced(first, reduction)
    sample = EvenSample(int(np.clip(_SAMPLE_BYTES // small.nbytes, 2, samples)))
    runs = EvenSample(int(np.clip(_RUNS_BYTES // (RUN * small.nbytes), 4, _MOST_RUNS)), RUN)
    count = 0
    for frame in chain([first], stream):
        small = _reduced(frame, reduction) if sample.wants or runs.wants else frame
        sample.offer(small)
        runs.offer(small)
        count += 1
    kept, kept_runs = sample.frames, runs.runs
    channels = max(frame.shape[2] for frame in kept)
    kept = [_coloured(frame, channels) for frame in kept]
    kept_runs = [[_coloured(frame, channels) for frame in run] for run in kept_runs]
    return Gathered(size, count, reduction, kept, sample.spacing, kept_runs)


def _reduced(frame: np.ndarray, reduction: int) -> np.ndarray:
    """A frame of its own, of one channel without colour: a view keeps the decoder's buffer."""
    frame = frame[..., : _channels(frame)]
    if reduction == 1:
        return frame.copy()
    return resized(frame, (frame.shape[0] // reduction, frame.shape[1] // reduction))


def _channels(frame: np.ndarray) -> int:
    """1 where the channels of a frame do not differ."""
    if frame.shape[2] == 1:
        return 1
    red, green, blue = (frame[..., channel].astype(np.int16) for channel in range(3))
    apart = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return 3 if np.mean(apart > _COLOURED) > _COLOURED_SHARE else 1


def _coloured(frame: np.ndarray, channels: int) -> np.ndarray:
    """A frame with so many channels: 1 or 3."""
    if frame.shape[2] == channels:
        return frame
    return frame[..., :channels] if channels == 1 else np.repeat(frame, 3, axis=2)
