"""Mixtures of normals of several latents at once, and products of distributions."""

from collections.abc import Sequence
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.distributions import constraints

from scalor_ppl.nn.layers import inverse_softplus, positive


class Mixture:
    """A mixture of normals over n coordinates, which can be seen a few coordinates at a time.

        p(a, b) = sum_k w_k N(a, b; m_k, L_k L_k^T) = p(a) p(b | a)

    Both factors are mixtures again: with a known, the weights are those of Bayes and each normal is
    conditioned, which a triangular L makes a product with a matrix.

    Args:
        logits: log-weights of the components ``[..., C]``; they need not be normalised.
        loc: means ``[..., C, n]``.
        tril: lower triangular factors of the covariances, with a positive diagonal, ``[C, n, n]``.
    """

    def __init__(self, logits: Tensor, loc: Tensor, tril: Tensor) -> None:
        self.logits = logits
        self.loc = loc
        self.tril = tril

    def first(self, n: int) -> TorchDistribution:
        """The distribution of the first n coordinates, event shape ``[n]``."""
        normal = dist.MultivariateNormal(self.loc[..., :n], scale_tril=self.tril[:, :n, :n])
        return self._mixed(normal)

    def scalar(self) -> TorchDistribution:
        """The distribution of the first coordinate, no event dims."""
        return self._mixed(dist.Normal(self.loc[..., 0], self.tril[:, 0, 0]))

    def given(self, value: Tensor) -> "Mixture":
        """What is known of the other coordinates once the first n are: ``[..., n]``."""
        n = value.shape[-1]
        tril = self.tril[:, :n, :n]
        eye = torch.eye(n, dtype=tril.dtype, device=tril.device)
        inverse = torch.linalg.solve_triangular(tril, eye.expand_as(tril), upper=False)
        rest = value[..., None, :] - self.loc[..., :n]
        noise = torch.einsum("cij,...cj->...ci", inverse, rest)
        volume = torch.diagonal(tril, dim1=-2, dim2=-1).log().sum(-1)
        logits = self.logits - 0.5 * noise.square().sum(-1) - volume
        pull = torch.einsum("cij,...cj->...ci", self.tril[:, n:, :n], noise)
        return Mixture(logits, self.loc[..., n:] + pull, self.tril[:, n:, n:])

    def _mixed(self, normal: TorchDistribution) -> TorchDistribution:
        batch = torch.broadcast_shapes(self.logits.shape, normal.batch_shape)
        weights = dist.Categorical(logits=self.logits.expand(batch))
        return dist.MixtureSameFamily(weights, normal.expand(batch))


class MixtureNormals(nn.Module):
    """The learned normals of a :class:`Mixture`, with full covariances.

    Args:
        count: C.
        n: coordinates.
    """

    def __init__(self, count: int, n: int) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.randn(count, n))
        self.spread = nn.Parameter(torch.zeros(count, n))
        self.lower = nn.Parameter(torch.zeros(count, n, n))

    def forward(self, logits: Tensor) -> Mixture:
        """The mixture with these log-weights ``[..., C]``."""
        scale = positive(self.spread)
        unit = self.lower.tril(-1) + torch.eye(scale.shape[-1]).to(scale)
        return Mixture(logits, self.loc, scale[..., None] * unit)

    @torch.no_grad()
    def begin(self, draws: Tensor) -> None:
        """Start where draws ``[R, n]`` lie, R >= 2: at the centres of their clusters."""
        means, own = clusters(draws, len(self.loc))
        self.loc.copy_(means)
        spread = (draws - means[own]).square().mean(0).sqrt().clamp(min=0.05)
        self.spread.copy_(inverse_softplus(spread).expand_as(self.spread))


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
