"""How fast a training goes through a video: the stride, and how far objects may step."""

from dataclasses import dataclass

from scalor_ppl.fitting.objects import ObjectStatistics
from scalor_ppl.fitting.survey import Survey
from scalor_ppl.fitting.view import View

_SLOW = 0.05  # object sizes a frame, below which frames are left out
_AIM = 0.1  # object sizes a taken frame
_LARGEST_STRIDE = 8
_FEWEST_TAKEN = 60  # frames that a stride must leave
_STEP = (0.02, 0.3)  # bounds of the largest step, in half-sides of the view


@dataclass(frozen=True)
class Pace:
    """How fast.

    Attributes:
        stride: every how many-th frame is taken.
        stride_why: one sentence.
        largest_step: how far an object may move in a taken frame, in halves of the view's shorter
            side.
        largest_step_why: one sentence.
    """

    stride: int
    stride_why: str
    largest_step: float
    largest_step_why: str


def choose_pace(survey: Survey, objects: ObjectStatistics, view: View) -> Pace:
    """The stride and the largest step; a stride that the user has given stays."""
    stride, stride_why = _stride(survey, objects)
    size = objects.size
    # The stride counts frames of the file; motion was measured in frames as read.
    skipped = stride / survey.options.stride
    if survey.motion is None:
        way, why = size, "objects could not be followed, so an object's size a frame is allowed"
    else:
        way = max(1.5 * survey.motion.high * skipped, size / 3)
        why = (
            f"19 of 20 steps are below {survey.motion.high * skipped:.3g} pixels of the video; "
            "1.5 times that, and at least a third of an object"
        )
    reach = way * view.scale / (min(view.training) / 2)
    return Pace(stride, stride_why, round(min(max(reach, _STEP[0]), _STEP[1]), 3), why)


def _stride(survey: Survey, objects: ObjectStatistics) -> tuple[int, str]:
    """Stride in frames of the file, and why."""
    size, motion, given = objects.size, survey.motion, survey.options.stride
    if given > 1:
        return given, "as asked for"
    if motion is None:
        return 1, "objects could not be followed, so no frame is left out"
    if not motion.directed:
        return 1, "objects diffuse or tremble: leaving frames out would only make steps larger"
    speed = motion.drift / motion.lag / size
    if speed >= _SLOW:
        return 1, f"what moves goes {speed:.0%} of its size a frame, which is enough"
    most = min(_LARGEST_STRIDE, survey.frames // _FEWEST_TAKEN, int(size / motion.high))
    stride = max(1, min(most, round(_AIM / speed)))
    return stride, (f"what moves goes {speed:.1%} of its size a frame, {speed * stride:.0%} then")
