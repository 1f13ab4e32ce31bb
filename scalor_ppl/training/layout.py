"""Nested tuples and dictionaries of tensors as flat lists, each tensor once."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from scalor_ppl.graphs import GraphError


class Layout:
    """Where in a nested value each of a list of tensors lies.

    Args:
        value: tuples, lists and dictionaries of tensors and of nothing (``None``).

    Attributes:
        tensors: those of the value, each once though it may lie in several places.

    Raises:
        GraphError: something else is in it, which a graph would take for a constant.
    """

    def __init__(self, value: Any) -> None:
        leaves, self._spec = tree_flatten(value)
        self.tensors: list[Tensor] = []
        self._first: list[int] = []
        self._places: list[int | None] = []
        known: dict[int, int] = {}
        for place, leaf in enumerate(leaves):
            if leaf is None:
                self._places.append(None)
                continue
            if not isinstance(leaf, Tensor):
                raise GraphError(f"its memory holds a {type(leaf).__name__}, not tensors alone")
            if id(leaf) not in known:
                known[id(leaf)] = len(self.tensors)
                self.tensors.append(leaf)
                self._first.append(place)
            self._places.append(known[id(leaf)])

    def of(self, value: Any) -> list[Tensor]:
        """The tensors of another value of the same form, as they lie in this one."""
        leaves = tree_flatten(value)[0]
        return [leaves[place] for place in self._first]

    def filled(self, tensors: Sequence[Tensor]) -> Any:
        """The value that other tensors, in the order of :attr:`tensors`, make."""
        leaves = [None if at is None else tensors[at] for at in self._places]
        return tree_unflatten(leaves, self._spec)

    def released(self) -> "Layout":
        """Itself, without holding on to the tensors."""
        self.tensors = []
        return self
