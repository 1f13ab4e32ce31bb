"""IDF1 and HOTA: whether an object keeps one identity over the whole clip.

IDF1: Ristani et al., "Performance measures and a data set for multi-target, multi-camera
tracking", 2016. HOTA: Luiten et al., "HOTA: a higher order metric for evaluating multi-object
tracking", 2021. Both equal trackeval's figures.

HOTA needs a similarity in 0..1. It is max(0, 1 - d / (2 limit)): trackeval's own convention for
point tracks, in which a similarity of one half is the gate. By boxes (d = 1 - IoU, gate at IoU one
half) this is the IoU itself.
"""

from dataclasses import dataclass

import numpy as np

from scalor_ppl.evaluation.assignment import best_pairs
from scalor_ppl.evaluation.frames import ScoredClip
from scalor_ppl.evaluation.pairs import PairSums

ALPHAS = np.arange(1, 20) * 0.05
"""The similarities at which HOTA is taken and averaged: 0.05, 0.10 .. 0.95."""

# A similarity that is a multiple of 0.05 but for the rounding of the last steps still passes; what
# rounding does before is mended by `boxes.on_steps`.
_SLACK = 1e-14


@dataclass(frozen=True)
class IdentityCounts:
    """Frames of one clip, or of many added up, under the best one-to-one pairing of identities.

    Attributes:
        matches: frames in which an object and the identity paired with it are within the gate.
        objects: objects that count, summed over frames.
        predictions: predictions, summed over frames.
    """

    matches: int = 0
    objects: int = 0
    predictions: int = 0

    def __add__(self, other: "IdentityCounts") -> "IdentityCounts":
        return IdentityCounts(
            self.matches + other.matches,
            self.objects + other.objects,
            self.predictions + other.predictions,
        )

    @property
    def idf1(self) -> float:
        """2 matches / (objects + predictions), 0..1; NaN where there is neither."""
        whole = self.objects + self.predictions
        return 2 * self.matches / whole if whole else float("nan")


def identity(clip: ScoredClip) -> IdentityCounts:
    """Pair objects and identities over the whole clip so that most frames agree.

    Args:
        clip: frames with distances, slivers already set aside.

    Returns:
        The counts that IDF1 is made of.
    """
    together = PairSums(clip.objects, clip.identities)
    for frame in clip.frames:
        rows, columns, distances = frame.near()
        here = distances <= clip.limit
        together.add(frame.objects[rows[here]], frame.predictions[columns[here]], 1)
    # A pair that agrees in no frame costs nothing, so the best pairing is the heaviest one.
    return IdentityCounts(
        matches=round(together.result().heaviest()),
        objects=sum(len(frame.objects) for frame in clip.frames),
        predictions=sum(len(frame.predictions) for frame in clip.frames),
    )


@dataclass(frozen=True)
class HotaCounts:
    """Sums of one clip, or of many, at each of the 19 similarities of `ALPHAS`.

    Attributes:
        matches: float [19], matched pairs.
        association: float [19], sum over the matches of their association's Jaccard index.
        objects: objects that count, summed over frames.
        predictions: predictions, summed over frames.
    """

    matches: np.ndarray
    association: np.ndarray
    objects: int
    predictions: int

    def __add__(self, other: "HotaCounts") -> "HotaCounts":
        return HotaCounts(
            self.matches + other.matches,
            self.association + other.association,
            self.objects + other.objects,
            self.predictions + other.predictions,
        )

    @classmethod
    def none(cls) -> "HotaCounts":
        """The counts of no clip at all, to add to."""
        return cls(np.zeros(len(ALPHAS)), np.zeros(len(ALPHAS)), 0, 0)

    @property
    def detection(self) -> np.ndarray:
        """DetA at each similarity, float [19] in 0..1; NaN where there is nothing to detect."""
        whole = self.objects + self.predictions - self.matches
        return np.divide(self.matches, whole, out=np.full_like(whole, np.nan), where=whole > 0)

    @property
    def assa(self) -> np.ndarray:
        """AssA at each similarity, float [19] in 0..1."""
        return self.association / np.maximum(1, self.matches)

    @property
    def hota(self) -> float:
        """Mean over the similarities of sqrt(DetA AssA), 0..1."""
        return float(np.mean(np.sqrt(self.detection * self.assa)))


def hota(clip: ScoredClip) -> HotaCounts:
    """Count what HOTA is made of.

    Args:
        clip: frames with distances, slivers already set aside.

    Returns:
        The counts at each similarity.
    """
    shares = PairSums(clip.objects, clip.identities)
    lives, spans = np.zeros(clip.objects), np.zeros(clip.identities)
    for frame in clip.frames:
        rows, columns, distances = frame.near()
        alike = _similarity(distances, clip.limit)
        both = np.bincount(rows, alike)[rows] + np.bincount(columns, alike)[columns] - alike
        shares.add(frame.objects[rows], frame.predictions[columns], alike / both)
        lives[frame.objects] += 1
        spans[frame.predictions] += 1
    pairs = shares.result()
    alignment = pairs.values / (lives[pairs.objects] + spans[pairs.identities] - pairs.values)

    matched = []  # object, identity and the number of similarities that the match reaches
    for frame in clip.frames:
        rows, columns, distances = frame.near()
        objects, identities = frame.objects[rows], frame.predictions[columns]
        alike = _similarity(distances, clip.limit)
        best = best_pairs(rows, columns, alignment[pairs.place(objects, identities)] * alike)
        reached = np.searchsorted(ALPHAS - _SLACK, alike[best], side="right")
        matched.append(np.stack((objects[best], identities[best], reached)))
    objects, identities, reached = np.concatenate([np.empty((3, 0), np.int64), *matched], axis=1)
    place = pairs.place(objects, identities)
    frames_of_both = lives[pairs.objects] + spans[pairs.identities]
    matches, association = np.zeros(len(ALPHAS)), np.zeros(len(ALPHAS))
    for n in range(len(ALPHAS)):
        together = np.bincount(place[reached > n], minlength=len(alignment))
        matches[n] = together.sum()
        association[n] = (together * together / (frames_of_both - together)).sum()
    return HotaCounts(
        matches=matches,
        association=association,
        objects=int(lives.sum()),
        predictions=int(spans.sum()),
    )


def _similarity(distances: np.ndarray, limit: float) -> np.ndarray:
    """0..1, one half at the gate."""
    return 1 - distances / (2 * limit)
