"""The whole configuration of a training on somebody's own video, and where it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scalor_ppl.config.schema import Config
from scalor_ppl.config.settings import merged, parse_setting, without_none
from scalor_ppl.data.piped import refuse_piped
from scalor_ppl.fitting.kinds import NOTHING_GIVEN, Given
from scalor_ppl.fitting.reasons import Belief, Reason, beliefs
from scalor_ppl.fitting.survey import Survey, survey
from scalor_ppl.programs import FindsObjects, ProposesSettings, require_of
from scalor_ppl.programs.configuration import checked
from scalor_ppl.programs.loader import family_of
from scalor_ppl.programs.registry import DEFAULT, PROGRAMS
from scalor_ppl.training.budget import scaled


@dataclass(frozen=True)
class FitPlan:
    """What will be trained, and why.

    Attributes:
        config: of the training, its number of steps not chosen yet.
        survey: of the video.
        reasons: of every setting that follows from the video or was given.
        beliefs: what is taken to be true of the video, and how sure that is.
        size: width and height of the median object, in pixels of the video as it is read.
        steps_given: the user has chosen how long to train, in steps.
    """

    config: Config
    survey: Survey
    reasons: list[Reason]
    beliefs: list[Belief]
    size: tuple[float, float]
    steps_given: bool


def program_to_fit(given: Sequence[str], overrides: Mapping[str, Any]) -> type[ProposesSettings]:
    """The kind of program that these settings name, which proposes the others.

    Args:
        given, overrides: see :func:`plan_fit`.

    Raises:
        UserError: it finds no objects, or proposes no settings.
    """
    own = merged(*map(parse_setting, given), without_none(overrides))
    family = family_of(str(own.get("model_file", PROGRAMS[DEFAULT].model)))
    require_of(family, FindsObjects, "fit")
    return require_of(family, ProposesSettings, "fit")


def plan_fit(
    video: Path,
    given: Sequence[str],
    overrides: Mapping[str, Any],
    known: Given = NOTHING_GIVEN,
) -> FitPlan:
    """Look at a video and choose the settings of a training.

    Args:
        video: a video file, or a folder of images.
        given: ``a.b=value`` texts of the user; they win over what is proposed, and what is proposed
            takes account of those of the table ``data``.
        overrides: nested settings that win over all; values of None are passed over.
        known: what the user says of the objects.

    Raises:
        UserError: the video cannot be read or fitted to, a setting is wrong, or the program finds
            no objects or proposes no settings.
    """
    refuse_piped(video)
    own = merged(
        *map(parse_setting, given), without_none(overrides), {"data": {"source": str(video)}}
    )
    program = program_to_fit(given, overrides)
    base = program.settings_for_any_video()
    looked = survey(video, checked(merged(base, own)).data, given=known)
    proposal = program.propose(looked)
    config = checked(merged(base, proposal.settings, own))
    steps_given = _at(own, "train.steps") is not None
    if steps_given:  # schedules keep their shapes, as they do for a given time
        free = without_none(merged(own, {"train": {"steps": None}}))
        train = checked(merged(base, proposal.settings, free)).train
        config = config.model_copy(update={"train": scaled(train, config.train.steps)})
    document = config.model_dump()
    reasons = [
        reason
        if _at(own, reason.name) is None
        else replace(reason, value=_at(document, reason.name), why="given by you")
        for reason in proposal.reasons
    ]
    objects = proposal.objects
    size = (objects.widths[1], objects.heights[1])
    return FitPlan(config, looked, reasons, beliefs(looked, objects), size, steps_given)


def _at(settings: Mapping[str, Any], name: str) -> Any:
    """The setting of a dotted name; none where there is none."""
    found: Any = settings
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found
