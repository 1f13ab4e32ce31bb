"""Weights of runs from before a module had all the parameters that it has today."""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class ReadsOlder(Protocol):
    """A module that has got parameters since, and says what they would have been."""

    def complete(self, weights: dict[str, Tensor], prefix: str) -> None:
        """Add what is missing, such that the module computes what it did then.

        Args:
            weights: by name.
            prefix: of the module's names.
        """
        ...


def completed(module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights, and what those of older runs do not have."""
    weights = dict(weights)
    for name, part in module.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(part, ReadsOlder) and any(key.startswith(prefix) for key in weights):
            part.complete(weights, prefix)
    return weights
