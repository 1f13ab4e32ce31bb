"""The rules by which tracks are scored, side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.scores import Scores, evaluate_tracks
from scalor_ppl.tracks.table import Tracks

if TYPE_CHECKING:
    from scalor_ppl.data.records import Truth


@dataclass(frozen=True)
class Rule:
    """One way of scoring.

    Attributes:
        sizes: the gate in object sizes for centre distance; None for box IoU of at least a half.
        min_visible: least visible share of an object that counts.
        set_aside: least visible share of a sliver; None sets nothing aside.
    """

    sizes: float | None
    min_visible: float = 0.25
    set_aside: float | None = 0.0


RULES: Mapping[str, Rule] = {
    "standard": Rule(sizes=2.0),
    "plain": Rule(sizes=2.0, min_visible=0.08, set_aside=None),
    "strict": Rule(sizes=0.5),
    "iou": Rule(sizes=None),
}
"""The rules that are reported side by side. *standard*: the paper's gate, twice the object size.
*plain*: the same gate, but every object from 8 % visible counts and nothing is set aside.
*strict*: half the object size. *iou*: box IoU of at least a half."""


def evaluate_by_rules(
    tracks: Sequence[Tracks],
    truths: "Sequence[Truth]",
    *,
    presence_threshold: float = 0.5,
    mse: float = math.nan,
) -> dict[str, Scores]:
    """Score by every rule of `RULES`.

    Args:
        tracks: predictions, one a clip.
        truths: ground truth, one a clip, in the same order.
        presence_threshold: least presence of a prediction that counts, 0..1.
        mse: the reconstruction's error, passed on to the scores.

    Returns:
        The scores by the rule's name, in the order of `RULES`.

    Raises:
        UserError: no clip's truth has a box that counts by any rule.
        ValueError: as `evaluate_tracks`.
    """
    least = min(rule.min_visible for rule in RULES.values())
    if truths and not any(truth.counted(least).any() for truth in truths):
        raise UserError(
            f"the truth has no boxes that count in the {len(truths)} clips: there is nothing to "
            "score; choose other clips"
        )
    return {
        name: evaluate_tracks(
            tracks,
            truths,
            sizes=rule.sizes or 2.0,
            match="iou" if rule.sizes is None else "centre",
            min_visible=rule.min_visible,
            set_aside=rule.set_aside,
            presence_threshold=presence_threshold,
            mse=mse,
        )
        for name, rule in RULES.items()
    }
