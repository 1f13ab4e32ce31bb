"""How noisy an objective's gradient is, and how long it takes."""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.objectives.particles import ParticleEstimator
from scalor_ppl.programs import Program

WARM_UP = 2  # steps; the first touch of memory is slow


@dataclass(frozen=True)
class Noise:
    """Of the gradient with respect to a group of parameters.

    Attributes:
        variance: trace of the covariance of a draw.
        mean_square: squared norm of the mean, without the bias of its estimate; it may be negative
            where the noise hides the mean.
        snr: signal-to-noise ratio, ``sqrt(max(0, mean_square) / variance)``; none where no draw
            differs from another.
    """

    variance: float
    mean_square: float
    snr: float | None


@dataclass(frozen=True)
class GradientFigures:
    """Of one objective on one batch.

    Attributes:
        noise: by part of the program.
        seconds: of forward and backward, median.
    """

    noise: dict[str, Noise]
    seconds: float


class Moments:
    """Mean and variance of vectors that come one after another (Welford's recursion)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | float = 0.0
        self.squares = 0.0  # summed squared distances from the mean, over all entries

    def add(self, vector: Tensor) -> None:
        """Take one more, ``[P]``."""
        self.count += 1
        vector = vector.double()
        before = vector - self.mean
        self.mean = self.mean + before / self.count
        self.squares += float((before * (vector - self.mean)).sum())

    def noise(self) -> Noise:
        """What they say of one draw; of two at least.

        The squared norm of a mean of R draws is too large by ``variance / R``.
        """
        variance = self.squares / (self.count - 1)
        mean_square = float(torch.as_tensor(self.mean).square().sum()) - variance / self.count
        snr = math.sqrt(max(0.0, mean_square) / variance) if variance else None
        return Noise(variance, mean_square, snr)


def measure_gradient(
    program: Program,
    video: Tensor,
    estimator: ParticleEstimator,
    *,
    presence: str,
    repeats: int,
    seed: int = 0,
) -> GradientFigures:
    """Draw the gradient of the loss that training uses (nats a frame, unclipped), repeatedly.

    Args:
        program: trained.
        video: the batch, ``[B, T, C, H, W]`` in [0, 1], the same for all draws.
        estimator: the objective.
        presence: kind of presence meanwhile.
        repeats: how many draws, at least 2.
        seed: of the draws.
    """
    moments = {name: Moments() for name in program.parts}
    seconds = []
    torch.manual_seed(seed)
    with fast_pyro(), program.presence_as(presence):
        for number in range(WARM_UP + repeats):
            forget(program)
            begin = _now(program.device)
            loss = estimator.differentiable_loss(program.model, program.guide, video)
            (loss / (video.shape[0] * video.shape[1])).backward()
            end = _now(program.device)
            if number < WARM_UP:
                continue
            seconds.append(end - begin)
            for name, part in program.parts.items():
                moments[name].add(flat_gradient(part))
    forget(program)
    noise = {name: each.noise() for name, each in moments.items()}
    return GradientFigures(noise, float(np.median(seconds)))


def flat_gradient(part: nn.Module) -> Tensor:
    """The gradient of all parameters side by side; zero where there is none."""
    gradients = [
        torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for parameter in part.parameters()
    ]
    return torch.cat([gradient.flatten() for gradient in gradients])


def forget(program: Program) -> None:
    """Drop the gradients."""
    for part in program.parts.values():
        part.zero_grad(set_to_none=True)


def _now(device: torch.device) -> float:
    """Seconds on a clock, when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
