"""What a filter of moving objects knows, and how it is put right by what is seen."""

from typing import NamedTuple

import torch
from torch import Tensor

from scalor_ppl.scalor.priors.futures import Futures

# Gains are learned by age up to this many frames, and stay as they are from there on.
AGES = 24
# Least gains of position and velocity.
LEAST = (0.3, 0.1)


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
