"""Particles whose every position is known: tracks, trackpy's tracks, and what physics allows.

Beside them stand the true positions of the free particles while they are in view, by the same
estimates, and the limit: least standard deviations of D and alpha of so many steps, by the
Cramer-Rao bound (:func:`scalor_ppl.evaluation.diffusion_likelihood.fisher_information`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scalor_ppl.data import SourceOptions, load_video, open_source
from scalor_ppl.data.particle_specs import PARTICLE_SETS
from scalor_ppl.data.particle_truth import KnownParticles
from scalor_ppl.data.toy_video import write_toy_video
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.diffusion_likelihood import MotionLaw, fisher_information
from scalor_ppl.evaluation.localisation import (
    Localisation,
    OperatingPoint,
    centres_of,
    localisation,
    matched,
    recall_at,
)
from scalor_ppl.evaluation.motion import MotionAnalysis, measure_motion
from scalor_ppl.evaluation.positions import Positions, read_positions
from scalor_ppl.evaluation.stretches import Stretches, stretches
from scalor_ppl.evaluation.walks import Walks
from scalor_ppl.studies.trackpy_peer import tracked_by_trackpy
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.mot_reader import read_rows

CLIP = "clip.mkv"
OURS, PEER, TRUTH = "scalor", "trackpy", "true positions"

PRECISIONS = (0.95, 0.99)
"""At which recalls are compared."""

Tracker = Callable[[Path, Path], Path]
"""Tracks a video, working in a folder; gives the path of the tracks."""


class MotionLimit(NamedTuple):
    """Least standard deviations of estimates of free diffusion from the true tracks of a clip.

    Attributes:
        diffusion: of log D, where the static error is known.
        alpha: likewise.
        diffusion_fitted: of log D, where the static error is fitted too.
        alpha_fitted: likewise.
    """

    diffusion: float
    alpha: float
    diffusion_fitted: float
    alpha_fitted: float


@dataclass(frozen=True)
class ParticleResult:
    """One tracker on one clip.

    Attributes:
        set: of particles.
        seed: of the clip.
        tracker: its name.
        places: errors of its positions; None of the true ones.
        motion: of the tracks that follow a free particle for most of their length.
        diffusion: true D of these, in pixels squared a frame.
        limit: of the clip.
        curve: precision and recall above thresholds on confidence; none of the true ones.
    """

    set: str
    seed: int
    tracker: str
    places: Localisation | None
    motion: MotionAnalysis
    diffusion: float
    limit: MotionLimit
    curve: tuple[OperatingPoint, ...] = ()

    @property
    def recall(self) -> tuple[float, ...]:
        """At each of the `PRECISIONS`; none without a curve."""
        return tuple(recall_at(self.curve, each) for each in PRECISIONS) if self.curve else ()

    def to_dict(self) -> dict[str, Any]:
        """A line of results."""
        line: dict[str, Any] = {"set": self.set, "seed": self.seed, "tracker": self.tracker}
        if self.places is not None:
            isolated = self.places.isolated
            line |= {
                "error": isolated.pixels,
                "bound": float(np.sqrt(np.square(isolated.bound).mean())),
                "ratio": isolated.ratio,
                "error_all": self.places.every.pixels,
                "bias_x": float(isolated.bias[0]),
                "bias_y": float(isolated.bias[1]),
                "coverage": isolated.coverage,
            }
            recalls = zip(PRECISIONS, self.recall, strict=True)
            line |= {f"recall_{round(100 * precision)}": recall for precision, recall in recalls}
        line["true_diffusion"] = self.diffusion
        line |= {f"limit_{name}": value for name, value in self.limit._asdict().items()}
        for name, estimate in self.motion.estimates.items():
            line |= {name: estimate.value, f"{name}_low": estimate.low}
            line |= {f"{name}_high": estimate.high}
        return {
            name: None if isinstance(value, float) and np.isnan(value) else value
            for name, value in line.items()
        }


def make_clip(name: str, seed: int, frames: int, folder: Path) -> Path:
    """The clip of a set of particles as a video, made where it is not there.

    Raises:
        UserError: there is no such set, or a clip of other length is there.
    """
    if name not in PARTICLE_SETS:
        raise UserError(f"{name} is no set of particles: give one of {', '.join(PARTICLE_SETS)}")
    clip = folder / CLIP
    if not clip.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_toy_video(open_source(name, split="test", seed=seed), clip, frames)
    return clip


def compare_on_clip(name: str, seed: int, clip: Path, tracker: Tracker) -> list[ParticleResult]:
    """Score a tracker and trackpy on a clip.

    Args:
        name: of the set.
        seed: of the clip.
        clip: its video, with the truth beside it.
        tracker: gives the tracks.

    Returns:
        A result for the tracker, one for trackpy, and one for the true positions.

    Raises:
        UserError: trackpy is not installed, or a file cannot be read.
    """
    known = read_rows(clip.with_suffix(".txt"))
    particles = KnownParticles.read(clip.with_suffix(".json"))
    video = load_video(clip, options=SourceOptions(channels=1)).video[..., 0]
    size = video.shape[1], video.shape[2]
    peer = tracked_by_trackpy(video, known, particles)
    ours = read_positions(tracker(clip, clip.parent))
    places = localisation(ours.table, known, particles, size=size, spread=ours.spread)
    theirs = Positions(peer.tracks, peer.spread)
    free = particles.spec.motion("free").diffusion
    bound = float(np.sqrt(np.square(places.isolated.bound).mean()))
    true = true_positions(known, particles, "free")
    limit = motion_limit(stretches(Walks(true, drift=True)), MotionLaw(free, variance=bound**2))

    def result(
        tracker_name: str,
        tracks: Positions,
        where: Localisation | None = None,
        curve: tuple[OperatingPoint, ...] = (),
    ) -> ParticleResult:
        return ParticleResult(
            set=name,
            seed=seed,
            tracker=tracker_name,
            places=where,
            motion=measure_motion(tracks.table, spread=tracks.spread),
            diffusion=free,
            limit=limit,
            curve=curve,
        )

    return [
        result(OURS, of_kind(ours, known, particles, "free"), places, places.curve),
        result(PEER, of_kind(theirs, known, particles, "free"), peer.places, peer.curve),
        result(TRUTH, Positions(true, np.zeros((len(true), 2)))),
    ]


def true_positions(known: BoxTable, particles: KnownParticles, kind: str) -> BoxTable:
    """The particles of a kind in the frames in which their centres are in view."""
    x, y = centres_of(known).T
    view = particles.spec.view
    inside = (x >= 0) & (x < view) & (y >= 0) & (y < view)
    labels = np.array(known.labels)[known.objects]
    return known.kept(inside & (particles.kinds[np.searchsorted(particles.labels, labels)] == kind))


def motion_limit(cut: Stretches, law: MotionLaw) -> MotionLimit:
    """What is told at most by stretches of a law, its static error known or not."""
    information = fisher_information(cut, law)
    known = np.sqrt(np.diag(np.linalg.inv(information[:2, :2]))).tolist()
    fitted = np.sqrt(np.diag(np.linalg.inv(information)))[:2].tolist()
    return MotionLimit(*known, *fitted)


def of_kind(tracks: Positions, known: BoxTable, particles: KnownParticles, kind: str) -> Positions:
    """The tracks that follow a particle of a kind in most of their rows.

    Args:
        tracks: of any tracker.
        known: boxes of the particles in the same frames.
        particles: what is known of them.
        kind: of `particle_specs.ParticleMotion`.
    """
    table = tracks.table
    hits = matched(table, known, particles.spec.size / 2)
    labels = np.array(known.labels)[known.objects[hits.known]]
    right = particles.kinds[np.searchsorted(particles.labels, labels)] == kind
    number = len(table.labels)
    share = np.bincount(table.objects[hits.found[right]], minlength=number) / np.maximum(
        np.bincount(table.objects, minlength=number), 1
    )
    return tracks.of_rows(share[table.objects] > 0.5)
