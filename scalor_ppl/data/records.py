"""The structures that every data source hands over, and what a source is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable
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
        centres: [T, N, 2] float64; x, y of the centre of mass of the object's painted area, in
            pixels of the view, NaN where the object does not exist or nothing of it is in view.
            None where nobody knows better than the middle of the box.
    """

    ids: np.ndarray
    boxes: np.ndarray
    visible: np.ndarray
    masks: np.ndarray | None
    object_size: float
    ignored: np.ndarray | None = None
    centres: np.ndarray | None = None

    def middles(self) -> np.ndarray:
        """Float64 [T, N, 2]: `centres`, or the middles of the boxes where nobody knows better."""
        if self.centres is not None:
            return self.centres
        return self.boxes[..., :2].astype(np.float64) + self.boxes[..., 2:] / 2

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
            centres=None if self.centres is None else self.centres[:, objects],
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


@runtime_checkable
class GeneratedSource(ClipSource, Protocol):
    """A registered set: its clips are as long as one likes, and come in parts too.

    Attributes:
        spec: the set's own figures.
        split: which clips these are.
        seed: of what is drawn at random.
    """

    spec: Any
    split: Split
    seed: int

    def parts(self, index: int, frames: int, length: int) -> Iterator[Clip]:
        """The clip at `index` in parts of `length` frames, made one by one as they are taken."""
        ...


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
