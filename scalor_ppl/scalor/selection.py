"""Rows of slots and proposals, selected out of both without joining them first."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from scalor_ppl.render.glimpses import runs_loops


def take(rows: Tensor, origin: Tensor, capacity: int) -> Tensor:
    """Rows of ``[B, K + N, ...]`` (or ``[B, N, ...]`` in the first frame) into the K slots."""
    return rows.flatten(0, 1).index_select(0, origin).unflatten(0, (-1, capacity))


def take_of_both(first: Tensor | None, second: Tensor, origin: Tensor, capacity: int) -> Tensor:
    """Rows of ``[B, K, ...]`` and ``[B, N, ...]``, counted through, into the slots; see `take`.

    On the CPU nothing but the selected rows is copied.

    Args:
        first: none where there are none.
        second: of the same width.
        origin: rows of both, ``[B * capacity]``.
        capacity: slots.
    """
    if first is None:
        return take(second, origin, capacity)
    if runs_loops(first, second):
        taken: Tensor = _TakeOfBoth.apply(first, second, origin, capacity)
        return taken
    return take(torch.cat((first, second), 1), origin, capacity)


class _TakeOfBoth(Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, origin: Tensor, capacity: int) -> Tensor:
        from scalor_ppl.scalor.selection_kernel import select

        ctx.origin, ctx.shapes = origin, (first.shape, second.shape)
        rows = _table(first), _table(second)
        # Arrays: torch would make operations of their making and of their views.
        taken = np.empty((len(first), capacity, rows[0].shape[-1]), np.float32)
        select(*rows, origin.numpy(), taken)
        return torch.from_numpy(taken.reshape(len(first), capacity, *first.shape[2:]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        from scalor_ppl.scalor.selection_kernel import add_back

        given = _table(slope)
        first, second = (np.zeros((*s[:2], given.shape[-1]), np.float32) for s in ctx.shapes)
        add_back(given, ctx.origin.numpy(), first, second)
        back = zip((first, second), ctx.shapes, strict=True)
        return *(torch.from_numpy(each.reshape(shape)) for each, shape in back), None, None


def _table(rows: Tensor) -> np.ndarray:
    """``[B, n, ...]`` as a contiguous ``[B, n, W]``."""
    if rows.requires_grad:
        rows = rows.detach()
    return rows.contiguous().numpy().reshape(*rows.shape[:2], -1)
