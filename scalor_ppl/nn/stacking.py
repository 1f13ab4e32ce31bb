"""Distributions of one kind and shape, side by side as one."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from scalor_ppl.nn.distributions import (
    Coordinates,
    Gaussian,
    LogitRelaxedBernoulli,
    PixelNormal,
)
from scalor_ppl.nn.gathered import traced
from scalor_ppl.nn.squares import squared_distances


def stacking_key(fn: Any) -> Hashable | None:
    """What distributions must have in common to be stacked; none of one that never is."""
    if type(fn) in (dist.Independent, Coordinates):
        base = stacking_key(fn.base_dist)
        return None if base is None else ("independent", fn.reinterpreted_batch_ndims, base)
    kind = _KINDS.get(type(fn))
    return None if kind is None else (type(fn), fn.batch_shape, *kind.key(fn))


def stacked(fns: Sequence[Any]) -> TorchDistribution:
    """Distributions as one, in a new first batch dim ``[n, *batch_shape]``.

    Args:
        fns: one or more, of the same :func:`stacking_key`.
    """
    first = fns[0]
    if isinstance(first, dist.Independent):
        base = stacked([fn.base_dist for fn in fns])
        return dist.Independent(
            base, first.reinterpreted_batch_ndims, validate_args=base._validate_args
        )
    return _KINDS[type(first)].stack(fns)


def log_prob_unstacked(fns: Sequence[Any], values: Sequence[Tensor]) -> Tensor | None:
    """Log-densities ``[n, *batch_shape]`` of values that need not be stacked; none of most kinds.

    Args:
        fns: one or more, of the same :func:`stacking_key`.
        values: one of each.
    """
    first = fns[0]
    if traced() or type(first) is not PixelNormal or first._validate_args:
        return None
    squares = squared_distances(values, [fn.loc for fn in fns], first.event_dim)
    return None if squares is None else first.of_squares(squares)


class _Kind:
    """How one type of distribution is stacked.

    Args:
        key: what else has to agree.
        stack: makes one of several.
    """

    def __init__(
        self,
        key: Callable[[Any], tuple[Hashable, ...]],
        stack: Callable[[Sequence[Any]], TorchDistribution],
    ) -> None:
        self.key = key
        self.stack = stack


def _over(fns: Sequence[Any], parameter: str) -> Tensor:
    return torch.stack([getattr(fn, parameter) for fn in fns])


def _temperature(fn: LogitRelaxedBernoulli) -> tuple[Hashable, ...]:
    # A tensor is compared by identity: its value would have to travel to the host.
    known = fn.temperature
    return (id(known),) if isinstance(known, Tensor) else (known,)


def _normals(fns: Sequence[Any]) -> TorchDistribution:
    return Gaussian(_over(fns, "loc"), _over(fns, "scale"), validate_args=fns[0]._validate_args)


def _pixels(fns: Sequence[Any]) -> TorchDistribution:
    first = fns[0]
    return PixelNormal(
        _over(fns, "loc"), first.sigma, first.event_dim, validate_args=first._validate_args
    )


def _relaxed(fns: Sequence[Any]) -> TorchDistribution:
    return LogitRelaxedBernoulli(
        fns[0].temperature, _over(fns, "logits"), validate_args=fns[0]._validate_args
    )


def _bernoullis(fns: Sequence[Any]) -> TorchDistribution:
    return dist.Bernoulli(logits=_over(fns, "logits"), validate_args=fns[0]._validate_args)


_KINDS: dict[type, _Kind] = {
    dist.Normal: _Kind(lambda fn: (), _normals),
    Gaussian: _Kind(lambda fn: (), _normals),
    PixelNormal: _Kind(lambda fn: (fn.sigma,), _pixels),
    LogitRelaxedBernoulli: _Kind(_temperature, _relaxed),
    dist.Bernoulli: _Kind(lambda fn: (), _bernoullis),
}
