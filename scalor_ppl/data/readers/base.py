"""What reads a recording, and how to write your own reader.

A reader of your own is a class with a frame for each number::

    # mine.py
    from scalor_ppl.data.readers.base import StackReader

    class Mine(StackReader):
        def __init__(self, path, options):
            super().__init__(path, options)
            self.recording = open_somehow(path)
            self.fps = self.recording.rate          # optional; None where it is not known

        def __len__(self):
            return len(self.recording)

        def frame(self, number):
            return self.recording[number]           # [H, W], [H, W, 1] or [H, W, 3]

and is chosen with ``--set data.reader=mine.py:Mine``, by commands that read video with a
configuration. Its pixels may be of any kind of number: 8 bits are taken as they are, all others go
through ``data.deep_levels``. What it raises is told in one line, with the number of the frame.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.errors import UserError

SAMPLES = 16
"""Frames that show which values are in use."""


class Found(NamedTuple):
    """A frame as it comes out of a file.

    Attributes:
        number: of the frame in the recording, from 0, before any stride.
        place: names it in messages.
        pixels: [H, W, C], C = 1 (grey) or 3 (RGB), upright: uint8, or deeper numbers as they are.
    """

    number: int
    place: str
    pixels: np.ndarray


@dataclass(frozen=True)
class VideoInfo:
    """What a recording says of itself, and its first frame.

    Attributes:
        name: the file's or folder's.
        height: rows of a frame in pixels, after rotation.
        width: columns of a frame in pixels, after rotation.
        channels: 1 (grey) or 3 (RGB).
        frames: how many the container announces; None where it does not. A few may be missing: a
            video that begins in the middle of another, or with frames dropped by the camera.
        fps: frames a second, on average; None for images, and where it is not known.
        variable_rate: whether frames are unevenly spaced in time, as far as the first ones show.
            They are read as they come, without regard to time.
        seconds: how long it lasts; None where it is not known.
        bits: of a value: 8; 9 to 14 of video that uses all of them; from 16 on values are as the
            camera gave them, see `levels`.
    """

    name: str
    height: int
    width: int
    channels: int
    frames: int | None
    fps: float | None
    variable_rate: bool
    seconds: float | None = None
    bits: int = 8

    @property
    def expected_frames(self) -> int | None:
        """The number of frames, estimated from duration and rate where it is not announced."""
        if self.frames is None and self.seconds is not None and self.fps is not None:
            return round(self.seconds * self.fps)
        return self.frames


class Reader(Protocol):
    """One recording; made of its path and the options, which may choose a channel or a slice."""

    def look(self) -> VideoInfo:
        """What the recording is like, without decoding more than its first frame."""
        ...

    def frames(self, *, exact: bool = False) -> Iterator[Found]:
        """The frames that start, stop and stride choose, one by one.

        Args:
            exact: with all their bits, where less would do for a picture.

        Raises:
            UserError: not a recording of the kind; broken in the middle.
        """
        ...

    def sample(self) -> Iterator[np.ndarray]:
        """Some frames from all of the recording, whatever the options, if they are deep."""
        ...


class StackReader:
    """Frames that can be had by their number: the base of readers of your own, see above.

    Args:
        path: of the recording.
        options: how it is read; start, stop, stride and all that follows are seen to elsewhere.

    Attributes:
        fps: frames a second; None where that is not known.
    """

    fps: float | None = None

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.path = path
        self.options = options

    def __len__(self) -> int:
        """How many frames there are."""
        raise NotImplementedError

    def frame(self, number: int) -> np.ndarray:
        """The frame of a number from 0: [H, W], [H, W, 1] or [H, W, 3]."""
        raise NotImplementedError

    def place(self, number: int) -> str:
        """What a frame is called in messages."""
        return f"frame {number} of {self.path}"

    def look(self) -> VideoInfo:
        """See `Reader`."""
        with told(self.path, 0):
            frames = len(self)
            first = self.checked(0)
        height, width, channels = first.shape
        bits = 8 * first.dtype.itemsize
        return VideoInfo(
            self.path.name, height, width, channels, frames, self.fps, False, None, bits
        )

    def frames(self, *, exact: bool = False) -> Iterator[Found]:
        """See `Reader`."""
        with told(self.path, 0):
            count = len(self)
        options = self.options
        stop = count if options.stop is None else min(options.stop, count)
        for number in range(options.start, stop, options.stride):
            with told(self.path, number):
                pixels = self.checked(number)
            yield Found(number, self.place(number), pixels)

    def sample(self) -> Iterator[np.ndarray]:
        """See `Reader`."""
        with told(self.path, 0):
            count = len(self)
        for number in np.unique(np.linspace(0, count - 1, SAMPLES).astype(int)).tolist():
            try:
                yield self.checked(number)
            except Exception:
                continue  # reading it will tell

    def checked(self, number: int) -> np.ndarray:
        """[H, W, C] of a frame, checked."""
        pixels = np.asarray(self.frame(number))
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
            raise ValueError(f"a frame is [H, W], [H, W, 1] or [H, W, 3], not {pixels.shape}")
        if pixels.dtype == bool:
            return pixels.astype(np.uint8) * 255
        if pixels.dtype.kind not in "uif":
            raise ValueError(f"pixels of type {pixels.dtype} are no numbers")
        return pixels


@contextmanager
def told(path: Path, number: int) -> Iterator[None]:
    """Tell in one line what goes wrong while a frame is read.

    Args:
        path: of the recording.
        number: of the frame.

    Raises:
        UserError: in place of whatever is raised; one of the reader's own stays as it is.
    """
    try:
        yield
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(f"{path} may not be read: change its permissions") from error
    except Exception as error:  # a broken file makes a decoder stumble anywhere, over anything
        reason = " ".join(str(error).split()) or type(error).__name__
        if number == 0:
            raise UserError(f"{path} cannot be read ({reason}): check the file") from error
        raise UserError(
            f"{path} breaks off at frame {number} ({reason}): repair it or read it with "
            f"stop={number}"
        ) from error


def one_of_three(pixels: np.ndarray, options: SourceOptions, name: str) -> np.ndarray:
    """The channel that is asked for, of a frame [H, W, 1 or 3] that has no other channels.

    Raises:
        UserError: there is no such channel.
    """
    if options.channel is None:
        return pixels
    if options.channel >= pixels.shape[2]:
        has = "one channel" if pixels.shape[2] == 1 else "0 (red), 1 (green) and 2 (blue)"
        raise UserError(f"data.channel={options.channel}: {name} has {has}")
    return pixels[..., options.channel : options.channel + 1]


def no_slices(options: SourceOptions, name: str) -> None:
    """Complain about a slice that is asked for of what has no depth."""
    if options.slice not in (None, 0, "max"):
        raise UserError(f"data.slice={options.slice}: {name} has one slice only")
