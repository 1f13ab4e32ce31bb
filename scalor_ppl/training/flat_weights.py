"""A module's weights as one tensor: of a graph they are one input, and their gradient is one.

A graph that is used for every frame would otherwise hand on a hundred small gradients each time, to
be added up one by one.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn


class FlatWeights:
    """Parameters and buffers of a module, for :func:`torch.func.functional_call`.

    By identity: a training changes their values and never puts others in their place.

    Args:
        module: whose they are.
    """

    def __init__(self, module: nn.Module) -> None:
        self._learned: dict[torch.dtype, list[tuple[str, Tensor]]] = {}
        self._constant: list[tuple[str, Tensor]] = []
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.requires_grad:
                self._learned.setdefault(tensor.dtype, []).append((name, tensor))
            else:
                self._constant.append((name, tensor))

    @property
    def learned(self) -> int:
        """How many of :meth:`tensors` want a gradient: the first ones, one of each dtype."""
        return len(self._learned)

    def tensors(self) -> list[Tensor]:
        """All that learn, flat, and then the others, each for itself."""
        flat = [torch.cat([t.flatten() for _, t in same]) for same in self._learned.values()]
        return [*flat, *(tensor.contiguous() for _, tensor in self._constant)]

    def named(self, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
        """Tensors like those of :meth:`tensors` by the module's names."""
        return dict(self._named(tensors))

    def _named(self, tensors: Sequence[Tensor]) -> Iterator[tuple[str, Tensor]]:
        for flat, same in zip(tensors, self._learned.values(), strict=False):
            # Split, not sliced: the gradient is then put together and not added up.
            parts = flat.split([tensor.numel() for _, tensor in same])
            for part, (name, tensor) in zip(parts, same, strict=True):
                yield name, part.view(tensor.shape)
        for tensor, (name, _) in zip(tensors[self.learned :], self._constant, strict=True):
            yield name, tensor
