"""Programs within plates of Pyro's own tools: vectorised particles, ``Predictive(parallel=True)``.

Such a tool runs a program once within a plate to the left of the program's own, and expects N
values of every site: ``[N, B, K, ...]`` where the program has ``[B, K, ...]``. The networks of a
program take one dim of videos. So, within such a plate, a program is run on N * B videos, and
between the program and the tool every site is unfolded: the tool sees ``[N, B, K, ...]``, the
program ``[N * B, K, ...]``, the same numbers in the same order.

Without outer plates nothing of this is done. The package's own estimators tile their videos
themselves (see :mod:`scalor_ppl.objectives.particles`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from pyro.poutine.indep_messenger import CondIndepStackFrame
from pyro.poutine.messenger import Messenger, block_messengers
from pyro.poutine.runtime import apply_stack, get_plates
from pyro.poutine.util import site_is_subsample
from torch import Size, Tensor, nn

from scalor_ppl.errors import UserError
from scalor_ppl.nn.unfolded import Unfolded
from scalor_ppl.programs.memory import mapped

VIDEOS = "videos"
OWN_DIMS = 2
"""Dims, from the right, that belong to a program's own plates."""


def runs_within_plates(program: nn.Module) -> None:
    """Have a model or a guide do what is said above whenever it is called within outer plates.

    Its arguments must be what :mod:`scalor_ppl.programs` asks of programs: tensors begin with the
    videos, and ``videos`` is their number where no video is given.
    """
    folding = _Folding()
    program.register_forward_pre_hook(folding.begin, with_kwargs=True)
    program.register_forward_hook(folding.end, always_call=True)


class _Folding:
    """The hooks of one module: what is done before and after its ``forward``."""

    def __init__(self) -> None:
        # One entry for each call under way, as calls may nest.
        self.calls: list[_Folded | None] = []

    def begin(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Tile the arguments and fold the sites, where there are outer plates."""
        self.calls.append(None)
        plates = [plate for plate in get_plates() if plate.vectorized]
        if not plates:
            return None
        folded = _Folded(_outer_shape(plates))
        tiled = folded.tiled(args, kwargs)
        self.calls[-1] = folded
        folded.__enter__()
        return tiled

    def end(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """Undo it; what the program returns is unfolded like its sites."""
        folded = self.calls.pop()
        if folded is None:
            return None
        folded.__exit__(None, None, None)
        return mapped(folded.returned, output)


class _Folded(Messenger):
    """Between a program on N * B videos and handlers that expect outer plates.

    Args:
        outer: sizes of the outer dims, from the left; 1 where no plate is.
    """

    def __init__(self, outer: Size) -> None:
        super().__init__()
        self.outer = outer
        self.copies = math.prod(outer)
        self.total = 0

    def tiled(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments for all copies, one after another.

        Raises:
            UserError: the program is to go on from a memory, whose tensors have forms of their own.
        """
        if kwargs.get("memory") is not None:
            raise UserError(
                "a program cannot go on from a memory within a plate of particles: give it the "
                "whole video, or the particles one by one"
            )
        given = {name: self._copied(value) for name, value in kwargs.items()}
        many = tuple(self._copied(value) for value in args)
        tensors = [each for each in (*many, *given.values()) if isinstance(each, Tensor)]
        if not tensors:
            given["videos"] = given.get("videos", 1) * self.copies
        self.total = len(tensors[0]) if tensors else given["videos"]
        return many, given

    def _copied(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value.repeat(self.copies, *[1] * (value.dim() - 1))

    def returned(self, value: Tensor) -> Tensor:
        """What begins with the videos, unfolded; ``[N, B, ...]``."""
        if not value.dim() or len(value) != self.total:
            return value
        each = self.total // self.copies
        return value.reshape(*(size for size in self.outer if size > 1), each, *value.shape[1:])

    def _pyro_sample(self, msg: Any) -> None:
        """Ask the handlers outside for a value with a message of their own."""
        if site_is_subsample(msg):
            return
        seen = self._unfolded(msg)
        with block_messengers(self._from_here()):
            apply_stack(seen)
        fn = seen["fn"]
        # A handler may have put in a value that is the same for some of the copies.
        value = seen["value"].expand(self._shape(msg) + fn.event_shape)
        msg["value"] = value.reshape(msg["fn"].batch_shape + fn.event_shape)
        msg["done"] = msg["stop"] = True

    def _unfolded(self, msg: Any) -> Any:
        """The message as the handlers outside are to see it.

        Raises:
            UserError: the site does not lie in the program's own plate of videos.
        """
        batch, frames = msg["fn"].batch_shape, msg["cond_indep_stack"]
        own = any(f.name == VIDEOS and f.dim == -OWN_DIMS for f in frames)
        if not own or len(batch) != OWN_DIMS:
            raise UserError(
                f"site {msg['name']} has batch shape {list(batch)}: within a plate of particles "
                f"every site lies in pyro.plate({VIDEOS!r}, number, dim={-OWN_DIMS})"
            )
        shape = self._shape(msg)
        videos = shape[-OWN_DIMS]
        fn = Unfolded(msg["fn"], shape)
        seen = {**msg, "fn": fn, "continuation": None}
        seen["cond_indep_stack"] = tuple(
            f._replace(size=videos, full_size=videos) if f.name == VIDEOS else f for f in frames
        )
        for key in ("mask", "scale"):
            if isinstance(msg[key], Tensor) and msg[key].dim():
                seen[key] = msg[key].expand(batch).reshape(shape)
        if msg["value"] is not None:
            seen["value"] = fn.unfolded(msg["value"])
        return seen

    def _shape(self, msg: Any) -> Size:
        """Batch shape of a site as it is seen from outside."""
        videos, own = msg["fn"].batch_shape
        return Size((*self.outer, videos // self.copies, own))

    def _from_here(self) -> Callable[[Messenger], bool]:
        """Whether a handler is this one or one within; to be asked of all, from outside."""
        passed = False

        def inside(handler: Messenger) -> bool:
            nonlocal passed
            passed = passed or handler is self
            return passed

        return inside


def _outer_shape(plates: list[CondIndepStackFrame]) -> Size:
    """Sizes of the dims left of the program's own, from the left.

    Raises:
        UserError: a plate lies where the program has its own.
    """
    for plate in plates:
        if plate.dim is not None and plate.dim >= -OWN_DIMS:
            raise UserError(
                f"plate {plate.name!r} lies in dim {plate.dim}, where the program has plates of "
                f"its own: give Pyro max_plate_nesting={OWN_DIMS}, or dim={-OWN_DIMS - 1}"
            )
    sizes = {-plate.dim: plate.size for plate in plates if plate.dim is not None}
    return Size(sizes.get(dim, 1) for dim in range(max(sizes), OWN_DIMS, -1))
