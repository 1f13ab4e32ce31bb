"""All tracking figures of a set of clips, and the rules by which they are taken."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from scalor_ppl.evaluation.association import HotaCounts, IdentityCounts, hota, identity
from scalor_ppl.evaluation.clear import ClearCounts, clear_mot
from scalor_ppl.evaluation.counting import (
    CountSums,
    PropagationSums,
    count_errors,
    propagation,
)
from scalor_ppl.evaluation.frames import Match, scored_clip
from scalor_ppl.tracks.table import Tracks

if TYPE_CHECKING:
    from scalor_ppl.data.records import Truth

_IOU_LIMIT = 0.5  # of 1 - IoU, where `distance` does not say otherwise


@dataclass(frozen=True)
class Scores:
    """Figures of a set of clips: events of all clips are added up, then ratios are taken.

    A ratio of nothing to nothing is NaN (`to_dict` makes it None).

    Attributes:
        mota: 1 - (misses + false positives + switches) / objects; at most 1, may be negative.
        motp: mean distance of the matches, less is better: pixels, or 1 - IoU.
        precision: matches / (matches + false positives), 0..1.
        recall: matches / objects, 0..1.
        id_switches: matches with another id than the object's last one.
        fragmentations: times a matched object is missed and later matched again.
        idf1: F1 of the best pairing of identities over each clip, 0..1.
        hota: mean over 19 similarities of the geometric mean of `deta` and `assa`, 0..1.
        deta: HOTA's detection accuracy, mean over the similarities, 0..1.
        assa: HOTA's association accuracy, likewise.
        count_mae: mean over frames of ``|predicted - true| / true``; empty ones left out.
        mse: mean squared error of the reconstruction in 0..1 units; NaN where it was not given.
        propagation_rate: share of objects after the first frame that were propagated, 0..1.
        discoveries_per_video: discoveries a clip, the first frame's included.
        clips: number of clips.
        frames: number of frames of all clips.
        objects: objects that count, summed over frames.
        predictions: predictions, summed over frames, those set aside left out.
        matches: objects matched with a prediction, summed over frames.
        false_positives: predictions matched with nothing, those set aside left out.
        misses: objects matched with nothing.
        set_aside: predictions set aside because of slivers.
    """

    mota: float
    motp: float
    precision: float
    recall: float
    id_switches: int
    fragmentations: int
    idf1: float
    hota: float
    deta: float
    assa: float
    count_mae: float
    mse: float
    propagation_rate: float
    discoveries_per_video: float
    clips: int
    frames: int
    objects: int
    predictions: int
    matches: int
    false_positives: int
    misses: int
    set_aside: int

    def to_dict(self) -> dict[str, float | int | None]:
        """The figures by name, fit for JSON: None where a figure is not a number."""
        figures: dict[str, float | int] = asdict(self)
        return {name: None if math.isnan(value) else value for name, value in figures.items()}


def evaluate_tracks(
    tracks: Sequence[Tracks],
    truths: "Sequence[Truth]",
    *,
    distance: float | None = None,
    sizes: float = 2.0,
    min_visible: float = 0.25,
    set_aside: float | None = 0.0,
    presence_threshold: float = 0.5,
    match: Match = "centre",
    mse: float = math.nan,
) -> Scores:
    """Score predicted tracks against ground truth.

    The defaults are the project's rule: centre distance within twice the object size, as in the
    paper; ground truth from a quarter of an object's area in view; slivers below that set aside.
    `RULES` has the others, and `evaluate_by_rules` takes them all.

    Args:
        tracks: predictions, one a clip.
        truths: ground truth, one a clip, in the same order.
        distance: the gate, inclusive. For "centre" pixels, by default `sizes` times the clip's
            `object_size`; for "iou" the largest 1 - IoU, by default 0.5.
        sizes: the default gate for "centre", in object sizes.
        min_visible: least visible share of an object that counts, above 0, at most 1.
        set_aside: least visible share (any above 0 by default) of an object that does not count but
            excuses a prediction, as `scalor_ppl.evaluation.clear` says; None sets nothing aside.
        presence_threshold: least presence of a prediction that counts, 0..1.
        match: "centre" or "iou", of whole boxes.
        mse: the reconstruction's error, passed on to the scores.

    Returns:
        The scores.

    Raises:
        ValueError: different numbers of clips or frames, a gate that is not above 0, or what
            `scalor_ppl.evaluation.frames.scored_clip` raises.
    """
    if len(tracks) != len(truths):
        raise ValueError(f"{len(tracks)} clips of tracks, {len(truths)} of ground truth")
    events, identities, association = ClearCounts(), IdentityCounts(), HotaCounts.none()
    counts, origins = CountSums(), PropagationSums()
    for found, truth in zip(tracks, truths, strict=True):
        limit = distance
        if limit is None:
            limit = sizes * float(truth.object_size) if match == "centre" else _IOU_LIMIT
        if not limit > 0:
            raise ValueError(f"the gate is above 0, not {limit}")
        clip = scored_clip(
            found,
            truth,
            limit=limit,
            min_visible=min_visible,
            set_aside=set_aside,
            presence_threshold=presence_threshold,
            match=match,
        )
        of_clip, clip = clear_mot(clip)
        events += of_clip
        identities += identity(clip)
        association += hota(clip)
        counts += count_errors(clip)
        origins += propagation(found, presence_threshold=presence_threshold)
    misses = events.objects - events.matches
    wrong = misses + events.false_positives + events.switches
    return Scores(
        mota=1 - _ratio(wrong, events.objects),
        motp=_ratio(events.distance, events.matches),
        precision=_ratio(events.matches, events.matches + events.false_positives),
        recall=_ratio(events.matches, events.objects),
        id_switches=events.switches,
        fragmentations=events.fragmentations,
        idf1=identities.idf1,
        hota=association.hota,
        deta=float(association.detection.mean()),
        assa=float(association.assa.mean()) if events.objects else math.nan,
        count_mae=counts.mae,
        mse=mse,
        propagation_rate=origins.rate,
        discoveries_per_video=origins.discoveries_per_video,
        clips=len(tracks),
        frames=sum(found.frames for found in tracks),
        objects=events.objects,
        predictions=identities.predictions,
        matches=events.matches,
        false_positives=events.false_positives,
        misses=misses,
        set_aside=events.set_aside,
    )


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
        ValueError: as `evaluate_tracks`.
    """
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


def _ratio(part: float, whole: float) -> float:
    """Part by whole; NaN where the whole is nothing."""
    return part / whole if whole else math.nan
