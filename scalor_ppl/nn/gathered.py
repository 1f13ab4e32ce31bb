"""Layers that a pass uses many times: the gradient of their weights in one product, at the end.

A layer in a loop over frames has T small products for the gradient of its weights, and T - 1 sums
of whole weight matrices. Within :func:`gathering` the backward pass only notes what each use was
given and which slope came back; the gradient is one product of all of them, as though the layer
had been used once. Outside it, and where no gradient is wanted, these are torch's own layers, with
torch's names of their parameters.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalor_ppl.nn.smooth import celu_in_place, celu_slope, gru_slopes, gru_step, has_loops

# Multiplications of a use's product, from which on its slopes and rows had better be multiplied at
# once, while they are near, than be put beside those of the others.
HEAVY = 6_000_000


class Uses:
    """What the uses of ``rows @ weight.T + bias`` leave for the gradient of its parameters."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        # Only looked at where no graph is made, so that they need not be detached.
        self.weight = weight
        self.bias = bias
        self.transposed = weight.detach().t()
        # Of which backward pass, rows, slopes: a graph can be walked more than once.
        self._noted: list[tuple[int, Tensor, Tensor]] = []
        # Likewise, and the gradient of weight and bias by the heavy uses so far.
        self._summed: tuple[int, Tensor, Tensor] | None = None

    def apply(self, rows: Tensor) -> Tensor:
        """The result ``[n, out]`` for rows ``[n, in]``."""
        return torch.addmm(self.bias, rows, self.transposed)

    def note(self, rows: Tensor, slope: Tensor) -> None:
        """Rows that were given to a use, and the slope of its result."""
        current = _current_pass()
        if rows.numel() * slope.shape[1] < HEAVY:
            self._noted.append((current, rows, slope))
        elif self._summed is None or self._summed[0] != current:
            self._summed = current, slope.t() @ rows, slope.sum(0)
        else:
            self._summed[1].addmm_(slope.t(), rows)
            self._summed[2].add_(slope.sum(0))

    def gradients(self) -> tuple[Tensor | None, Tensor | None]:
        """Of weight and bias, from all uses in the backward pass that is under way."""
        current = _current_pass()
        found = [(rows, slope) for walk, rows, slope in self._noted if walk == current]
        summed, self._summed = self._summed, None
        self._noted.clear()
        by_weight, by_bias = summed[1:] if summed and summed[0] == current else (None, None)
        if not found:
            return by_weight, by_bias
        rows, slopes = found[0] if len(found) == 1 else map(torch.cat, zip(*found, strict=True))
        if by_weight is None or by_bias is None:
            return slopes.t() @ rows, slopes.sum(0)
        return by_weight.addmm_(slopes.t(), rows), by_bias.add_(slopes.sum(0))


def _current_pass() -> int:
    return torch._C._current_graph_task_id()


def refuse_second_derivatives() -> None:
    """As torch's `once_differentiable` does, at a hundredth of its time."""
    if torch.is_grad_enabled():
        raise RuntimeError("gathered layers can be differentiated once: use gathering(False)")


