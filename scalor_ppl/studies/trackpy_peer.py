"""trackpy on the same clip, with the settings that suit it best: who is to be compared with.

trackpy (Allan et al., Crocker and Grier's method) is an optional package. Its settings are chosen
with the truth at hand, which no user has: the peer is taken at its best.
"""

import logging
import warnings
from dataclasses import dataclass

import numpy as np

from scalor_ppl.data.particle_specs import BOX_WIDTHS
from scalor_ppl.data.particle_truth import KnownParticles
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.localisation import Localisation, OperatingPoint, localisation
from scalor_ppl.tracks.box_table import BoxTable

DIAMETERS = (7, 9, 11, 13, 15)
"""Of its mask, in pixels; odd."""

_REACH = 2.5  # widths of a spot, that it may go from frame to frame
_MEMORY = 2  # frames that a spot may be gone for
_MOST = 0.9  # of the recall of the diameter that finds most, that one must come up to


@dataclass(frozen=True)
class Peer:
    """What trackpy found.

    Attributes:
        tracks: linked; confidence is the mass of a spot over the largest.
        spread: [R, 2] errors of the positions as trackpy states them (its ``ep``), in pixels; NaN
            where it states none.
        places: of these.
        every: of all that was located, before those of little mass are left out, by diameter.
        diameter: that was best.
        least_mass: likewise.
    """

    tracks: BoxTable
    spread: np.ndarray
    places: Localisation
    every: dict[int, Localisation]
    diameter: int
    least_mass: float

    @property
    def curve(self) -> tuple[OperatingPoint, ...]:
        """Its best operating points, whatever the diameter, by rising recall."""
        points = sorted(
            (point for each in self.every.values() for point in each.curve),
            key=lambda point: (-point.recall, -point.precision),
        )
        best: list[OperatingPoint] = []
        for point in points:
            if not best or point.precision > best[-1].precision:
                best.append(point)
        return tuple(reversed(best))


def tracked_by_trackpy(video: np.ndarray, known: BoxTable, particles: KnownParticles) -> Peer:
    """Track a clip with trackpy, over its diameters and masses.

    Of the diameters that find nearly as much as any (by recall where precision and recall are
    balanced best), the one with the least error of isolated spots; and the least mass where the sum
    of precision and recall is largest.

    Args:
        video: uint8 [T, H, W].
        known: boxes of the particles.
        particles: what is known of them.

    Raises:
        UserError: trackpy is not installed.
    """
    try:
        import trackpy
    except ImportError:
        raise UserError("trackpy is missing: pip install 'scalor-ppl[trackpy]'") from None
    size = video.shape[1], video.shape[2]
    side = BOX_WIDTHS * particles.spec.width
    tried = []
    logging.getLogger("trackpy").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for diameter in DIAMETERS:
            spots = trackpy.batch(video, diameter, processes=1)
            every = localisation(_rows(spots, None, side), known, particles, size=size)
            best = max(every.curve, key=lambda point: point.precision + point.recall)
            tried.append((best, every, diameter, spots))
        enough = _MOST * max(best.recall for best, *_ in tried)
        best, _, diameter, spots = min(
            (each for each in tried if each[0].recall >= enough),
            key=lambda each: each[1].isolated.pixels,
        )
        least = best.threshold * spots["mass"].max()
        kept = spots[spots["mass"] >= least]
        linked = trackpy.link(kept, _REACH * particles.spec.width, memory=_MEMORY)
    tracks = _rows(linked, spots["mass"].max(), side)
    stated = linked.sort_values("frame", kind="stable")["ep"].to_numpy(np.float64)
    spread = np.repeat(np.where(stated > 0, stated, np.nan)[:, None], 2, axis=1)
    places = localisation(tracks, known, particles, size=size, spread=spread)
    located = {each: found for _, found, each, _ in tried}
    return Peer(tracks, spread, places, located, diameter, float(least))


def _rows(spots, largest: float | None, side: float) -> BoxTable:  # type: ignore[no-untyped-def]
    """A DataFrame of trackpy as rows; its pixels have their centres at whole numbers."""
    largest = spots["mass"].max() if largest is None else largest
    spots = spots.sort_values("frame", kind="stable")
    numbers = spots["particle"] if "particle" in spots else np.arange(len(spots))
    labels, objects = np.unique(np.asarray(numbers, dtype=np.int64), return_inverse=True)
    corner = spots[["x", "y"]].to_numpy(np.float64) + 0.5 - side / 2
    return BoxTable(
        frames=spots["frame"].to_numpy(np.int64),
        objects=objects,
        boxes=np.concatenate([corner, np.full_like(corner, side)], axis=1),
        confidence=spots["mass"].to_numpy(np.float64) / largest,
        labels=tuple((labels + 1).tolist()),
    )
