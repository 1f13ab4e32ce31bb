"""Which object of a draw is which object of the reference.

A draw from the posterior numbers its objects as it finds them. So that a column of a table of draws
means one thing in all of them, the objects of each draw are matched one to one with those of a
reference: the program's most likely account of the same clip.

The score of a pair is the sum over their common frames of 1 - distance / gate, where the distance
is that of the centres and the gate is the size of the reference object (the mean of its widths and
heights). Only a pair with a positive score may be matched, which says that their mean distance over
the common frames lies within the gate; the Hungarian method finds the matching of the largest total
score. A pair that is together for ten frames thus comes before one that meets for a single frame,
however closely. An object that a draw loses and finds again has two ids there: the one that fits
longer is matched, the other is left over.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from scalor_ppl.tracks.table import EMPTY, Tracks


def aligned(reference: Tracks, draws: Sequence[Tracks]) -> tuple[np.ndarray, np.ndarray]:
    """Match the objects of every draw with those of a reference.

    Args:
        reference: T frames.
        draws: S accounts of the same frames.

    Returns:
        The reference's ids, int64 [O], ascending; and the ids that these objects have in every
        draw, int64 [S, O], -1 where a draw has no such object.
    """
    names, centres, sizes = _paths(reference)
    gates = np.nanmean(sizes, axis=0) if len(names) else np.empty(0)
    identities = np.full((len(draws), len(names)), EMPTY, np.int64)
    for s, draw in enumerate(draws):
        own, own_centres, _ = _paths(draw)
        scores = _scores(centres, own_centres, gates)
        rows, columns = linear_sum_assignment(scores, maximize=True)
        matched = scores[rows, columns] > 0
        identities[s, rows[matched]] = own[columns[matched]]
    return names, identities


def _scores(reference: np.ndarray, draw: np.ndarray, gates: np.ndarray) -> np.ndarray:
    """[O, M] scores of pairs from centres [T, O, 2], [T, M, 2] and gates [O]; 0 is no pair."""
    distances = np.linalg.norm(reference[:, :, None] - draw[:, None], axis=-1)
    closeness = np.nansum(1 - distances / gates[:, None], axis=0)  # NaN: not a common frame
    return np.maximum(closeness, 0.0)


def _paths(tracks: Tracks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids [O], centres [T, O, 2] and sizes [T, O] in pixels; NaN where an object is not there."""
    there = tracks.ids != EMPTY
    names = np.unique(tracks.ids[there])
    centres = np.full((tracks.frames, len(names), 2), np.nan)
    sizes = np.full((tracks.frames, len(names)), np.nan)
    t, k = np.nonzero(there)
    o = np.searchsorted(names, tracks.ids[t, k])
    centres[t, o] = tracks.middles()[t, k]
    sizes[t, o] = tracks.boxes[t, k, 2:].mean(-1)
    return names, centres, sizes
