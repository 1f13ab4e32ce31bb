"""Which pixels a training is given: the frame's size, the grid's cells, crops."""

from dataclasses import dataclass
from math import ceil, sqrt

from scalor_ppl.data.records import Size
from scalor_ppl.fitting.moving import Objects
from scalor_ppl.fitting.survey import Survey

SMALL, GOOD, LARGE = 7.0, 13.0, 16.0
"""Mean side of an object in pixels: below SMALL frames are enlarged, above LARGE they are shrunk,
towards GOOD."""

_LEAST = 10.0  # pixels; a whole-numbered reduction may leave this much of an object
_MANY = 30  # objects in view from which a large frame is trained in crops
_LARGE_FRAME = 150 * 200  # pixels
_CROP = 64  # pixels
_CROP_OBJECTS = 4  # objects that at least fit across a crop


@dataclass(frozen=True)
class View:
    """What the model sees of a video.

    Attributes:
        frame: height and width of the whole frame, in pixels, after resizing.
        scale: by which lengths were resized.
        cell: side of a discovery cell, in pixels.
        crop: height and width of the random crops of the training; None: whole frames.
        objects: 95th percentile of the number of objects in the view of the training.
    """

    frame: Size
    scale: float
    cell: int
    crop: Size | None
    objects: float

    @property
    def training(self) -> Size:
        """Height and width of what is trained on."""
        return self.frame if self.crop is None else self.crop

    @property
    def grid(self) -> Size:
        """Rows and columns of cells in the view of the training."""
        return ceil(self.training[0] / self.cell), ceil(self.training[1] / self.cell)


def choose_view(survey: Survey, objects: Objects) -> View:
    """Sizes in which the median object is 10 to 16 pixels large and two cells wide.

    A size or crop that the user has given stays.
    """
    given = survey.options.resize is not None
    scale = 1.0 if given else _scale(objects.size)
    cell = _cell(objects.size * scale)
    frame = survey.size
    if not given:
        frame = (_multiple(frame[0] * scale, cell), _multiple(frame[1] * scale, cell))
    crop = survey.options.crop
    if crop is None and objects.count[1] > _MANY and frame[0] * frame[1] > _LARGE_FRAME:
        side = max(_CROP, _CROP_OBJECTS * max(objects.widths[1], objects.heights[1]) * scale)
        side = ceil(side / cell) * cell
        if side < min(frame):
            crop = (side, side)
    return View(frame, scale, cell, crop, _in_view(objects.count[1], frame, crop))


def _scale(size: float) -> float:
    """The factor for objects of a mean side, in pixels."""
    if size < SMALL:
        return min(2.0, GOOD / size)
    if size <= LARGE:
        return 1.0
    whole = ceil(size / LARGE)  # averages whole pixels: the sharpest reduction
    return 1 / whole if size / whole >= _LEAST else GOOD / size


def _cell(size: float) -> int:
    """4 or 8 pixels, whichever is nearer (as a ratio) to half of an object."""
    return 4 if size / 2 < sqrt(4 * 8) else 8


def _multiple(side: float, cell: int) -> int:
    return max(1, round(side / cell)) * cell


def _in_view(count: float, frame: Size, crop: Size | None) -> float:
    """The 95th percentile in a crop: objects fall into it at random."""
    if crop is None:
        return count
    mean = count * crop[0] * crop[1] / (frame[0] * frame[1])
    return mean + 2 * sqrt(mean)
