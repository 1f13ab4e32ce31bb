"""How many objects are in view: a posterior of the count that is right as often as it says.

Draws of a guide hold every object that lives. Fewer count as in view: those of which at least a
quarter is there (`data.specs.VISIBLE_SHARE`), and some tracks are on none. How likely a track is on
an object that counts is a logistic function of what the track shows,

    logit p = w . (1, logit of its confidence, share of its box in view, the same up to .4 and
                   tenfold, share of its box under others' boxes)

fitted on simulated clips by `scalor_ppl.evaluation.count_fit`, with how many objects a frame has
that no track is on. An object's deviate is one for all frames of a draw: who is doubted in a frame
is doubted in the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scalor_ppl.tracks.table import EMPTY, Tracks
from scalor_ppl.tracks.visibility import covered_share, share_in_view

COUNT_FEATURES = ("constant", "confidence", "in_view", "hardly_in_view", "covered")
"""What decides whether a track is on an object that counts, in the order of the coefficients."""

_LEAST = 1e-4  # of a confidence and of its complement
_HARDLY = 0.4  # share in view, from which more says little


@dataclass(frozen=True)
class CountModel:
    """The posterior of the number of objects in view, from tracks.

    Attributes:
        coefficients: by the names of `COUNT_FEATURES`; those that are missing are 0.
        missed: objects a frame, on average, that count and are on no track; 0 or more.
    """

    coefficients: Mapping[str, float]
    missed: float

    def probabilities(self, tracks: Tracks, size: tuple[int, int]) -> np.ndarray:
        """Float64 [T, K]: that a track is on an object that counts; 0 where a slot is empty.

        Args:
            tracks: with confidences in `presence`, in pixels of the view.
            size: height and width of the view.
        """
        weights = np.array([self.coefficients.get(name, 0.0) for name in COUNT_FEATURES])
        odds = count_features(tracks, size) @ weights
        chance: np.ndarray = np.where(tracks.ids != EMPTY, 1 / (1 + np.exp(-odds)), 0.0)
        return chance

    def drawn(self, tracks: Tracks, size: tuple[int, int], draws: int, seed: int) -> np.ndarray:
        """Draws of the number of objects in view, int64 [S, T]; arguments as `probabilities`.

        Args:
            tracks: as of `probabilities`.
            size: likewise.
            draws: S.
            seed: of the draws.
        """
        random = np.random.default_rng(seed)
        names, which = np.unique(tracks.ids, return_inverse=True)
        deviates = random.random((draws, len(names)))[:, which.reshape(tracks.ids.shape)]
        there = deviates < self.probabilities(tracks, size)
        missed = random.poisson(self.missed, (draws, tracks.frames))
        counted: np.ndarray = there.sum(-1) + missed
        return counted


def count_features(tracks: Tracks, size: tuple[int, int]) -> np.ndarray:
    """Float64 [T, K, 5], see `COUNT_FEATURES`; arguments as of `CountModel.probabilities`."""
    living = tracks.ids != EMPTY
    boxes = np.where(living[..., None], tracks.boxes, 0).astype(np.float64)
    share = share_in_view(boxes, size).clip(0, 1)
    confidence = tracks.presence.astype(np.float64).clip(_LEAST, 1 - _LEAST)
    return np.stack(
        [
            np.ones_like(share),
            np.log(confidence / (1 - confidence)),
            share,
            10 * np.minimum(share, _HARDLY),
            covered_share(boxes, living),
        ],
        axis=-1,
    )
