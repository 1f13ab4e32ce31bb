"""What is scored: per frame, the objects that count, the predictions, and their distances.

**Which objects count.** An object belongs to the ground truth of a frame when at least
`min_visible` of its area is in view. A *sliver* is an object in view that falls short of it. A
sliver is neither a hit nor a miss: a prediction that is left over after matching, and lies within
the gate of a sliver, is *set aside* (see `scalor_ppl.evaluation.clear`) instead of being a false
positive. So is what finds an object that the truth marks as ignored, by whatever rule. An object
wholly out of view excuses nothing: a tracker that lingers there is wrong.

**Distances.** Both sides are boxes of whole objects, also where they reach beyond the view, and are
compared as such: clipping would move the centre of a half-visible object by a quarter of its size
while a model that is right about it would still be charged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from scalor_ppl.evaluation.boxes import centre_distances, overlap_distances
from scalor_ppl.tracks.table import Tracks

if TYPE_CHECKING:
    from scalor_ppl.data.records import Truth

Match = Literal["centre", "iou"]
"""How a prediction is compared with an object: centre distance in pixels, or 1 - box IoU."""

_DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "centre": centre_distances,
    "iou": overlap_distances,
}


@dataclass(frozen=True)
class ScoredFrame:
    """One frame as the measures see it.

    Attributes:
        objects: int [n], indices of the objects that count, 0..objects-1 of the clip, ascending.
        predictions: int [m], indices of the predicted ids, 0..identities-1 of the clip.
        distances: float64 [n, m].
        sliver_distances: float64 [s, m], to the slivers; s = 0 where nothing is to be set aside.
    """

    objects: np.ndarray
    predictions: np.ndarray
    distances: np.ndarray
    sliver_distances: np.ndarray

    def without(self, dropped: np.ndarray) -> "ScoredFrame":
        """The frame less the predictions at the positions `dropped`, and with no slivers left."""
        kept = np.delete(np.arange(len(self.predictions)), dropped)
        return ScoredFrame(
            self.objects,
            self.predictions[kept],
            self.distances[:, kept],
            self.sliver_distances[:0, kept],
        )


@dataclass(frozen=True)
class ScoredClip:
    """One clip as the measures see it.

    Attributes:
        frames: T frames.
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
    if match not in _DISTANCES:
        raise ValueError(f"match is one of {sorted(_DISTANCES)}, not {match!r}")
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

    measure = _DISTANCES[match]
    identities = np.unique(tracks.ids[present])
    frames = []
    for t in range(tracks.frames):
        predictions = np.searchsorted(identities, tracks.ids[t, present[t]])
        if len(np.unique(predictions)) != len(predictions):
            raise ValueError(f"an id occurs twice in frame {t}")
        boxes = tracks.boxes[t, present[t]]
        frames.append(
            ScoredFrame(
                objects=np.nonzero(counted[t])[0],
                predictions=predictions,
                distances=measure(truth.boxes[t, counted[t]], boxes),
                sliver_distances=measure(truth.boxes[t, slivers[t]], boxes),
            )
        )
    return ScoredClip(tuple(frames), limit, counted.shape[1], len(identities))
