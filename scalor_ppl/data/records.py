"""The structures that every data source hands over, and what a source is."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol
from zlib import crc32

import numpy as np

from scalor_ppl.errors import UserError

Split = Literal["train", "test"]
Size = tuple[int, int]


@dataclass(frozen=True)
class Truth:
    """What is really in a clip of T frames, N objects, H x W pixels.

    Pixel column j spans j to j + 1 in box coordinates, likewise rows.

    Attributes:
        ids: [N] int64, unique within the clip.
        boxes: [T, N, 4] float32; left, top, width, height in pixels of the view. A box may reach
            beyond the view, and is NaN where the object does not exist in the frame.
        visible: [T, N] float32 in 0..1; the share of the object's painted area that lies inside
            the view. Occlusion by other objects does not count. 0 where it does not exist.
        masks: [T, H, W] int32; the id of the topmost object at each pixel, -1 for background.
            None where nobody has drawn masks.
        object_size: the set's object size in pixels (mean box side), the unit of matching
            thresholds (paper, section 5.1: twice the object size).
        ignored: [T, N] bool; where an object is neither to be found nor wrong to be found. None
            where there are no such.
    """

    ids: np.ndarray
    boxes: np.ndarray
    visible: np.ndarray
    masks: np.ndarray | None
    object_size: float
    ignored: np.ndarray | None = None

    def counted(self, least: float) -> np.ndarray:
        """Bool [T, N]: what is in view by at least that share, and not ignored."""
        counted = self.visible >= least
        return counted if self.ignored is None else counted & ~self.ignored

    def without_ignored(self) -> "Truth":
        """The same less what is ignored; objects that are so throughout are not there."""
        if self.ignored is None:
            return self
        kept = ~self.ignored & np.isfinite(self.boxes[..., 0])
        objects = kept.any(axis=0)
        return replace(
            self,
            ids=self.ids[objects],
            boxes=np.where(kept[..., None], self.boxes, np.nan)[:, objects],
            visible=np.where(kept, self.visible, 0)[:, objects],
            ignored=None,
        )


@dataclass(frozen=True)
class Clip:
    """A few frames of video, with the truth where it is known.

    Attributes:
        video: [T, H, W, C] uint8, C = 1 (grey) or 3 (RGB).
        truth: what is in it, or None.
        name: names the clip in messages and files.
        corner: top and left pixel of the view in the frames that it was cropped from; None where
            it shows whole frames.
    """

    video: np.ndarray
    truth: Truth | None
    name: str
    corner: tuple[int, int] | None = None


class ClipSource(Protocol):
    """Anything that clips can be taken from; `clip` is a pure function of its arguments.

    Attributes:
        name: the set's name, or the file's.
        height: rows of a frame, in pixels.
        width: columns of a frame, in pixels.
        channels: 1 (grey) or 3 (RGB).
    """

    name: str
    height: int
    width: int
    channels: int

    def __len__(self) -> int:
        """How many distinct clips there are (of one frame); 2**31 for generated sets."""
        ...

    def starts(self, frames: int) -> int:
        """How many distinct clips of `frames` frames there are: valid indices lie below it."""
        ...

    def clip(self, index: int, frames: int) -> Clip:
        """The clip at `index`, `frames` long; the same bytes every time.

        Raises:
            UserError: the source is shorter than `frames`, or has no clip of that index.
        """
        ...


@dataclass(frozen=True)
class SourceOptions:
    """How frames are read. Only `channels` and `data_dir` apply to generated sets.

    Frames go through the steps in this order: start, stop and stride; channels; levels; tiles;
    resize; crop.

    Attributes:
        resize: height and width to resize each frame (each tile) to, area-averaged.
        channels: 1 for grey, 3 for RGB; None keeps what the source has.
        stride: take every n-th frame. 8 for Grand Central (paper, appendix D).
        tiles: rows and columns to split each frame into; each tile is a sequence of its own.
            (2, 4) gives the 8 parts of appendix D. The tiles of one frame are equally large; what
            is left at the right and lower edge is dropped.
        crop: height and width of random patches, cut in the train split only. None: whole frames.
        data_dir: folder with the MNIST files in IDX format, plain or gzipped.
        start: first frame taken, counted from 0 before the stride.
        stop: the frame after the last one taken; None: to the end.
        levels: brightness, each 0 to 255, that becomes black and that becomes white, for video of
            low contrast; what lies between is stretched, what lies beyond is clipped. None: as is.
    """

    resize: Size | None = None
    channels: Literal[1, 3] | None = None
    stride: int = 1
    tiles: Size | None = None
    crop: Size | None = None
    data_dir: str | Path | None = None
    start: int = 0
    stop: int | None = None
    levels: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("resize", "tiles", "crop"):
            size = getattr(self, name)
            if size is not None and (len(size) != 2 or min(size) < 1):
                raise UserError(f"{name}={size}: give two numbers of at least 1, height and width")
        if self.channels not in (None, 1, 3):
            raise UserError(f"channels={self.channels}: give 1 (grey) or 3 (RGB)")
        if self.stride < 1:
            raise UserError(f"stride={self.stride}: give at least 1 (every frame)")
        if self.start < 0 or (self.stop is not None and self.stop <= self.start):
            raise UserError(
                f"frames {self.start} to {self.stop} are none: start counts from 0, stop lies after"
            )
        levels = self.levels
        if levels is not None and not (len(levels) == 2 and 0 <= levels[0] < levels[1] <= 255):
            raise UserError(
                f"levels={levels}: give two brightnesses of 0 to 255, first what becomes black, "
                "then, above it, what becomes white"
            )


DEFAULT_OPTIONS = SourceOptions()


def generator(name: str, split: Split, seed: int, *key: int) -> np.random.Generator:
    """The random numbers of one clip or batch: a pure function of all that names it.

    Philox, because its streams of different keys are independent; the split enters the key, so
    that no test clip is ever a training clip.

    Args:
        name: the set.
        split: train or test.
        seed: the user's seed, at least 0.
        key: indices within the set, each at least 0.

    Raises:
        UserError: the seed is negative.
    """
    if seed < 0:
        raise UserError(f"seed={seed}: give a seed of at least 0")
    entropy = [crc32(name.encode()), {"train": 0, "test": 1}[split], seed, *key]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


def check_split(split: str) -> None:
    """Raise UserError unless `split` is train or test."""
    if split not in ("train", "test"):
        raise UserError(f"split {split!r} is unknown: give train or test")


def check_clip(name: str, index: int, frames: int, starts: Callable[[int], int]) -> None:
    """Raise UserError unless a source called `name` has a clip `index` of `frames` frames.

    Args:
        name: names the source in the message.
        index: the clip wanted.
        frames: its length.
        starts: the source's `starts`.
    """
    if frames < 1:
        raise UserError(f"{name}: a clip of {frames} frames was asked for; give at least 1")
    count = starts(frames)
    if count < 1:
        longest = next((n for n in range(frames, 0, -1) if starts(n) > 0), 0)
        raise UserError(
            f"{name} has {longest} frames in a row, fewer than the {frames} of a clip: "
            "ask for shorter clips or a smaller stride"
        )
    if not 0 <= index < count:
        raise UserError(
            f"{name} has no clip {index}: clips of {frames} frames are 0 to {count - 1}"
        )
