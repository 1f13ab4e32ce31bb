"""Boxes from unbounded numbers: movements from where objects were, and sizes, in one operation.

    centre = previous + step * tanh(raw[:2]),     size = low + (high - low) * sigmoid(raw[2:])

Both are small tensors of a few columns, on which every operation and its gradient cost as much as
on large ones.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from scalor_ppl.nn.gathered import gathers, refuse_second_derivatives
from scalor_ppl.nn.smooth import has_loops
from scalor_ppl.render.boxes import bounded, moved


def placed(previous: Tensor, raw: Tensor, step: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Boxes ``[..., n, 4]``: centres and sizes.

    Args:
        previous: centres to begin from, the first two of a last dim, ``[..., n, 2 or 4]``; without
            the leading dims where they are the same for all.
        raw: ``[..., n, 4]``.
        step: largest movements ``[2]``.
        low, high: bounds of sizes ``[2]``.
    """
    if gathers() and has_loops(previous, raw):
        boxes: Tensor = _Placed.apply(previous, raw, step, low, high)
        return boxes
    centre, size = raw.split(2, -1)
    begin, _ = previous.split((2, previous.shape[-1] - 2), -1)
    return torch.cat((moved(begin, centre, step), bounded(size, low, high)), -1)


class _Placed(Function):
    @staticmethod
    def forward(
        ctx: Any, previous: Tensor, raw: Tensor, step: Tensor, low: Tensor, high: Tensor
    ) -> Tensor:
        from scalor_ppl.scalor.placing_kernel import place

        low_, high_ = low.numpy(), high.numpy()
        ctx.reach = np.concatenate((step.numpy(), (high_ - low_) / 2), dtype=np.float32)
        rows = raw.contiguous().numpy().reshape(-1, 4)
        begin = previous.contiguous().numpy().reshape(-1, previous.shape[-1])
        boxes, ctx.shares = np.empty_like(rows), np.empty_like(rows)
        place(rows, begin, (low_ + high_) / np.float32(2), ctx.reach, ctx.shares, boxes)
        ctx.previous = previous.shape
        return torch.from_numpy(boxes.reshape(raw.shape))

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        from scalor_ppl.scalor.placing_kernel import place_backward

        refuse_second_derivatives()
        given = slope.contiguous().numpy()
        rows = given.reshape(-1, 4)
        by_raw = np.empty_like(rows)
        place_backward(rows, ctx.shares, ctx.reach, by_raw)
        by_previous = None
        if ctx.needs_input_grad[0]:
            found = np.zeros((*given.shape[:-1], ctx.previous[-1]), np.float32)
            found[..., :2] = given[..., :2]
            by_previous = torch.from_numpy(found).sum_to_size(ctx.previous)
        return by_previous, torch.from_numpy(by_raw.reshape(given.shape)), None, None, None
