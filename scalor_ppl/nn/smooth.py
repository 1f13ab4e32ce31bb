"""CELU and a GRU's cell on tensors, forward and backward, without graphs: for who makes their own.

For float32 on the CPU these are loops of the package (:mod:`scalor_ppl.nn.smooth_kernels`), and
operations of torch everywhere else, with the same results to rounding.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def has_loops(*tensors: Tensor) -> bool:
    """Whether loops can serve these: their values are there, float32, and the processor's."""
    return all(map(_has_loops, tensors))


def _has_loops(tensor: Tensor) -> bool:
    return type(tensor) is Tensor and tensor.dtype is torch.float32 and tensor.is_cpu


def celu_in_place(values: Tensor) -> Tensor:
    """CELU in the place of values that nobody else needs, where there are loops."""
    line = _line(values) if has_loops(values) else None
    if line is None:
        return F.celu(values)
    from scalor_ppl.nn.smooth_kernels import celu

    celu(line)
    return values


def celu_slope(slope: Tensor, found: Tensor, own: bool = False) -> Tensor:
    """The slope by CELU's input; where there are loops in the place of that by its result.

    Args:
        slope: by the result.
        found: the result.
        own: whether nobody else needs the slope; otherwise its place is left alone.
    """
    if own and has_loops(slope, found) and slope.is_contiguous() and found.is_contiguous():
        from scalor_ppl.nn.smooth_kernels import celu_backward

        celu_backward(_line(slope), _line(found))
        return slope
    return torch.ops.aten.elu_backward(slope, 1.0, 1.0, 1.0, True, found)


class GruStep(NamedTuple):
    """A GRU's step as ``torch.nn.GRUCell`` defines it.

    Attributes:
        result: the next state ``[n, w]``.
        gates: reset, keep and new side by side ``[n, 3 w]``.
    """

    result: Tensor
    gates: Tensor


def gru_step(given: Tensor, past: Tensor, state: Tensor) -> GruStep:
    """The step, from what input and state say to reset, keep and new.

    Args:
        given, past: ``[n, 3 w]``; nobody else needs the first.
        state: ``[n, w]``.
    """
    if has_loops(given, past, state):
        from scalor_ppl.nn.smooth_kernels import gru

        result = np.empty(state.shape, np.float32)
        gru(given.numpy(), past.numpy(), state.contiguous().numpy(), result)
        return GruStep(torch.from_numpy(result), given)
    wide = state.shape[1]
    gates = torch.sigmoid(given[:, : 2 * wide] + past[:, : 2 * wide])
    reset, keep = gates.chunk(2, 1)
    new = torch.tanh(torch.addcmul(given[:, 2 * wide :], reset, past[:, 2 * wide :]))
    return GruStep(torch.lerp(new, state, keep), torch.cat((gates, new), 1))


def gru_slopes(
    slope: Tensor, gates: Tensor, past: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The slopes by `given`, by `past`, and by the state where it does not pass through `past`.

    Args:
        slope: by the result ``[n, w]``.
        gates: of the step.
        past, state: that were given to it.
    """
    if has_loops(slope, gates, past, state):
        from scalor_ppl.nn.smooth_kernels import gru_backward

        found = tuple(np.empty(each.shape, np.float32) for each in (gates, past, state))
        given = (each.contiguous().numpy() for each in (slope, gates, past, state))
        gru_backward(*given, *found)
        by_given, by_past, by_state = map(torch.from_numpy, found)
        return by_given, by_past, by_state
    reset, keep, new = gates.chunk(3, 1)
    own = past[:, 2 * state.shape[1] :]
    kept = slope * keep
    by_new = (slope - kept) * (1 - new * new)
    by_reset = by_new * own * reset * (1 - reset)
    by_keep = slope * (state - new) * keep * (1 - keep)
    by_given = torch.cat((by_reset, by_keep, by_new), 1)
    return by_given, torch.cat((by_reset, by_keep, by_new * reset), 1), kept


def _line(tensor: Tensor) -> Any:
    """All values as they lie in memory; none where others lie between them."""
    if tensor.is_contiguous():
        return tensor.numpy().reshape(-1)
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1).numpy().reshape(-1)
    return None
