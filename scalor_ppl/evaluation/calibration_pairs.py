"""Pairs of what tracks state and what is true, for judging and fitting their uncertainty.

**Which count.** Objects of which a quarter or more is in view are paired with the tracks of their
frame, one to one within twice the object size, as scores do. Centre and size are judged of paired
objects that are wholly in view; a missed object has no centre to be judged. Presence is judged of
every living track, whatever its confidence; one that finds a sliver or what is ignored is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scalor_ppl.data.records import Truth
from scalor_ppl.data.specs import VISIBLE_SHARE
from scalor_ppl.evaluation.assignment import match_within
from scalor_ppl.tracks.counting import count_features
from scalor_ppl.tracks.deviations import FEATURES, features_of
from scalor_ppl.tracks.table import EMPTY, Tracks

_ARRAYS = (
    *("centre", "size", "stated", "features", "whole"),
    *("confidence", "hits", "tracks", "counted"),
)
GATE_SIZES = 2.0
"""The gate, in object sizes."""


@dataclass(frozen=True)
class StatedAndTrue:
    """What N pairs of a track and an object, and M living tracks, say.

    Attributes:
        centre: float64 [N, 2] errors of x and y in pixels, found less true.
        size: float64 [N, 2] of width and height.
        stated: float64 [N, 2] the tracks' standard deviations of x and y; NaN where none.
        features: float64 [N, 2, F], see `tracks.deviations.FEATURES`.
        whole: bool [N]: the object is wholly in view.
        confidence: float64 [M] in 0..1.
        hits: bool [M]: there is an object.
        objects: how many could have been found.
        tracks: float64 [L, F] of every living track, see `tracks.counting.COUNT_FEATURES`.
        counted: bool [L]: it is on an object that counts.
        frames: how many.
    """

    centre: np.ndarray
    size: np.ndarray
    stated: np.ndarray
    features: np.ndarray
    whole: np.ndarray
    confidence: np.ndarray
    hits: np.ndarray
    objects: int
    tracks: np.ndarray
    counted: np.ndarray
    frames: int

    @property
    def missed(self) -> float:
        """Objects a frame that could have been found, and are on no living track."""
        return (self.objects - int(self.counted.sum())) / max(1, self.frames)


def stated_and_true(
    tracks: Tracks, truth: Truth, size: tuple[int, int], *, threshold: float = 0.5
) -> StatedAndTrue:
    """Pair the tracks of a clip with its truth.

    Args:
        tracks: with confidences in `presence`.
        truth: of the same frames.
        size: height and width of the view.
        threshold: least confidence of a track whose centre is judged.
    """
    t, k, n = paired(tracks, truth, tracks.present(threshold))
    living = tracks.ids != EMPTY
    hits = np.zeros(tracks.ids.shape, dtype=bool)
    found = paired(tracks, truth, living)
    hits[found[0], found[1]] = True
    judged = living & (hits | ~_near_slivers(tracks, truth))
    features = np.zeros((len(t), 2, len(FEATURES)))
    stated = np.full((len(t), 2), np.nan)
    if tracks.spread is not None:
        features = features_of(tracks, size)[t, k]
        stated = tracks.spread[t, k].astype(np.float64)
    return StatedAndTrue(
        centre=tracks.middles()[t, k] - truth.middles()[t, n],
        size=(tracks.boxes[t, k, 2:] - truth.boxes[t, n, 2:]).astype(np.float64),
        stated=stated,
        features=features,
        whole=truth.visible[t, n] >= 1,
        confidence=tracks.presence[judged].astype(np.float64).clip(0, 1),
        hits=hits[judged],
        objects=int(truth.counted(VISIBLE_SHARE).sum()),
        tracks=count_features(tracks, size)[living],
        counted=hits[living],
        frames=tracks.frames,
    )


def together(parts: Sequence[StatedAndTrue]) -> StatedAndTrue:
    """Those of several clips, of at least one."""
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    objects, frames = (sum(getattr(part, name) for part in parts) for name in ("objects", "frames"))
    return StatedAndTrue(**arrays, objects=objects, frames=frames)


def paired(
    tracks: Tracks, truth: Truth, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pair tracks with objects that count, frame by frame.

    Args:
        tracks: T frames of K slots.
        truth: of the same frames.
        chosen: bool [T, K], the tracks that may be paired.

    Returns:
        Frame, slot and object of each pair, int64 [P] each.
    """
    centres, middles = tracks.middles(), truth.middles()
    counted = truth.counted(VISIBLE_SHARE) & np.isfinite(middles).all(-1)
    gate = GATE_SIZES * truth.object_size
    parts = [np.empty((3, 0), dtype=np.int64)]
    for t in range(tracks.frames):
        slots, objects = np.flatnonzero(chosen[t]), np.flatnonzero(counted[t])
        apart = np.linalg.norm(middles[t, objects][:, None] - centres[t, slots], axis=-1)
        rows, columns = np.nonzero(apart <= gate)
        pairs = match_within(rows, columns, apart[rows, columns], gate)
        frames = np.full(len(pairs), t)
        parts.append(np.stack((frames, slots[columns[pairs]], objects[rows[pairs]])))
    t, k, n = np.concatenate(parts, axis=1)
    return t, k, n


def _near_slivers(tracks: Tracks, truth: Truth) -> np.ndarray:
    """Bool [T, K]: tracks within the gate of what is in view and does not count."""
    slivers = (truth.visible > 0) & ~truth.counted(VISIBLE_SHARE)
    middles = np.where(slivers[..., None], truth.middles(), np.nan)
    apart = np.linalg.norm(tracks.middles()[:, :, None] - middles[:, None], axis=-1)
    near: np.ndarray = (apart <= GATE_SIZES * truth.object_size).any(-1)
    return near
