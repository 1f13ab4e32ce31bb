"""What is scored: per frame, the objects that count, the predictions, and their distances.

**Which objects count.** An object belongs to the ground truth of a frame when at least
`min_visible` of its area is in view. A *sliver* is an object in view that falls short of it. A
sliver is neither a hit nor a miss: a prediction that is left over after matching, and lies within
the gate of a sliver, is *set aside* (see `scalor_ppl.evaluation.clear`) instead of being a false
positive. So is what finds an object that the truth marks as ignored, by whatever rule. An object
wholly out of view excuses nothing: a tracker that lingers there is wrong.

**Distances.** Both sides are boxes of whole objects, also where they reach beyond the view, and are
compared as such: clipping would move the centre of a half-visible object by a quarter of its size
while a model that is right about it would still be charged. The gate is inside: what is exactly as
far apart as it allows is a match, wherever in the frame it lies (see `boxes.on_steps`).

**Memory** goes with the boxes of a clip and, for a moment, with the pairs of one frame that lie
within twice the gate: they are found when they are asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from scalor_ppl.evaluation.boxes import (
    centre_distances,
    centre_rounding,
    on_steps,
    overlap_distances,
    overlap_rounding,
)
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.table import Tracks

if TYPE_CHECKING:
    from scalor_ppl.data.records import Truth

Match = Literal["centre", "iou"]
"""How a prediction is compared with an object: centre distance in pixels, or 1 - box IoU."""


class _Measure(NamedTuple):
    distances: Callable[[np.ndarray, np.ndarray], np.ndarray]
    rounding: Callable[[np.ndarray], np.ndarray]


_BLOCK = 2**20  # distances that are computed at a time

_MEASURES: dict[str, _Measure] = {
    "centre": _Measure(centre_distances, centre_rounding),
    "iou": _Measure(overlap_distances, overlap_rounding),
}


class Near(NamedTuple):
    """P pairs of an object and a prediction.

    Attributes:
        rows: int [P], position of the object in its frame, ascending.
        columns: int [P], position of the prediction.
        distances: float64 [P].
    """

    rows: np.ndarray
    columns: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class ScoredFrame:
    """One frame as the measures see it.

    Attributes:
        objects: int [n], indices of the objects that count, 0..objects-1 of the clip, ascending.
        predictions: int [m], indices of the predicted ids, 0..identities-1 of the clip.
        boxes: float [n, 4] of the objects, in pixels.
        found: float [m, 4] of the predictions.
        slivers: float [s, 4] of the slivers; s = 0 where nothing is to be set aside.
        match: the kind of distance.
        limit: the gate, in the unit of the distances, inclusive.
    """

    objects: np.ndarray
    predictions: np.ndarray
    boxes: np.ndarray
    found: np.ndarray
    slivers: np.ndarray
    match: Match
    limit: float

    def near(self) -> "Near":
        """Objects and predictions less than twice the gate apart: what a measure may ask for."""
        return self._near(self.boxes)

    def near_slivers(self) -> "Near":
        """Slivers and predictions, likewise."""
        return self._near(self.slivers)

    def _near(self, boxes: np.ndarray) -> "Near":
        measure = _MEASURES[self.match]
        rounding, others = measure.rounding(boxes), measure.rounding(self.found)
        parts = []
        step = max(1, _BLOCK // max(1, len(self.found)))
        for begin in range(0, len(boxes), step):
            block = slice(begin, begin + step)
            apart = measure.distances(boxes[block], self.found)
            apart = on_steps(apart, self.limit, rounding[block, None] + others)
            rows, columns = np.nonzero(apart < 2 * self.limit)
            parts.append(Near(begin + rows, columns, apart[rows, columns]))
        if len(parts) == 1:
            return parts[0]
        nothing = Near(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        return Near(*map(np.concatenate, zip(nothing, *parts, strict=True)))

    def without(self, dropped: np.ndarray) -> "ScoredFrame":
        """The frame less the predictions at the positions `dropped`, and with no slivers left."""
        kept = np.delete(np.arange(len(self.predictions)), dropped)
        return ScoredFrame(
            self.objects,
            self.predictions[kept],
            self.boxes,
            self.found[kept],
            self.slivers[:0],
            self.match,
            self.limit,
        )


@dataclass(frozen=True)
class ScoredClip:
    """One clip as the measures see it.

    Attributes:
        frames: in order; frames that have neither objects nor predictions may be left out.
        limit: the gate, in the unit of the distances, inclusive.
        objects: number of objects that may be named in the frames.
        identities: number of predicted ids that may be named in the frames.
    """

    frames: tuple[ScoredFrame, ...]
    limit: float
    objects: int
    identities: int


def scored_clip(
    tracks: Tracks,
    truth: "Truth",
    *,
    limit: float,
    min_visible: float = 0.25,
    set_aside: float | None = 0.0,
    presence_threshold: float = 0.5,
    match: Match = "centre",
) -> ScoredClip:
    """Pair a clip's tracks with its ground truth, frame by frame, by the rule above.

    Args:
        tracks: predictions, T frames.
        truth: ground truth, T frames.
        limit: the gate: pixels for "centre", 1 - IoU for "iou".
        min_visible: least visible share of an object that counts, above 0.
        set_aside: objects with a visible share above 0, at least this and below `min_visible` are
            slivers; None: there are no slivers.
        presence_threshold: least presence of a prediction that counts.
        match: the kind of distance.

    Returns:
        The clip, with slivers still to be dealt with.

    Raises:
        ValueError: different numbers of frames, one id twice in a frame, a present prediction or a
            visible object without a finite box, an unknown `match`, or `min_visible` not above 0.
    """
    if match not in _MEASURES:
        raise ValueError(f"match is one of {sorted(_MEASURES)}, not {match!r}")
    if not 0 < min_visible <= 1:
        raise ValueError(f"min_visible is above 0 and at most 1, not {min_visible}")
    if tracks.frames != len(truth.boxes):
        raise ValueError(f"tracks have {tracks.frames} frames, truth {len(truth.boxes)}")
    present = tracks.present(presence_threshold)
    counted = truth.counted(min_visible)
    slivers = np.zeros_like(counted)
    if set_aside is not None:
        slivers = (truth.visible > 0) & (truth.visible >= set_aside) & ~counted
    if truth.ignored is not None:  # by whatever rule
        slivers = slivers | (truth.ignored & (truth.visible > 0))
    if not np.isfinite(truth.boxes[counted | slivers]).all():
        raise ValueError("an object in view has no finite box")
    if not np.isfinite(tracks.boxes[present]).all():
        raise ValueError("a present prediction has no finite box")

    identities = np.unique(tracks.ids[present])
    frames = []
    for t in range(tracks.frames):
        predictions = np.searchsorted(identities, tracks.ids[t, present[t]])
        if len(np.unique(predictions)) != len(predictions):
            raise ValueError(f"an id occurs twice in frame {t}")
        frames.append(
            ScoredFrame(
                objects=np.nonzero(counted[t])[0],
                predictions=predictions,
                boxes=truth.boxes[t, counted[t]],
                found=tracks.boxes[t, present[t]],
                slivers=truth.boxes[t, slivers[t]],
                match=match,
                limit=limit,
            )
        )
    return ScoredClip(tuple(frames), limit, counted.shape[1], len(identities))


def scored_tables(
    found: BoxTable, known: BoxTable, *, limit: float, match: Match = "centre"
) -> ScoredClip:
    """Pair rows of predictions with rows of ground truth, frame by frame.

    Every row counts, but for those of the truth that are to be ignored: they are slivers.

    Args:
        found: predictions.
        known: ground truth of the same frames.
        limit: the gate: pixels for "centre", 1 - IoU for "iou".
        match: the kind of distance.

    Returns:
        The clip, of the frames that have a row.
    """
    frames = np.union1d(known.frames, found.frames)
    begins = [np.searchsorted(each.frames, frames, side="left") for each in (known, found)]
    ends = [np.searchsorted(each.frames, frames, side="right") for each in (known, found)]
    scored = []
    for t in range(len(frames)):
        rows = np.arange(begins[0][t], ends[0][t])
        aside = known.ignored[rows]
        counted = rows[~aside]
        counted = counted[np.argsort(known.objects[counted])]
        predicted = slice(begins[1][t], ends[1][t])
        scored.append(
            ScoredFrame(
                objects=known.objects[counted],
                predictions=found.objects[predicted],
                boxes=known.boxes[counted],
                found=found.boxes[predicted],
                slivers=known.boxes[rows[aside]],
                match=match,
                limit=limit,
            )
        )
    return ScoredClip(tuple(scored), limit, len(known.labels), len(found.labels))
