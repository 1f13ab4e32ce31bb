"""A device without data, on which every look at data is seen: what a GPU would have to wait for.

A build of torch without CUDA can make fake CUDA tensors but not their gradients: it aborts. The
``meta`` device has gradients, and no data either; what is asked of it here is what would stop a
GPU, or go wrong on one.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import scalor_ppl

META = torch.device("meta")
CPU = torch.device("cpu")
HERE = Path(__file__)
ROOT = Path(scalor_ppl.__file__).parents[1]
TORCH = Path(torch.__file__).parent
ATEN = torch.ops.aten
# What the host learns of the device's data, as far as torch asks by a name of its own.
LOOKS = {
    ATEN._local_scalar_dense.default: "item",
    ATEN.item.default: "item",
    ATEN.is_nonzero.default: "bool",
    ATEN.equal.default: "equal",
    ATEN.nonzero.default: "nonzero",
    ATEN.masked_select.default: "masked_select",
}


class Seen(NamedTuple):
    """Something that a GPU would not like.

    Attributes:
        what: ``item``, ``to the host``, ``from the host``, ``stray`` ...
        file: that asked for it, from the root of the package, or its name in a library.
        function: the name of the function there.
        line: its number there.
    """

    what: str
    file: str
    function: str
    line: int


@contextmanager
def watched() -> Iterator[list[Seen]]:
    """See synchronisations, and tensors on the host that are computed with; lends what is seen."""
    seen: list[Seen] = []
    with _Constants(seen), _Operations(seen):
        yield seen


class _Constants(TorchFunctionMode):
    """Sees tensors that are made of numbers in Python: operations do not tell of them."""

    def __init__(self, seen: list[Seen]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_function__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, Tensor.new_tensor) and result.device == META:
            given = args[1] if func is Tensor.new_tensor else args[0]
            if not isinstance(given, Tensor):
                _note(self.seen, "from the host")
        return result


class _Operations(TorchDispatchMode):
    """Sees what operations are asked for."""

    def __init__(self, seen: list[Seen]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        on_device = [each for each in given if each.device == META]
        if func in LOOKS and on_device:
            self._note(LOOKS[func])
            return _answer(func, args)
        if func is ATEN.lift_fresh.default and given[0].dim():  # of what lies on the host
            self._note("stray")
            return func(*args, **kwargs)
        if func is ATEN._to_copy.default and given:
            return self._copied(func, given[0], args, kwargs)
        if func is ATEN.copy_.default and given[0].device != given[1].device:
            self._note("from the host" if given[0].device == META else "to the host")
            return args[0]
        if func is ATEN.index.Tensor and any(_is_mask(each) for each in args[1]):
            self._note("mask")
            args = (args[0], _all_of(args[1]))
        # A number on the host is an argument of a kernel; more than one have to be brought there.
        if on_device and any(each.device == CPU and each.dim() for each in given):
            self._note("mixed")
            moved = {id(each): each.to(META) for each in given if each.device == CPU and each.dim()}
            args, kwargs = _mapped(moved, args), _mapped(moved, kwargs)
        result = func(*args, **kwargs)
        if not given and any(
            each.device == CPU and each.dim()
            for each in tree_leaves(result)
            if isinstance(each, Tensor)
        ):
            self._note("stray")
        return result

    def _copied(self, func: Any, source: Tensor, args: Any, kwargs: dict[str, Any]) -> Tensor:
        target = kwargs.get("device") or source.device
        if source.device == META and target == CPU:
            self._note("to the host")
            return torch.zeros(source.shape, dtype=kwargs.get("dtype") or source.dtype)
        if source.device == CPU and target == META:
            self._note("from the host")
        return func(*args, **kwargs)

    def _note(self, what: str) -> None:
        _note(self.seen, what)


def _note(seen: list[Seen], what: str) -> None:
    """Note that the innermost function outside torch asked for it."""
    frames = (
        each
        for each in reversed(traceback.extract_stack())
        if Path(each.filename) != HERE and TORCH not in Path(each.filename).parents
    )
    last = next(frames)
    file = Path(last.filename)
    # `make` has the environment, and with it other packages, inside the repository.
    own = ROOT in file.parents and "site-packages" not in file.parts
    file = file.relative_to(ROOT) if own else Path(file.name)
    seen.append(Seen(what, str(file), last.name, last.lineno or 0))


def _answer(func: Any, args: tuple[Any, ...]) -> Any:
    """What goes on as if everything were true, or one."""
    source: Tensor = args[0]
    if func in (ATEN.is_nonzero.default, ATEN.equal.default):
        return True
    if func is ATEN.nonzero.default:
        return torch.empty(source.numel(), source.dim(), dtype=torch.long, device=META)
    if func is ATEN.masked_select.default:
        return source.reshape(-1)
    return True if source.dtype == torch.bool else 1


def _is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype == torch.bool


def _all_of(indices: list[Tensor | None]) -> list[Tensor | None]:
    """Masks as the places of all that they could choose."""
    found: list[Tensor | None] = []
    for index in indices:
        if index is None or index.dtype != torch.bool:
            found.append(index)
            continue
        place = torch.empty(index.numel(), dtype=torch.long, device=META)
        found += [place] * index.dim()
    return found


def _mapped(moved: dict[int, Tensor], value: Any) -> Any:
    if isinstance(value, Tensor):
        return moved.get(id(value), value)
    if isinstance(value, dict):
        return {key: _mapped(moved, each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_mapped(moved, each) for each in value)
    return value
