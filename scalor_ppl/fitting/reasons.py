"""What a plan rests on: beliefs about a video, how sure they are, a reason for each setting."""

from dataclasses import dataclass
from typing import Any, Literal

from scalor_ppl.fitting.objects import ObjectStatistics
from scalor_ppl.fitting.survey import Survey

Sureness = Literal["sure", "fairly sure", "not sure"]

_MANY, _SOME = 30, 12  # whole, single objects that sizes were measured on
_ALIKE, _UNLIKE = 0.4, 0.7  # spread of sides, as a share of the median
_ALONE, _SELDOM_ALONE = 0.5, 0.25  # share of all that moves that single objects are
_STEADY, _UNSTEADY = 0.85, 0.6  # share of the frames with about as many objects
_AGREED, _MOST = 0.9, 0.6  # share of the pairs of frames that say the same of the camera
_PAIRS = 4  # of frames
_SURELY_EXPLAINED = 0.9  # share of the pixels, where no detail tells


@dataclass(frozen=True)
class Reason:
    """Why a setting is what it is.

    Attributes:
        name: of the setting, such as ``data.stride``.
        value: what is proposed, as in ``Proposal.settings``.
        why: one plain sentence, without a full stop.
    """

    name: str
    value: Any
    why: str


class Draft:
    """Settings in the making.

    Attributes:
        settings: tables of settings, as read from TOML.
        reasons: of each, in the order in which they were chosen.
    """

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.reasons: list[Reason] = []

    def choose(self, name: str, value: Any, why: str) -> None:
        """Set a setting of a dotted name, such as ``data.stride``."""
        *tables, key = name.split(".")
        table = self.settings
        for inner in tables:
            table = table.setdefault(inner, {})
        table[key] = value
        self.reasons.append(Reason(name, value, why))


@dataclass(frozen=True)
class Belief:
    """What is taken to be true of a video, from which settings follow.

    Attributes:
        name: camera, size, number or motion.
        value: in a few words.
        sure: how sure that is.
        why: what it was seen by, one plain sentence without a full stop.
    """

    name: str
    value: str
    sure: Sureness
    why: str


def beliefs(survey: Survey, objects: ObjectStatistics) -> list[Belief]:
    """What is believed of a video: its camera, and how large, how many and how fast objects are.

    Args:
        survey: of the video.
        objects: that a training is proposed for; a guess where the survey has none.
    """
    return [_camera(survey), _size(survey, objects), _number(survey, objects), _motion(survey)]


def _camera(survey: Survey) -> Belief:
    seen = survey.camera
    told = seen.still + seen.shifted
    value = "stands still" if seen.static else "moves"
    if not told or (seen.static and not seen.still):
        sure: Sureness = "fairly sure" if seen.explained >= _SURELY_EXPLAINED else "not sure"
        why = f"no detail tells, but one empty scene explains {seen.explained:.0%} of the pixels"
        return Belief("camera", value, sure, why)
    agreed = (seen.still if seen.static else seen.shifted) / told
    sure = _level(
        agreed >= _AGREED and told >= _PAIRS, agreed >= _MOST and (told >= _PAIRS or seen.static)
    )
    why = f"details stay in their place in {seen.still} of {told} pairs of frames that tell"
    if seen.shifted:
        why += f", and go one way all over the frame in {seen.shifted}"
    return Belief("camera", value, sure, why)


def _size(survey: Survey, objects: ObjectStatistics) -> Belief:
    sizes = objects.kinds or ((objects.widths[1], objects.heights[1]),)
    value = " and ".join(f"{width:.0f}x{height:.0f}" for width, height in sizes) + " pixels"
    seen = objects.evidence
    if survey.given.size is not None:
        return Belief("size", value, "sure", "given by you")
    if seen is None:
        return Belief("size", value, "not sure", "a guess: a tenth of the frame")
    sure = _level(
        seen.singles >= _MANY and seen.alone >= _ALONE and seen.spread <= _ALIKE,
        seen.singles >= _SOME and seen.alone >= _SELDOM_ALONE and seen.spread <= _UNLIKE,
    )
    why = (
        f"of {seen.singles} whole ones in {seen.frames} frames, {seen.alone:.0%} of all that moves"
    )
    if objects.kinds:
        why += ", in two groups"
    elif objects.turning:
        why += ", which turn"
    else:
        why += f", 9 of 10 within {seen.spread:.0%} of the median"
    return Belief("size", value, sure, why)


def _number(survey: Survey, objects: ObjectStatistics) -> Belief:
    median, most = objects.count
    value = f"{median:.0f} in view" + (f", up to {most:.0f}" if round(most) > round(median) else "")
    seen = objects.evidence
    if survey.given.count is not None:
        return Belief("number", value, "sure", "given by you")
    if seen is None:
        return Belief("number", value, "not sure", "a guess")
    sure = _level(
        seen.steady >= _STEADY and seen.alone >= _ALONE,
        seen.steady >= _UNSTEADY and seen.alone >= _SELDOM_ALONE,
    )
    why = f"{seen.steady:.0%} of {seen.frames} frames show as many, or nearly"
    return Belief("number", value, sure, why)


def _motion(survey: Survey) -> Belief:
    motion = survey.motion
    if motion is None:
        return Belief("motion", "unknown", "not sure", "objects could not be followed")
    value = f"{motion.median:.2g} pixels a frame, up to {motion.high:.2g}"
    rests = f"they rest for {motion.resting:.0%} of the time" if motion.resting > 0.05 else ""
    way = "straight on" if motion.directed else "to and fro"
    why = f"objects followed over {motion.lag} frames go {way}"
    return Belief("motion", value, "sure", f"{why}; {rests}" if rests else why)


def _level(surely: bool, fairly: bool) -> Sureness:
    if surely:
        return "sure"
    return "fairly sure" if fairly else "not sure"
