"""Lower bounds on log p(x) of held-out clips, with hard presence.

The bound of the relaxed program depends on the temperature at which training left it, and is not
that of the program people mean: an object is there or it is not. So presence is made hard for the
evaluation, on both sides; a guide that was trained relaxed is then a guide for the hard program,
maybe not the best one.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scalor_ppl.data import ClipSource
from scalor_ppl.errors import UserError
from scalor_ppl.inference.finite import check_weights
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.objectives.estimators import ESTIMATORS
from scalor_ppl.objectives.particles import ParticleEstimator
from scalor_ppl.programs import Program

BOUNDS = ("elbo", "iwae")
AT_ONCE = 60  # tiled videos in one pass


@dataclass(frozen=True)
class Bound:
    """A lower bound on log p(x), mean over clips.

    Attributes:
        estimator: ``elbo`` or ``iwae``.
        particles: K.
        presence: of the program that it bounds: ``hard``; none where it has no presence.
        clips: how many.
        per_video: nats a clip.
        error: standard error of ``per_video`` over clips; none for a single one.
        per_pixel: nats a pixel and channel.
        effective: effective sample size of the K weights, mean over clips, 1 to K.
        by_clip: nats, of each clip.
    """

    estimator: str
    particles: int
    presence: str | None
    clips: int
    per_video: float
    error: float | None
    per_pixel: float
    effective: float
    by_clip: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return asdict(self)


def bound_of(
    program: Program,
    source: ClipSource,
    *,
    estimator: str,
    particles: int,
    clips: int,
    frames: int,
    seed: int = 0,
) -> Bound:
    """Bound log p(x) of a source's first clips.

    Args:
        program: trained.
        source: of clips.
        estimator: of ``BOUNDS``.
        particles: K.
        clips: how many clips, at most as many as there are.
        frames: length of each.
        seed: of the draws.

    Raises:
        UserError: no such bound, or a source of another size.
        NotFiniteError: a weight is not finite.
    """
    if estimator not in BOUNDS:
        raise UserError(f"--bound {estimator}: it is one of {', '.join(BOUNDS)}")
    program.check_fits(source.name, source.height, source.width, source.channels)
    count = min(clips, max(1, source.starts(frames)))
    reduce = ESTIMATORS[estimator](num_particles=1)
    values, sizes = [], []
    torch.manual_seed(seed)
    for number in range(count):
        video = to_video(source.clip(number, frames).video[None], program.device)
        presence = program.bounded_presence
        weights = log_weights(program, video, particles, presence=presence).double()
        check_weights(weights, program, video)
        values.append(reduce.bound(weights).item())
        sizes.append(effective_size(weights).item())
    per_video = float(np.mean(values))
    pixels = frames * source.height * source.width * source.channels
    return Bound(
        estimator,
        particles,
        program.bounded_presence,
        count,
        per_video,
        standard_error(values),
        per_video / pixels,
        float(np.mean(sizes)),
        tuple(values),
    )


@torch.no_grad()
def log_weights(
    program: Program,
    video: Tensor,
    particles: int,
    *,
    presence: str | None,
    weigh: type[ParticleEstimator] = ParticleEstimator,
) -> Tensor:
    """Log-weights ``[K, B]``, in as many passes as memory asks for.

    Args:
        program: trained.
        video: ``[B, T, C, H, W]`` in [0, 1].
        particles: K.
        presence: of the program that is bounded; none leaves it as it is.
        weigh: whose log-weights; ``elbo-analytic`` has its own.
    """
    videos = video.shape[0]
    chunk = max(1, AT_ONCE // videos)
    parts = []
    with fast_pyro(), program.presence_as(presence):
        for begin in range(0, particles, chunk):
            estimator = weigh(num_particles=min(chunk, particles - begin))
            weights = estimator.log_weights(program.model, program.guide, (video,), {})
            parts.append(weights.value)
    return torch.cat(parts)


def effective_size(weights: Tensor) -> Tensor:
    """Effective sample size of log-weights ``[K, B]``, 1 to K, per video."""
    shares = torch.softmax(weights, 0)
    return 1 / shares.square().sum(0)


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean of independent values; none where there are fewer than two."""
    if len(values) < 2:
        return None
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))
