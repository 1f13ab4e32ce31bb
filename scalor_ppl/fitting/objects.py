"""What is known of the moving objects of a video."""

from dataclasses import dataclass, field, replace

import numpy as np

from scalor_ppl.fitting.kinds import Percentiles


@dataclass(frozen=True)
class Sighting:
    """A frame that was looked at, and what is taken for objects there.

    Attributes:
        number: of the frame, among those that are read.
        picture: [h, w, C] uint8.
        boxes: [N, 4] left, top, width, height in pixels of the picture.
        objects: [N] how many objects are taken to be in each box.
        single: [N] bool: whole, single objects, whose size was measured.
    """

    number: int
    picture: np.ndarray
    boxes: np.ndarray
    objects: np.ndarray
    single: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """What sizes and numbers of objects were seen by.

    Attributes:
        frames: that were looked at, over the whole of the video.
        singles: whole, single objects in all of these.
        alone: share of all that moves that these are, by area, 0..1.
        spread: of their sides, half of what lies between the 5th and the 95th percentile, as a
            share of the median.
        steady: share of the frames with about as many objects as the median frame, 0..1.
        sightings: some of the frames.
    """

    frames: int
    singles: int
    alone: float
    spread: float
    steady: float
    sightings: tuple[Sighting, ...] = field(repr=False)


@dataclass(frozen=True)
class Plane:
    """The plane that objects move on, as a camera sees it that looks down on it.

    Attributes:
        perspective: how much larger they are at the lower edge of the frame than in its middle row,
            as a share.
        widths, heights: percentiles as in `Objects`, of what they would be in the middle row.
    """

    perspective: float
    widths: Percentiles
    heights: Percentiles

    def in_units(self, length: float) -> "Plane":
        """The same with lengths `length` times as large."""
        return replace(
            self, widths=_times(self.widths, length), heights=_times(self.heights, length)
        )


@dataclass(frozen=True)
class ObjectStatistics:
    """The moving things of a video.

    Attributes:
        widths: of their boxes, in pixels: 5th, 50th and 95th percentile.
        heights: likewise.
        count: in view at once: median and 95th percentile over frames.
        covered: share of the pixels that they cover, 0..1.
        contrast: how far their pixels are from the background, in levels (in a `Survey` as a share
            of the range).
        unpainted: standard deviation of their pixels about what a decoder can be expected to paint,
            in the same units; none where too few were seen.
        plane: how they shrink with the distance; none where their size does not depend on the
            place.
        kinds: width and height of either kind where there are two sizes of objects, the smaller
            first; empty where there is one.
        turning: they are seen lengthwise and crosswise, and widths and heights reach from the short
            side to the long one.
        evidence: what this was seen by; none where it is a guess.
    """

    widths: Percentiles
    heights: Percentiles
    count: tuple[float, float]
    covered: float
    contrast: float
    unpainted: float | None = None
    plane: Plane | None = None
    kinds: tuple[tuple[float, float], ...] = ()
    turning: bool = False
    evidence: Evidence | None = None

    @property
    def size(self) -> float:
        """Mean of the median object's width and height, in pixels."""
        return (self.widths[1] + self.heights[1]) / 2

    def in_units(self, length: float, contrast: float) -> "ObjectStatistics":
        """The same with lengths `length` times as large and contrast in units of `contrast`."""
        return replace(
            self,
            widths=_times(self.widths, length),
            heights=_times(self.heights, length),
            contrast=self.contrast / contrast,
            unpainted=None if self.unpainted is None else self.unpainted / contrast,
            plane=None if self.plane is None else self.plane.in_units(length),
            kinds=tuple((length * width, length * height) for width, height in self.kinds),
        )


def _times(sides: Percentiles, factor: float) -> Percentiles:
    low, middle, high = sides
    return factor * low, factor * middle, factor * high
