"""All tracking figures of a set of clips."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalor_ppl.evaluation.association import HotaCounts, IdentityCounts, hota, identity
from scalor_ppl.evaluation.clear import ClearCounts, clear_mot
from scalor_ppl.evaluation.counting import (
    CountSums,
    PropagationSums,
    count_errors,
    propagation,
)
from scalor_ppl.evaluation.frames import Match, ScoredClip, scored_clip, scored_tables
from scalor_ppl.tracks.box_table import BoxTable
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
        count_accuracy: share of frames whose number of objects is right, empty ones included.
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
    count_accuracy: float
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
    `scalor_ppl.evaluation.rules` has the others.

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
    sums = _Sums()
    for found, truth in zip(tracks, truths, strict=True):
        limit = distance
        if limit is None:
            limit = sizes * _size(truth) if match == "centre" else _IOU_LIMIT
        clip = scored_clip(
            found,
            truth,
            limit=limit,
            min_visible=min_visible,
            set_aside=set_aside,
            presence_threshold=presence_threshold,
            match=match,
        )
        origins = propagation(found, presence_threshold=presence_threshold)
        sums.add(clip, origins, found.frames)
    return sums.scores(mse)


def evaluate_tables(
    found: BoxTable,
    known: BoxTable,
    origins: PropagationSums,
    *,
    frames: int,
    distance: float | None = None,
    match: Match = "centre",
) -> Scores:
    """Score rows of one file against rows of another.

    Args:
        found: predictions; every row counts.
        known: ground truth of the same frames, with boxes that count; those to be ignored are
            neither hits nor misses.
        origins: of `counting.propagation_of_rows`.
        frames: how many frames there are.
        distance: the gate, as of `evaluate_tracks`, by default twice the mean side of a true box.
        match: "centre" or "iou".

    Raises:
        ValueError: the gate is not above 0.
    """
    limit = distance
    if limit is None:
        limit = 2.0 * known.object_size if match == "centre" else _IOU_LIMIT
    sums = _Sums()
    sums.add(scored_tables(found, known, limit=limit, match=match), origins, frames)
    return sums.scores()


class _Sums:
    """Events of clips, added up."""

    def __init__(self) -> None:
        self._events, self._identities = ClearCounts(), IdentityCounts()
        self._association, self._counts = HotaCounts.none(), CountSums()
        self._origins = PropagationSums()
        self._clips = self._frames = 0

    def add(self, clip: ScoredClip, origins: PropagationSums, frames: int) -> None:
        """Add a clip of so many frames.

        Raises:
            ValueError: its gate is not above 0.
        """
        if not clip.limit > 0:
            raise ValueError(f"the gate is above 0, not {clip.limit}")
        events, clip = clear_mot(clip)
        self._events += events
        self._identities += identity(clip)
        self._association += hota(clip)
        self._counts += count_errors(clip, frames)
        self._origins += origins
        self._clips += 1
        self._frames += frames

    def scores(self, mse: float = math.nan) -> Scores:
        """The figures."""
        events, association = self._events, self._association
        misses = events.objects - events.matches
        wrong = misses + events.false_positives + events.switches
        return Scores(
            mota=1 - _ratio(wrong, events.objects),
            motp=_ratio(events.distance, events.matches),
            precision=_ratio(events.matches, events.matches + events.false_positives),
            recall=_ratio(events.matches, events.objects),
            id_switches=events.switches,
            fragmentations=events.fragmentations,
            idf1=self._identities.idf1,
            hota=association.hota,
            deta=float(association.detection.mean()),
            assa=float(association.assa.mean()) if events.objects else math.nan,
            count_mae=self._counts.mae,
            count_accuracy=self._counts.accuracy,
            mse=mse,
            propagation_rate=self._origins.rate,
            discoveries_per_video=self._origins.discoveries_per_video,
            clips=self._clips,
            frames=self._frames,
            objects=events.objects,
            predictions=self._identities.predictions,
            matches=events.matches,
            false_positives=events.false_positives,
            misses=misses,
            set_aside=events.set_aside,
        )


def _size(truth: "Truth") -> float:
    """The object size of a clip, in pixels; of what is to be ignored, where nothing else is."""
    if not math.isnan(truth.object_size):
        return float(truth.object_size)
    sides = truth.boxes[..., 2:]
    # Where there is nothing at all, nothing is compared: any gate will do.
    return float(np.nanmean(sides)) if np.isfinite(sides).any() else 1.0


def _ratio(part: float, whole: float) -> float:
    """Part by whole; NaN where the whole is nothing."""
    return part / whole if whole else math.nan
