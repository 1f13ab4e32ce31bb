"""z_pres of the cells one after the other: each knows what the cells before it have proposed."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import constraints

from scalor_ppl.nn.distributions import ModalDistribution, Presence

LogitsOf = Callable[[Tensor, slice], Tensor]
"""Log-odds of a slice of the cells ``[B, n]``, from z_pres of all ``[B, N]``, of which only those
of the cells before may be used."""


class ChainedPresence(ModalDistribution):
    """Presence of N cells, p(z_1) p(z_2 | z_1) ... p(z_N | z_1 ... z_{N-1}), row by row.

    The density of all cells is computed at once, and given by cell: its terms belong together. A
    sample takes a step per cell.

    Args:
        kind: what z_pres is.
        logits: log-odds of the cells, see :data:`LogitsOf`.
        shape: B, N.
        like: any tensor of the type and on the device of the values.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = False

    def __init__(
        self,
        kind: Presence,
        logits: LogitsOf,
        shape: tuple[int, int],
        like: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        self.kind = kind
        self.logits_of = logits
        self.like = like
        super().__init__(Size(shape), Size(), validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """That of one cell's presence."""
        return constraints.boolean if self.kind.kind == "hard" else constraints.real

    def expand(self, batch_shape: Any, _instance: Any = None) -> "ChainedPresence":
        """Itself: a chain has one shape.

        Raises:
            ValueError: another is asked for.
        """
        if Size(batch_shape) != self.batch_shape:
            raise ValueError(f"a chain over {list(self.batch_shape)} is not {list(batch_shape)}")
        return self

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each cell's value given those before it ``[B, N]``."""
        logits = self.logits_of(self.kind.weight(value), slice(None))
        return self.kind.distribution(logits).log_prob(value)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Values of all cells, ``[B, N]``."""
        if Size(sample_shape):
            raise NotImplementedError("a chain is sampled once at a time")
        return self._walked(lambda fn: fn.sample())

    @property
    def mode(self) -> Tensor:
        """Each cell's more likely side, given those of the cells before."""
        return self._walked(lambda fn: self.kind.mode(fn.logits))

    @torch.no_grad()
    def _walked(self, choose: Callable[[Any], Tensor]) -> Tensor:
        values = torch.zeros_like(self.like.expand(self.batch_shape))
        weights = torch.zeros_like(values)
        for n in range(self.batch_shape[1]):
            part = slice(n, n + 1)
            values[:, part] = choose(self.kind.distribution(self.logits_of(weights, part)))
            weights[:, part] = self.kind.weight(values[:, part])
        return values