class _Parameters(torch.autograd.Function):
    """Stands for weight and bias in the graph: its turn comes when that of all uses is over."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, uses: Uses) -> Tensor:
        ctx.uses = uses
        ctx.set_materialize_grads(False)
        return weight.new_empty(0)

    @staticmethod
    def backward(ctx: Any, _: Tensor | None) -> tuple[Tensor | None, Tensor | None, None]:
        return *ctx.uses.gradients(), None


class _Chain(torch.autograd.Function):
    """Linear maps one after another with CELU between them, ``[..., in]`` to ``[..., out]``.

    A chain that is closed has CELU after the last one too.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, chain: tuple[Uses, ...], closed: bool, *_: Tensor
    ) -> Tensor:
        ctx.chain, ctx.shape, ctx.closed = chain, rows.shape, closed
        found = rows.reshape(-1, rows.shape[-1])
        given = []
        for number, uses in enumerate(chain):
            if number:
                found = celu_in_place(found)
            given.append(found)
            found = uses.apply(found)
        if closed:
            found = celu_in_place(found)
            given.append(found)
        ctx.save_for_backward(*given)
        return found.view(*rows.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivatives()
        given, chain = ctx.saved_tensors, ctx.chain
        back: Tensor | None = slope.reshape(-1, slope.shape[-1])
        if ctx.closed:
            assert back is not None
            back = celu_slope(back, given[-1])
        for number in reversed(range(len(chain))):
            assert back is not None
            chain[number].note(given[number], back)
            if number:
                back = celu_slope(back @ chain[number].weight, given[number], own=True)
            else:
                wanted = ctx.needs_input_grad[0]
                back = (back @ chain[0].weight).view(ctx.shape) if wanted else None
        return back, *[None] * (2 + len(chain))


class _Celu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        found = celu_in_place(values)
        if found is values:
            ctx.mark_dirty(values)
        ctx.save_for_backward(found)
        return found

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        refuse_second_derivatives()
        (found,) = ctx.saved_tensors
        return celu_slope(slope, found)


class _Gru(torch.autograd.Function):
    """A GRU's step from rows and state, as ``torch.nn.GRUCell`` defines it."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        state: Tensor,
        of_rows: Tensor,
        of_state: Tensor,
        uses: tuple[Uses, Uses],
    ) -> Tensor:
        past = uses[1].apply(state)
        result, gates = gru_step(uses[0].apply(rows), past, state)
        ctx.save_for_backward(rows, state, gates, past)
        ctx.uses = uses
        return result

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivatives()
        rows, state, gates, past = ctx.saved_tensors
        by_rows, by_past, by_state = gru_slopes(slope, gates, past, state)
        ctx.uses[0].note(rows, by_rows)
        ctx.uses[1].note(state, by_past)
        to_rows = by_rows @ ctx.uses[0].weight if ctx.needs_input_grad[0] else None
        to_state = None
        if ctx.needs_input_grad[1]:
            to_state = torch.addmm(by_state, by_past, ctx.uses[1].weight)
        return to_rows, to_state, None, None, None


# By the weight's identity: tensors compare by their values.
_Known = dict[int, tuple[Tensor, Uses]]
_gathering: ContextVar[_Known | None] = ContextVar("gathering", default=None)
_traced: ContextVar[bool] = ContextVar("traced", default=False)


@contextmanager
def gathering(wanted: bool = True) -> Iterator[None]:
    """Compute the weights' gradients of this module's layers once for all their uses within.

    Weights must not change before the backward pass, which must be one that can be differentiated
    once only.

    Args:
        wanted: whether to do so.
    """
    wanted = wanted and torch.is_grad_enabled() and not _traced.get()
    token = _gathering.set({} if wanted else None)
    try:
        yield
    finally:
        _gathering.reset(token)


@contextmanager
def never_gathering() -> Iterator[None]:
    """Torch's own layers, whatever is asked for within: what is traced must hide nothing."""
    token = _traced.set(True)
    try:
        with gathering(False):
            yield
    finally:
        _traced.reset(token)


def traced() -> bool:
    """Whether what is computed becomes a graph, see :func:`never_gathering`."""
    return _traced.get()


def gathers() -> bool:
    """Whether gradients are gathered here, so that nodes may be differentiated once only."""
    return _gathering.get() is not None and torch.is_grad_enabled()


_autocast_known = cache(torch.amp.is_autocast_available)


def _autocast(kind: str) -> bool:
    """Whether a kind of device chooses precisions itself at the moment."""
    return _autocast_known(kind) and torch.is_autocast_enabled(kind)


def uses_of(
    weight: Tensor, bias: Tensor, matrix: Callable[[Tensor], Tensor] | None = None
) -> tuple[Tensor, Uses] | None:
    """What stands for a layer in the graph, and its uses; none where torch's own way is taken.

    Args:
        weight: of the layer.
        bias: likewise.
        matrix: makes a matrix ``[out, in]`` of the weight; none where it is one.
    """
    known = _gathering.get()
    if known is None or not (weight.requires_grad and torch.is_grad_enabled()):
        return None
    if _autocast(weight.device.type):
        return None
    key = id(weight)
    if key not in known:
        whole = weight if matrix is None else matrix(weight)
        uses = Uses(whole, bias)
        known[key] = (_Parameters.apply(whole, bias, uses), uses)
    return known[key]


class Celu(nn.CELU):
    """CELU of what the layer before it made, whose place it takes where gradients are gathered."""

    def forward(self, values: Tensor) -> Tensor:
        """Values of any shape."""
        if not (gathers() and has_loops(values)):
            return super().forward(values)
        found: Tensor = _Celu.apply(values)
        return found


def _chained(layers: Iterable["GatheredLinear"], rows: Tensor, closed: bool) -> Tensor | None:
    """The result of a chain of layers, see `_Chain`; none where torch's own way is taken."""
    parameters, chain = [], []
    for layer in layers:
        found = uses_of(layer.weight, layer.bias, layer.matrix)
        if found is None:
            return None
        parameters.append(found[0])
        chain.append(found[1])
    result: Tensor = _Chain.apply(rows, tuple(chain), closed, *parameters)
    return result


class GatheredLinear(nn.Linear):
    """``nn.Linear`` with a bias, see the module."""

    def forward(self, rows: Tensor) -> Tensor:
        """``[..., in]`` to ``[..., out]``."""
        found = _chained((self,), rows, closed=False)
        return self._plain(rows) if found is None else found

    def celu(self, rows: Tensor) -> Tensor:
        """CELU of the result."""
        found = _chained((self,), rows, closed=True)
        return F.celu(self._plain(rows)) if found is None else found

    def _plain(self, rows: Tensor) -> Tensor:
        return F.linear(rows, self.matrix(self.weight), self.bias)

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight as it is multiplied with rows, ``[out, in]``."""
        return weight


class GatheredMaps(GatheredLinear):
    """``nn.Linear`` of whole maps ``[..., C, h, w]``, for maps whose channels lie last in memory.

    Its weight has the order of the maps' dims, ``[out, C * h * w]``.

    Args:
        channels: C.
        places: h * w.
        out: width of the result.
    """

    def __init__(self, channels: int, places: int, out: int) -> None:
        super().__init__(channels * places, out)
        self.maps = channels, places

    def forward(self, maps: Tensor) -> Tensor:
        """``[..., C, h, w]`` to ``[..., out]``."""
        return super().forward(maps.movedim(-3, -1).flatten(-3))

    def celu(self, maps: Tensor) -> Tensor:
        """CELU of the result."""
        return super().celu(maps.movedim(-3, -1).flatten(-3))

    def matrix(self, weight: Tensor) -> Tensor:
        """In the order of the maps' memory."""
        return weight.unflatten(1, self.maps).mT.flatten(1)


class GatheredMlp(nn.Sequential):
    """Linear layers with CELU between them, see the module.

    Args:
        widths: of the input, what lies between, and the output.
    """

    def __init__(self, *widths: int) -> None:
        layers: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            layers += [GatheredLinear(wide, narrow), nn.CELU()]
        super().__init__(*layers[:-1])

    def forward(self, rows: Tensor) -> Tensor:
        """``[..., in]`` to ``[..., out]``."""
        found = _chained(self._linear(), rows, closed=False)
        return super().forward(rows) if found is None else found

    def celu(self, rows: Tensor) -> Tensor:
        """CELU of the result."""
        found = _chained(self._linear(), rows, closed=True)
        return F.celu(super().forward(rows)) if found is None else found

    def _linear(self) -> Iterator[GatheredLinear]:
        return (layer for layer in self if isinstance(layer, GatheredLinear))


class GatheredGRUCell(nn.GRUCell):
    """``nn.GRUCell`` with biases, see the module."""

    def forward(self, rows: Tensor, state: Tensor) -> Tensor:  # type: ignore[override]
        """Rows ``[n, in]`` and states ``[n, hidden]`` to the next states."""
        given = uses_of(self.weight_ih, self.bias_ih)
        past = uses_of(self.weight_hh, self.bias_hh)
        if given is None or past is None:
            return super().forward(rows, state)
        result: Tensor = _Gru.apply(rows, state, given[0], past[0], (given[1], past[1]))
        return result
