"""Identities of the tracks of a whole clip."""

from dataclasses import replace

import numpy as np

from scalor_ppl.identity.identities import AHEAD, Identities, Sight
from scalor_ppl.tracks.table import EMPTY, Tracks


def sights_of(
    ids: np.ndarray, where: np.ndarray, looks: np.ndarray, size: tuple[int, int]
) -> list[Sight]:
    """The living trackers of each frame, places and sides in pixels.

    Args:
        ids: int64 [T, K], `EMPTY` where nothing lives.
        where: [T, K, 4], boxes in the convention of :mod:`scalor_ppl.render.boxes`.
        looks: [T, K, D], see `looks.looks_of`.
        size: height and width of the frames.
    """
    pixels = np.array(size[::-1], np.float64)
    found = []
    for frame, boxes, seen in zip(ids, where, looks, strict=True):
        alive = frame != EMPTY
        places, sides = (boxes[alive, :2] + 1) / 2 * pixels, boxes[alive, 2:] * pixels
        found.append(Sight(frame[alive], places, sides, seen[alive].astype(np.float64)))
    return found


def relabelled(
    tracks: Tracks, identities: Identities, own: list[Sight], after: list[Sight]
) -> Tracks:
    """Tracks with identities for ids.

    Args:
        tracks: of T frames.
        identities: after the frames before; they go on by T frames.
        own: what is seen in the T frames.
        after: and in those that follow, `AHEAD` of them or those that are left.
    """
    sights = own + after
    ids = np.full_like(tracks.ids, EMPTY)
    for t, sight in enumerate(own):
        known = identities.step(sight, sights[t + 1 : t + 1 + AHEAD])
        ids[t, tracks.ids[t] != EMPTY] = known
    return replace(tracks, ids=ids)


def recognised(
    tracks: Tracks, where: np.ndarray, looks: np.ndarray, size: tuple[int, int]
) -> Tracks:
    """Tracks of a whole clip, with identities for ids; arguments as of `sights_of`."""
    sights = sights_of(tracks.ids, where, looks, size)
    return relabelled(tracks, Identities(looks.shape[-1]), sights, [])
