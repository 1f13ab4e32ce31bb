"""What all sets have in common that are made on the fly."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

import numpy as np

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data.records import Clip, Split, check_split, generator
from scalor_ppl.errors import UserError

LENGTH = 2**31
"""How many clips a generated set has, for each split and seed."""

Shown = TypeVar("Shown")


class GeneratedSet(ABC, Generic[Shown]):
    """A generated set as a clip source: first what there is to see is worked out, then painted.

    Every clip is a pure function of set, split, seed and index; a longer clip of the same index
    begins with the shorter one.

    Args:
        name: the set's.
        view: height and width of a frame, in pixels.
        channels: 1 (grey) or 3 (RGB), unless the options say otherwise.
        split: train or test clips; none is in both.
        seed: another seed gives other clips.
        options: `channels` applies, those of recordings must be left alone.

    Raises:
        UserError: options that a generated set has no use for, no such split, or a bad seed.
    """

    def __init__(
        self,
        name: str,
        view: int,
        channels: int,
        *,
        split: Split,
        seed: int,
        options: SourceOptions,
    ) -> None:
        check_split(split)
        wrong = options.of_recordings()
        if wrong:
            raise UserError(f"{name} is generated; {', '.join(wrong)} apply to recordings only")
        self.split: Split = split
        self.seed = seed
        self.name = name
        self.height = self.width = view
        self.channels: int = options.channels or channels
        generator(name, split, seed)  # a bad seed is told now, not at the first clip

    def __len__(self) -> int:
        """How many clips there are: so many that none need ever be seen twice."""
        return LENGTH

    def starts(self, frames: int) -> int:
        """How many clips of `frames` frames there are; the same for every length."""
        return LENGTH

    def clip(self, index: int, frames: int) -> Clip:
        """Make the clip of an index.

        Args:
            index: 0 to 2**31 - 1.
            frames: T, at least 1.

        Returns:
            Video [T, H, W, C] with its truth; ids are 0 to N - 1.

        Raises:
            UserError: no such index, or no frames.
        """
        return self._render(self._shown(index, frames), range(frames))

    def parts(self, index: int, frames: int, length: int) -> Iterator[Clip]:
        """The clip of an index in parts, which are painted one by one as they are taken.

        For clips too long for the memory: only the motion is worked out for all frames at once.

        Args:
            index: 0 to 2**31 - 1.
            frames: T, of all parts together, at least 1.
            length: frames of a part, at least 1; the last part may be shorter.

        Returns:
            Clips that, one after another, are `clip(index, frames)`; all have the same N objects.

        Raises:
            UserError: no such index, or no frames.
        """
        shown = self._shown(index, frames)
        starts = range(0, frames, length)
        return (self._render(shown, range(frames)[t : t + length]) for t in starts)

    @abstractmethod
    def _shown(self, index: int, frames: int) -> Shown:
        """All that there is to see in a clip, before it is painted; refuses what `clip` refuses."""

    @abstractmethod
    def _render(self, shown: Shown, frames: range) -> Clip:
        """Paint some frames, in a row, and tell what was painted."""


def with_channels(canvas: np.ndarray, channels: int) -> np.ndarray:
    """[..., channels] uint8 of a canvas in 0..1; grey is the mean of red, green and blue."""
    if canvas.shape[-1] > channels:
        canvas = canvas.mean(axis=-1, keepdims=True)
    elif canvas.shape[-1] < channels:
        canvas = np.repeat(canvas, channels, axis=-1)
    return (canvas * 255 + 0.5).astype(np.uint8)
