"""A distribution over one batch dim, seen as one over several."""

from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints, kl_divergence, register_kl


class Unfolded(TorchDistribution):
    """The same variables in another batch shape of as many elements, in the same order.

    Args:
        base_dist: any.
        batch_shape: of as many elements as that of ``base_dist``.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(
        self, base_dist: TorchDistribution, batch_shape: Size, validate_args: bool | None = None
    ) -> None:
        self.base_dist = base_dist
        # Pyro sets it per distribution (``.detach``, ``.has_rsample_``), so it is no property here.
        self.has_rsample = base_dist.has_rsample
        super().__init__(batch_shape, base_dist.event_shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """That of the base."""
        return self.base_dist.support

    def expand(self, batch_shape: Any, _instance: Any = None) -> TorchDistribution:
        """The same distribution over a larger batch shape."""
        return self if Size(batch_shape) == self.batch_shape else super().expand(batch_shape)

    @property
    def mean(self) -> Tensor:
        """``batch_shape + event_shape``."""
        return self.unfolded(self.base_dist.mean)

    @property
    def variance(self) -> Tensor:
        """``batch_shape + event_shape``."""
        return self.unfolded(self.base_dist.variance)

    def unfolded(self, value: Tensor) -> Tensor:
        """A value of the base in the shape of this."""
        return value.reshape(self.batch_shape + self.event_shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A sample, without gradient."""
        with torch.no_grad():
            return self.base_dist.sample(sample_shape).reshape(self._shape(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A reparameterised sample."""
        return self.base_dist.rsample(sample_shape).reshape(self._shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of a value that broadcasts with ``batch_shape + event_shape``."""
        shape = torch.broadcast_shapes(value.shape, self.batch_shape + self.event_shape)
        before = shape[: len(shape) - len(self.batch_shape) - len(self.event_shape)]
        folded = value.expand(shape).reshape(
            before + self.base_dist.batch_shape + self.base_dist.event_shape
        )
        return self.base_dist.log_prob(folded).reshape(before + self.batch_shape)

    def _shape(self, sample_shape: Any) -> Size:
        return Size(sample_shape) + self.batch_shape + self.event_shape


@register_kl(Unfolded, Unfolded)
def _kl_unfolded(p: Unfolded, q: Unfolded) -> Tensor:
    """That of the bases, which have the variables in the same order."""
    if p.batch_shape != q.batch_shape or p.base_dist.batch_shape != q.base_dist.batch_shape:
        raise NotImplementedError("distributions that were unfolded in different ways")
    return kl_divergence(p.base_dist, q.base_dist).reshape(p.batch_shape)
