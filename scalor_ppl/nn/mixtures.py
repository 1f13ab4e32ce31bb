"""Mixtures of normals, and products of distributions."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints


@torch.no_grad()
def clusters(draws: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Centres of the clusters of draws ``[R, n]`` (k-means), and which each draw belongs to."""
    means = draws[torch.randint(len(draws), (count,), device=draws.device)].clone()
    own = torch.cdist(draws, means).argmin(1)
    for _ in range(20):
        for number in range(count):
            if (own == number).any():
                means[number] = draws[own == number].mean(0)
        own = torch.cdist(draws, means).argmin(1)
    return means, own


class Product(TorchDistribution):
    """Independent distributions of the parts of one vector, side by side.

    Args:
        parts: of one batch shape and one event dim each.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector

    def __init__(
        self, parts: Sequence[TorchDistribution], validate_args: bool | None = None
    ) -> None:
        self.parts = list(parts)
        self.widths = [part.event_shape[0] for part in self.parts]
        self.has_rsample = all(part.has_rsample for part in self.parts)
        batch = torch.broadcast_shapes(*(part.batch_shape for part in self.parts))
        super().__init__(batch, torch.Size((sum(self.widths),)), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Product":
        """The same distribution over a larger batch shape."""
        return Product([part.expand(batch_shape) for part in self.parts], False)

    @property
    def mean(self) -> Tensor:
        """Expected vector."""
        return torch.cat(
            [part.mean.expand(self.batch_shape + part.event_shape) for part in self.parts], -1
        )

    @property
    def variance(self) -> Tensor:
        """Variance of each coordinate."""
        return torch.cat(
            [part.variance.expand(self.batch_shape + part.event_shape) for part in self.parts], -1
        )

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A reparameterised sample, where all parts have one."""
        shape = torch.Size(sample_shape)
        return torch.cat([part.expand(self.batch_shape).rsample(shape) for part in self.parts], -1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A sample without gradient."""
        shape = torch.Size(sample_shape)
        with torch.no_grad():
            drawn = [part.expand(self.batch_shape).sample(shape) for part in self.parts]
        return torch.cat(drawn, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Sum of the parts' log-densities."""
        values = value.split(self.widths, -1)
        terms = [part.log_prob(v) for part, v in zip(self.parts, values, strict=True)]
        return torch.stack(torch.broadcast_tensors(*terms)).sum(0)


def heaviest(mixture: Any) -> Tensor:
    """The mean of a mixture's heaviest component, which stands for its mode.

    Args:
        mixture: a ``MixtureSameFamily``.
    """
    chosen = mixture.mixture_distribution.logits.argmax(-1)
    return of_component(mixture.component_distribution.mean, chosen)


def of_component(every: Tensor, chosen: Tensor) -> Tensor:
    """The values of the chosen components.

    Args:
        every: of all of them ``[..., C, *event]``.
        chosen: which, int64 ``[...]``.
    """
    dim = chosen.dim()
    event = every.shape[dim + 1 :]
    index = chosen.reshape(*chosen.shape, *[1] * (len(event) + 1)).expand(*chosen.shape, 1, *event)
    return every.gather(dim, index).squeeze(dim)
