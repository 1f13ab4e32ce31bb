"""How frames are read: what a run stores, and every reader of a recording follows."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from scalor_ppl.errors import UserError

Pair = Annotated[tuple[int, int], Field(description="height, width")]

_GENERATED = {"channels", "folder", "deep_levels"}


def _as_text(place: object) -> object:
    """A path as the text that a configuration holds."""
    return str(place) if isinstance(place, Path) else place


class SourceOptions(BaseModel):
    """How frames are read. Only `channels` and `folder` apply to generated sets.

    Frames go through the steps in this order: start, stop and stride; channel and slice;
    deep_levels; channels; levels; tiles; resize; crop.

    Attributes:
        resize: height, width in pixels to which frames (each tile) are scaled, area-averaged;
            none keeps the source's size.
        tiles: rows, columns of equal tiles into which frames are split, each a sequence of its
            own; what is left at the right and lower edge is dropped. (2, 4) for Grand Central
            (paper, appendix D).
        crop: height, width of random patches for training; none uses whole frames.
        channels: 1 (grey) or 3 (RGB); none keeps the source's.
        channel: the one channel that is read, from 0, where a stack has several (or one of red,
            green and blue); it is grey.
        slice: the one slice (z) that is read, from 0, where each frame has several; or ``max``,
            the brightest along z.
        axes: what the axes of a stack are, as ``TCZYX`` (time, channel, slice, rows, columns; S
            for red, green and blue), in the file's order and without those of length 1; none
            believes the file.
        reader: what reads it: a registered name (``scalor_ppl/data/readers/registry.py``),
            ``file.py:Class`` or ``package.module:Class``; none goes by the name's ending.
        deep_levels: values of pixels of more than 8 bits that become black and white; none finds
            them: where a recording is trained on, once and for all that the run reads later.
        levels: brightness (0 to 255) that is stretched to black and to white, for video of low
            contrast; none leaves it.
        stride: take every n-th frame of a video. 8 for Grand Central (paper, appendix D).
        start, stop: range of source frames (0-based, before the stride, stop exclusive).
        folder: folder of the MNIST IDX files, plain or gzipped, for the sets made of digits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resize: Pair | None = None
    tiles: Pair | None = None
    crop: Pair | None = None
    channels: Literal[1, 3] | None = None
    channel: int | None = None
    slice: int | Literal["max"] | None = None
    axes: str | None = None
    reader: str | None = None
    deep_levels: Annotated[tuple[float, float], Field(description="black, white")] | None = None
    levels: Annotated[tuple[int, int], Field(description="black, white")] | None = None
    stride: int = 1
    start: int = 0
    stop: int | None = None
    folder: Annotated[str | None, BeforeValidator(_as_text)] = None

    @model_validator(mode="after")
    def _checked(self) -> "SourceOptions":
        # A UserError passes through pydantic as it is: these are told alike from the command line,
        # from a file and from Python.
        for name in ("resize", "tiles", "crop"):
            size = getattr(self, name)
            if size is not None and min(size) < 1:
                raise UserError(f"{name}={size}: give two numbers of at least 1, height and width")
        for name in ("channel", "slice"):
            number = getattr(self, name)
            if isinstance(number, int) and number < 0:
                raise UserError(f"{name}={number}: give a number from 0")
        if self.stride < 1:
            raise UserError(f"stride={self.stride}: give at least 1 (every frame)")
        if self.start < 0 or (self.stop is not None and self.stop <= self.start):
            raise UserError(
                f"frames {self.start} to {self.stop} are none: start counts from 0, stop lies after"
            )
        if self.levels is not None and not 0 <= self.levels[0] < self.levels[1] <= 255:
            raise UserError(
                f"levels={self.levels}: give two brightnesses of 0 to 255, first what becomes "
                "black, then, above it, what becomes white"
            )
        deep = self.deep_levels
        if deep is not None and not -float("inf") < deep[0] < deep[1] < float("inf"):
            raise UserError(
                f"deep_levels={deep}: give two values, first what becomes black, then, above it, "
                "what becomes white"
            )
        return self

    def changed(self, **changes: Any) -> Self:
        """The same with other values for some settings, checked as when they are first given."""
        return type(self).model_validate({**self.model_dump(), **changes})

    def taken(self, number: int) -> bool:
        """Whether start and stride choose the frame of a number; `stop` ends reading instead."""
        return number >= self.start and (number - self.start) % self.stride == 0

    def of_recordings(self) -> list[str]:
        """What is given, other than by default, and has no meaning for clips that are made."""
        default = SourceOptions()
        names = sorted(set(SourceOptions.model_fields) - _GENERATED)
        return [name for name in names if getattr(self, name) != getattr(default, name)]


DEFAULT_OPTIONS = SourceOptions()
