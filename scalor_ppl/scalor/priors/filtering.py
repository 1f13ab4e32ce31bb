"""What a filter of moving objects knows, and how it is put right by what is seen."""

from typing import NamedTuple

import pyro.distributions as dist
import torch
from torch import Tensor

from scalor_ppl.scalor.priors.futures import Futures

# Gains are learned by age up to this many frames, and stay as they are from there on.
AGES = 24
# Least gains of position and velocity.
LEAST = (0.3, 0.1)


class Transitions(NamedTuple):
    """What became of R tracked objects from a frame to the next, as a posterior has it.

    Attributes:
        rest: size (before it is bounded), depth and z_what before ``[R, 3 + D]``.
        moves: values of the movement ``[R, 2]``.
        changes: of the rest ``[R, 3 + D]``.
        first: whether the object was new ``[R]``.
        settled: the median of its movements from there on, which do not jitter ``[R, 2]``.
    """

    rest: Tensor
    moves: Tensor
    changes: Tensor
    first: Tensor
    settled: Tensor


class Filtered(NamedTuple):
    """What is known of each tracker after a frame, ``[B, K, ...]``.

    Attributes:
        hidden: state of the GRU.
        outlook: figures that the next frame's distributions are made from.
        centre: filtered, in image coordinates.
        velocity: filtered, in steps a frame.
        pace: the speed that it has had on average, in steps a frame.
        rest: what size (before it is bounded), depth and z_what always are, all standardised.
        passing: what they are for a while beside that, as it is foreseen.
        futures: of centre and velocity, see :meth:`ahead`.
        age: frames seen.
    """

    hidden: Tensor
    outlook: Tensor
    centre: Tensor
    velocity: Tensor
    pace: Tensor
    rest: Tensor
    passing: Tensor
    futures: Tensor
    age: Tensor

    @property
    def ahead(self) -> Futures:
        """What may come in the next frame."""
        return Futures.of(self.futures)


class Corrected(NamedTuple):
    """Of :class:`Filtered`, what a frame has put right, and how far what is seen was off."""

    centre: Tensor
    velocity: Tensor
    pace: Tensor
    rest: Tensor
    passing: Tensor
    surprise: Tensor
    age: Tensor


class Outlook(NamedTuple):
    """What a network says of the next frame's distributions, ``[B, K, ...]``.

    Attributes:
        survive: log-odds ``[..., 1]``.
        weights: of the components, log ``[..., C]``.
        offset: of all but the first from where the object goes straight on, in steps
            ``[..., C - 1, 2]``.
        width: of the components, in units of the movement ``[..., C, 2]``.
        scale: of size, depth and looks, standardised ``[..., 3 + D]``.
    """

    survive: Tensor
    weights: Tensor
    offset: Tensor
    width: Tensor
    scale: Tensor

    @torch.no_grad()
    def astray(self, ahead: Futures, step: Tensor, seen: Tensor) -> Tensor:
        """Log-density of a place if it is an outlier's, over the chance that it is none.

        Args:
            ahead: what may come of the object.
            step: in image coordinates ``[2]``.
            seen: the centre ``[..., 2]``, likewise.

        Returns:
            ``[..., 1]``.
        """
        middle = ahead.centre[..., :1, :] + step * self.offset
        normal = dist.Normal(middle, step * self.width[..., 1:, :], validate_args=False)
        weight = self.weights[..., 1:] - self.weights[..., :1]
        density = weight + normal.log_prob(seen[..., None, :]).sum(-1)
        return density.logsumexp(-1, keepdim=True)


class Innovation(NamedTuple):
    """How far what is seen lies from what was foreseen, ``[B, K, ...]``.

    Attributes:
        likely: how likely each future has become ``[..., F]``.
        turned: whether it has turned round along x, and along y, 0 or 1 ``[..., 2]``.
        centre: what was foreseen of it, in image coordinates ``[..., 2]``.
        place: how far the centre lies from there, in steps ``[..., 2]``.
        rest: of size, depth and looks, standardised ``[..., 3 + D]``.
    """

    likely: Tensor
    turned: Tensor
    centre: Tensor
    place: Tensor
    rest: Tensor


def first_gains(rest: int) -> Tensor:
    """Log-odds of the gains above the least before training, by age ``[AGES, 4 + 2 rest]``.

    Together they are those of least squares under a constant velocity and constant looks; the first
    row is never used.
    """
    rows = []
    for n in range(AGES):
        k = n + 1
        gains = 2 * (2 * k - 1) / (k * (k + 1)), 6 / (k * (k + 1))
        above = [(gain - least) / (1 - least) for gain, least in zip(gains, LEAST, strict=True)]
        rows.append([above[0]] * 2 + [above[1]] * 2 + [1 / k] * rest + [0.2] * rest)
    return torch.logit(torch.tensor(rows).clamp(0.03, 0.95))


def whole(where: Tensor) -> Tensor:
    """Whose boxes ``[..., 4]`` no edge cuts, bool ``[..., 1]``."""
    centre, size = where.split(2, -1)
    return (centre.abs() + size <= 1).all(-1, keepdim=True)
