"""Which pixels a training is given: frames, their size, crops, levels."""

from dataclasses import dataclass
from math import ceil, sqrt

from scalor_ppl.data.records import Size
from scalor_ppl.fitting.objects import ObjectStatistics
from scalor_ppl.fitting.reasons import Draft
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
    """What a program sees of a video.

    Attributes:
        frame: height and width of the whole frame, in pixels, after resizing.
        scale: by which lengths were resized.
        cell: side of the squares that the frame is cut into, in pixels: half an object, or about.
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


def choose_view(survey: Survey, objects: ObjectStatistics) -> View:
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


def choose_data(draft: Draft, survey: Survey, objects: ObjectStatistics, view: View) -> None:
    """Size, crops, channels, levels and range of the frames; what the user has given stays.

    Whole frames before a camera that stands still are mirrored and reversed in time, the scene
    with them: programs then track frames better that they were not trained on (RESULTS.md). Crops
    are no better for it (RESULTS.md).
    """
    options = survey.options
    size = f"{objects.widths[1]:.3g} x {objects.heights[1]:.3g} pixels (width x height)"
    known = survey.given.size is not None
    if options.resize is not None:
        draft.choose("data.resize", list(view.frame), "as asked for")
    elif view.frame != survey.size:
        why = f"the median object is {size}, {objects.size * view.scale:.3g} on average then"
        if known:
            why = f"as you say, {why}"
        elif survey.objects is None:
            why = f"a guess, for the camera moves and objects could not be measured; {why}"
        elif view.scale == 1:
            why = f"whole cells of {view.cell} pixels"
        draft.choose("data.resize", list(view.frame), why)
    if view.crop is not None:
        why = (
            f"{objects.count[1]:.0f} objects in {view.frame[0]} x {view.frame[1]} pixels are too "
            "many at once, and any part of the frame is like the others"
        )
        draft.choose("data.crop", list(view.crop), "as asked for" if options.crop else why)
    if options.channels is not None:
        draft.choose("data.channels", options.channels, "as asked for")
    elif survey.channels == 1:
        draft.choose("data.channels", 1, "the video has no colour")
    if options.levels is not None:
        draft.choose("data.levels", list(options.levels), "as asked for")
    elif survey.levels is not None:
        used = survey.levels[1] - survey.levels[0]
        why = f"all brightness lies within {used} of 255 levels: low contrast"
        draft.choose("data.levels", list(survey.levels), why)
    for name, value in (("start", options.start or None), ("stop", options.stop)):
        if value is not None:
            draft.choose(f"data.{name}", value, "as asked for")
    if not survey.static:
        draft.choose("data.augment", False, "whether objects have an upright is not known")
    elif view.crop is not None:
        draft.choose("data.augment", False, "patches from anywhere in the frame vary enough")
    else:
        why = "mirrored and reversed, the scene with them, few objects look and move like more"
        draft.choose("data.augment", True, why)


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
