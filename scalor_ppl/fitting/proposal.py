"""What a program proposes for a video: settings, reasons, and the objects that they are for."""

from dataclasses import dataclass
from typing import Any

from scalor_ppl.errors import UserError
from scalor_ppl.fitting.kinds import Percentiles
from scalor_ppl.fitting.objects import ObjectStatistics
from scalor_ppl.fitting.reasons import Reason
from scalor_ppl.fitting.survey import Survey

_GIVEN_LEAST, _GIVEN_MOST = 0.85, 1.15  # of a size that the user gives, that objects have


@dataclass(frozen=True)
class Proposal:
    """Settings of a training.

    Attributes:
        settings: tables of settings, as read from TOML: data, model, guide, prior, train.
        reasons: one for each setting that follows from the video.
        objects: that they are for: those of the survey, or what was guessed or given.
    """

    settings: dict[str, Any]
    reasons: list[Reason]
    objects: ObjectStatistics


def objects_to_fit(survey: Survey) -> ObjectStatistics:
    """The objects that settings are to be chosen for.

    Where a moving camera hides them, they are as the user says, or a tenth of the frame.

    Raises:
        UserError: nothing moves in the video, or what moves is too faint or too seldom whole.
    """
    if survey.objects is not None:
        return survey.objects
    if survey.static and survey.given.size is None:
        raise UserError(
            f"nothing that moves can be made out in {survey.name}: give a longer video or a part "
            "(data.start, data.stop) in which whole objects move and stand out from the "
            "background, or say how large they are (--object-size WIDTHxHEIGHT)"
        )
    side, given = min(survey.size) / 10, survey.given
    widths: Percentiles = (0.6 * side, side, 1.6 * side)
    heights = widths
    if given.size is not None:
        widths, heights = (
            (_GIVEN_LEAST * length, length, _GIVEN_MOST * length) for length in given.size
        )
    count = (5.0, 10.0) if given.count is None else (given.count, given.count)
    return ObjectStatistics(widths, heights, count=count, covered=0.05, contrast=0.4)


def origin_in_words(survey: Survey, known: object) -> str:
    """What a reason begins with, of a size or a number: empty where it was measured.

    Args:
        survey: of the video.
        known: what the user says of it; none says nothing.
    """
    if known is not None:
        return "as you say; "
    if survey.objects is not None:
        return ""
    return "a guess, for the camera moves; " if not survey.static else "a guess; "
