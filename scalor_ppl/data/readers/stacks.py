"""Stacks of planes with named axes, and those that lie in one array: ``.npy``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data.readers.axes import Planes, choose_planes, letters_of
from scalor_ppl.data.readers.base import StackReader, one_of_three, told
from scalor_ppl.errors import UserError

_COLOURS = (3, 4)  # lengths of a last axis that is red, green, blue and perhaps opaqueness


class PlanarReader(StackReader):
    """A stack of which single planes can be read; the base of readers of such stacks.

    ``__init__`` of a subclass is to call `arrange`.
    """

    def arrange(self, axes: str, shape: Sequence[int], labels: Sequence[str] = ()) -> None:
        """Choose frames, channel and slice; arguments as of `choose_planes`."""
        self._planes: Planes = choose_planes(self.path.name, axes, shape, self.options, labels)

    def plane(self, place: tuple[int, ...]) -> np.ndarray:
        """[H, W] or [H, W, C] of a plane, by its indices along the axes."""
        raise NotImplementedError

    def __len__(self) -> int:
        """How many frames there are."""
        return self._planes.frames

    def frame(self, number: int) -> np.ndarray:
        """See `StackReader`; of several slices the brightest, where that is asked for."""
        first, *others = self._planes.of(number)
        pixels = self.plane(first)
        for place in others:
            pixels = np.maximum(pixels, self.plane(place))
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        if pixels.shape[2] in (2, 4):  # how opaque it is, is dropped
            pixels = pixels[..., :-1]
        if self._planes.channels:
            return pixels
        return one_of_three(pixels, self.options, self.path.name)


class ArrayReader(PlanarReader):
    """A stack in one array, in memory or on the disk.

    Args:
        path: names it.
        options: with the axes, the channel and the slice.
        array: what is indexed as a numpy array, with `shape`.
        axes: a letter for each dimension of the array, as far as the file tells; None goes by
            their number: rows and columns come last, or colours after them; one before is time.
        labels: names of the channels.

    Raises:
        UserError: the array has no rows and columns, or what `choose_planes` complains of.
    """

    def __init__(
        self,
        path: Path,
        options: SourceOptions,
        array: Any,
        axes: str | None = None,
        labels: Sequence[str] = (),
    ) -> None:
        super().__init__(path, options)
        shape = tuple(array.shape)
        if len(shape) < 2 or 0 in shape:
            raise UserError(f"{path} holds an array of shape {shape}: rows and columns are wanted")
        if options.axes is not None:
            letters = letters_of(path.name, options.axes, shape)
        else:
            letters = _guessed(shape) if axes is None else axes
        self._array = array
        self._letters = letters
        leading = [n for n, letter in enumerate(letters) if letter not in "YXS"]
        self.arrange("".join(letters[n] for n in leading), [shape[n] for n in leading], labels)

    def plane(self, place: tuple[int, ...]) -> np.ndarray:
        """See `PlanarReader`."""
        indices = iter(place)
        chosen = tuple(
            slice(None) if letter in "YXS" else next(indices) for letter in self._letters
        )
        plane = np.asarray(self._array[chosen])
        kept = [letter for letter in self._letters if letter in "YXS"]
        return plane.transpose([kept.index(letter) for letter in "YXS" if letter in kept])


def _guessed(shape: tuple[int, ...]) -> str:
    """Letters for an array that has no names for its dimensions."""
    colours = len(shape) > 2 and (shape[-1] in _COLOURS or (len(shape) > 3 and shape[-1] == 1))
    plane = "YXS" if colours else "YX"
    return "Q" * (len(shape) - len(plane)) + plane


class NumpyReader(ArrayReader):
    """A ``.npy`` file, which is not read as a whole: [T, H, W], [T, H, W, C], and more axes."""

    def __init__(self, path: Path, options: SourceOptions) -> None:
        with told(path, 0):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(array, np.ndarray):  # an archive of several
                raise ValueError("it is an archive of arrays: save the one that is meant")
        super().__init__(path, options, array)
