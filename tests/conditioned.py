"""A mixture that is conditioned component by component: what faster code is compared with."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor


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

    def given(self, value: Tensor) -> Mixture:
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
