"""Of two objects that are closer than they can be, the surer stays.

Detectors of spots do not tell two apart that are closer than their own width, and drop one: in
trackpy's ``locate`` that is ``separation``, a spot's diameter and one by default, and the fainter
goes (Crocker and Grier, J. Colloid Interface Sci. 179, 1996). Counts and densities can be compared
with those of such a detector under the same rule only.
"""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from scalor_ppl.tracks.table import Tracks


def separated(tracks: Tracks, least: float, *, threshold: float = 0.5) -> Tracks:
    """The tracks without the less sure one of two objects of a frame that are too close.

    Objects are taken by how sure they are, the surest first; one that is closer to an object taken
    before than allowed is left out. The surer has the smaller standard deviation of its centre;
    those that state none come after all that do, the one of higher confidence first.

    Args:
        tracks: confidences in `presence`.
        least: distance of two centres, in the tracks' pixels; 0 leaves all as they are.
        threshold: least confidence of an object that takes part; what is below changes nothing.

    Returns:
        The same, with a presence of NaN, below any threshold, where an object was left out: the
        ids stay.
    """
    if least <= 0:
        return tracks
    presence = tracks.presence.copy()
    middles, present = tracks.middles(), tracks.present(threshold)
    for t in range(tracks.frames):
        slots = np.flatnonzero(present[t])
        order = slots[np.lexsort(_doubt(tracks, t, slots))]
        tree = cKDTree(middles[t, order])
        # query_ball_point holds what is just as far; that is far enough.
        within = tree.query_ball_point(middles[t, order], np.nextafter(least, 0))
        taken = np.zeros(len(order), dtype=bool)
        for n, near in enumerate(within):
            taken[n] = not taken[near].any()
        presence[t, order[~taken]] = np.nan
    return replace(tracks, presence=presence)


def _doubt(tracks: Tracks, t: int, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys of `np.lexsort` for the slots of a frame, the surest first: the last decides."""
    doubt = 1 - tracks.presence[t, slots]
    if tracks.spread is None:
        return doubt, np.zeros_like(doubt)
    variance = np.square(tracks.spread[t, slots]).sum(-1)
    return doubt, np.where(np.isfinite(variance), variance, np.inf)
