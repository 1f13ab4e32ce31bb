"""Particles whose every position is known: tracks, trackpy's tracks, and what physics allows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalor_ppl.data import SourceOptions, load_video, open_source
from scalor_ppl.data.particle_specs import PARTICLE_SETS
from scalor_ppl.data.particle_truth import KnownParticles
from scalor_ppl.data.toy_video import write_toy_video
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.localisation import Localisation, localisation, matched
from scalor_ppl.evaluation.motion import MotionAnalysis, measure_motion
from scalor_ppl.evaluation.positions import read_positions
from scalor_ppl.studies.trackpy_peer import tracked_by_trackpy
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.mot_reader import read_rows

CLIP, TRACKS, MEASURED = "clip.mkv", "tracks.txt", "measured.csv"

PRECISIONS = (0.95, 0.99)
"""At which recalls are compared."""

Tracker = Callable[[Path, Path], Path]
"""Tracks a video, working in a folder; gives the path of the tracks."""


@dataclass(frozen=True)
class ParticleResult:
    """One tracker on one clip.

    Attributes:
        set: of particles.
        seed: of the clip.
        tracker: its name.
        places: errors of its positions.
        motion: of the tracks that follow a free particle for most of their length.
        diffusion: true D of these, in pixels squared a frame.
        recall: at each of the `PRECISIONS`.
    """

    set: str
    seed: int
    tracker: str
    places: Localisation
    motion: MotionAnalysis
    diffusion: float
    recall: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """A line of results."""
        isolated, every = self.places.isolated, self.places.every
        line: dict[str, Any] = {
            "set": self.set,
            "seed": self.seed,
            "tracker": self.tracker,
            "error": isolated.pixels,
            "bound": float(np.sqrt(np.square(isolated.bound).mean())),
            "ratio": isolated.ratio,
            "error_all": every.pixels,
            "bias_x": float(isolated.bias[0]),
            "bias_y": float(isolated.bias[1]),
            "coverage": isolated.coverage,
            **{
                f"recall_{round(100 * p)}": each
                for p, each in zip(PRECISIONS, self.recall, strict=True)
            },
            "true_diffusion": self.diffusion,
        }
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
        A result for the tracker, and one for trackpy.

    Raises:
        UserError: trackpy is not installed, or a file cannot be read.
    """
    known = read_rows(clip.with_suffix(".txt"))
    particles = KnownParticles.read(clip.with_suffix(".json"))
    video = load_video(clip, options=SourceOptions(channels=1)).video[..., 0]
    peer = tracked_by_trackpy(video, known, particles)
    ours, spread = read_positions(tracker(clip, clip.parent))
    size = video.shape[1], video.shape[2]
    places = localisation(ours, known, particles, size=size, spread=spread)
    both = (
        ("scalor", ours, places, places.recall_at),
        ("trackpy", peer.tracks, peer.places, peer.recall_at),
    )
    free = particles.spec.motion("free").diffusion
    return [
        ParticleResult(
            set=name,
            seed=seed,
            tracker=tracker_name,
            places=where,
            motion=measure_motion(of_kind(tracks, known, particles, "free")),
            diffusion=free,
            recall=tuple(recall_at(precision) for precision in PRECISIONS),
        )
        for tracker_name, tracks, where, recall_at in both
    ]


def of_kind(tracks: BoxTable, known: BoxTable, particles: KnownParticles, kind: str) -> BoxTable:
    """The tracks that follow a particle of a kind in most of their rows.

    Args:
        tracks: of any tracker.
        known: boxes of the particles in the same frames.
        particles: what is known of them.
        kind: of `particle_specs.ParticleMotion`.
    """
    hits = matched(tracks, known, particles.spec.size / 2)
    labels = np.array(known.labels)[known.objects[hits.known]]
    right = particles.kinds[np.searchsorted(particles.labels, labels)] == kind
    number = len(tracks.labels)
    share = np.bincount(tracks.objects[hits.found[right]], minlength=number) / np.maximum(
        np.bincount(tracks.objects, minlength=number), 1
    )
    return tracks.kept(share[tracks.objects] > 0.5)
