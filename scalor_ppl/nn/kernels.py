"""Kernel densities of several latents at once, which can be seen a few coordinates at a time.

    p(a, b) = sum_k w_k N(a, b; m_k, L L^T) = p(a) p(b | a)

One covariance serves all normals. So a distance to each of them is a product of two matrices, and
hundreds of them cost little.
"""

import math
from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Size, Tensor, nn
from torch.distributions import constraints

from scalor_ppl.nn.distributions import ModalDistribution
from scalor_ppl.nn.layers import inverse_softplus, positive

# The width in standard deviations of the draws before it is learned, and how it is learned.
BANDWIDTH, RATE, STEPS, BATCH = 0.4, 0.02, 200, 128
# Share of the kernels' width by which they are told apart where no noise is sampled.
LEAST = 0.02
# Places that a density is asked at in one go.
ROWS = 512


class Kernels:
    """A kernel density over n coordinates, of which the first may be known.

    Args:
        logits: log-weights of the kernels ``[..., C]``; they need not be normalised.
        loc: means ``[C, n]``.
        tril: lower triangular factor of the covariance, with a positive diagonal, ``[n, n]``.
        known: values of the first m coordinates ``[..., m]``; none of them.
    """

    def __init__(
        self, logits: Tensor, loc: Tensor, tril: Tensor, known: Tensor | None = None
    ) -> None:
        self.logits = logits
        self.loc = loc
        self.tril = tril
        self.known = logits.new_zeros(*logits.shape[:-1], 0) if known is None else known

    def first(self, n: int) -> TorchDistribution:
        """The distribution of the first n coordinates that are not known, event shape ``[n]``."""
        return KernelDensity(self, n)

    def scalar(self) -> TorchDistribution:
        """The distribution of the first coordinate that is not known, no event dims."""
        return KernelDensity(self, 0)

    def given(self, value: Tensor) -> "Kernels":
        """What is known of the other coordinates once these are: ``[..., n]``."""
        known = torch.cat((self.known.expand(*value.shape[:-1], -1), value), -1)
        return Kernels(self.logits, self.loc, self.tril, known)

    def log_weights(self, value: Tensor) -> Tensor:
        """Log-weight of each kernel times what it gives to the first coordinates ``[..., m]``.

        What is one factor for all kernels is left out: the volume of the covariance, and what a
        value's own square adds to the distances.
        """
        rows, features, weights, _ = self._products(value)
        batch = torch.broadcast_shapes(self.logits.shape[:-1], value.shape[:-1])
        return torch.addmm(rows, features, weights).reshape(*batch, len(self.loc))

    def log_mass(self, value: Tensor) -> Tensor:
        """Logarithm of the sum of all kernels at the first coordinates ``[..., m]``.

        The volume of the covariance is left out. Some rows are done at a time: what hundreds of
        kernels give to thousands of places does not fit into a processor's cache.
        """
        rows, features, weights, own = self._products(value)
        parts = [
            torch.addmm(some, each, weights).logsumexp(-1)
            for some, each in zip(rows.split(ROWS), features.split(ROWS), strict=True)
        ]
        batch = torch.broadcast_shapes(self.logits.shape[:-1], value.shape[:-1])
        return (torch.cat(parts) - own).reshape(batch)

    def _products(self, value: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Squared distances as a product of matrices, of R places.

        Returns:
            Log-weights ``[R, C]``; to be added to them, the product of features ``[R, m + 1]`` and
            ``[m + 1, C]``; and to be taken from all, half the square of each place ``[R]``.
        """
        n = value.shape[-1]
        batch = torch.broadcast_shapes(self.logits.shape[:-1], value.shape[:-1])
        rows = self.logits.expand(*batch, -1).reshape(batch.numel(), -1)
        tril, middle = self.tril[:n, :n], self.loc[:, :n].mean(0)
        # About their middle the squares are small, and little is lost in their difference.
        means = torch.linalg.solve_triangular(tril, (self.loc[:, :n] - middle).T, upper=False)
        whole = (value - middle).expand(*batch, n).reshape(len(rows), n).T
        values = torch.linalg.solve_triangular(tril, whole, upper=False).T
        features = torch.cat((values, values.new_ones(len(values), 1)), -1)
        weights = torch.cat((means, -0.5 * means.square().sum(0, keepdim=True)))
        return rows, features, weights, 0.5 * values.square().sum(-1)


class KernelDensity(ModalDistribution):
    """The next n coordinates of :class:`Kernels`, given those that are known.

    Args:
        kernels: the density.
        n: how many; 0 for the next one, without an event dim.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = False

    def __init__(self, kernels: Kernels, n: int, validate_args: bool | None = None) -> None:
        self.kernels = kernels
        self.n = n
        batch = torch.broadcast_shapes(kernels.logits.shape[:-1], kernels.known.shape[:-1])
        super().__init__(batch, Size((n,) if n else ()), validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """Real values."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def expand(self, batch_shape: Any, _instance: Any = None) -> "KernelDensity":
        """The same distribution over a larger batch shape."""
        shape, old = Size(batch_shape), self.kernels
        logits = old.logits.expand(*shape, -1)
        known = old.known.expand(*shape, -1)
        return KernelDensity(Kernels(logits, old.loc, old.tril, known), self.n, False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of the coordinates, given those that are known."""
        value = value if self.n else value[..., None]
        kernels, n = self.kernels, value.shape[-1]
        m = kernels.known.shape[-1]
        known = kernels.known.expand(*value.shape[:-1], m)
        after = kernels.log_mass(torch.cat((known, value), -1))
        before = kernels.log_mass(known)
        volume = torch.diagonal(kernels.tril)[m : m + n].log().sum()
        return after - before - volume - 0.5 * n * math.log(2 * math.pi)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A kernel's mean and noise."""
        return self.tempered(1.0, sample_shape)

    @torch.no_grad()
    def tempered(self, temperature: float, sample_shape: Any = ()) -> Tensor:
        """A sample with the kernels' noise scaled; which kernel is not.

        The kernel is one that what is known is likely to come from, were it sampled with as little
        noise. So coordinates that are sampled one after another are of the same kernel.

        Args:
            temperature: factor of the noise.
            sample_shape: of the samples.
        """
        whole = self.kernels
        tril = whole.tril * max(temperature, LEAST)
        narrow = Kernels(whole.logits, whole.loc, tril, whole.known)
        weights = narrow.log_weights(narrow.known).expand(*self.batch_shape, -1)
        chosen = torch.distributions.Categorical(logits=weights).sample(Size(sample_shape))
        mean = self._means(chosen)
        m, n = self.kernels.known.shape[-1], max(self.n, 1)
        noise = torch.randn_like(mean) @ self.kernels.tril[m : m + n, m : m + n].T
        return self._shaped(mean + temperature * noise)

    @property
    def mode(self) -> Tensor:
        """The mean of the heaviest kernel, which stands for the mode."""
        weights = self.kernels.log_weights(self.kernels.known).expand(*self.batch_shape, -1)
        return self._shaped(self._means(weights.argmax(-1)))

    def _means(self, chosen: Tensor) -> Tensor:
        """Means of the chosen kernels ``[...]`` given what is known, ``[..., n]``."""
        kernels = self.kernels
        m, n = kernels.known.shape[-1], max(self.n, 1)
        loc = kernels.loc[chosen]
        mean = loc[..., m : m + n]
        if m == 0:
            return mean
        pull = torch.linalg.solve_triangular(
            kernels.tril[:m, :m].T, kernels.tril[m : m + n, :m].T, upper=True
        )
        return mean + (kernels.known - loc[..., :m]) @ pull

    def _shaped(self, value: Tensor) -> Tensor:
        return value if self.n else value.squeeze(-1)


class KernelNormals(nn.Module):
    """The learned means, covariance and circumstances of :class:`Kernels`.

    Begun from draws it is their conditional kernel density: a sample is one of the draws that were
    made under like circumstances, and noise, so that what is no blend of others is not blended.

    Args:
        count: C.
        n: coordinates.
        m: figures about the circumstances.
    """

    def __init__(self, count: int, n: int, m: int) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.randn(count, n))
        self.spread = nn.Parameter(torch.zeros(n))
        self.lower = nn.Parameter(torch.zeros(n, n))
        self.about = nn.Parameter(torch.zeros(count, m))
        self.likeness = nn.Parameter(torch.zeros(m))

    def forward(self, about: Tensor) -> Kernels:
        """The density under some circumstances ``[..., m]``."""
        scale = positive(self.spread)
        unit = self.lower.tril(-1) + torch.eye(len(scale)).to(scale)
        width = positive(self.likeness)
        here, there = about / width, self.about / width
        # Of the squares of the differences, that of ``about`` is the same for all kernels.
        logits = here @ there.T - 0.5 * there.square().sum(-1)
        return Kernels(logits, self.loc, scale[:, None] * unit)

    def begin(self, draws: Tensor, centres: Tensor, about: Tensor) -> None:
        """Put the means where some of the draws lie, and learn how wide they are from the others.

        Args:
            draws: ``[R, n]``, R >= 2.
            centres: where each lies but for what is noise in it ``[R, n]``.
            about: the circumstances of each ``[R, m]``.
        """
        count = len(self.loc)
        mixed = torch.randperm(len(draws), device=draws.device)
        kept, others = mixed.tensor_split([min(count, len(mixed) // 2)])
        chosen = kept[torch.arange(count, device=draws.device) % len(kept)]
        width = BANDWIDTH * draws.std(0).clamp(min=1e-2)
        likeness = BANDWIDTH * about.std(0).clamp(min=0.1)
        with torch.no_grad():
            self.loc.copy_(centres[chosen])
            self.about.copy_(about[chosen])
            self.spread.copy_(inverse_softplus(width))
            self.likeness.copy_(inverse_softplus(likeness))
            self.lower.zero_()
        optimizer = torch.optim.Adam([self.spread, self.lower, self.likeness], RATE)
        with torch.enable_grad():
            # Of few others no full covariance is to be had: then it stays about as it begins.
            for _ in range(min(STEPS, len(others))):
                rows = others[torch.randint(len(others), (BATCH,), device=draws.device)]
                density = self(about[rows]).first(draws.shape[1]).log_prob(draws[rows].detach())
                self.zero_grad()
                (-density.mean()).backward()
                optimizer.step()
        self.zero_grad()
