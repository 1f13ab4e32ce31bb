"""Squared distances of many pairs of pictures in one node of the graph, for float32 on the CPU.

A video's likelihood is as many values as the video has. With operations of torch they are stacked,
subtracted, squared and summed up, one pass over memory after another, and again for the gradient.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from scalor_ppl.nn.gathered import refuse_second_derivatives
from scalor_ppl.nn.smooth import has_loops


class _Squares(Function):
    @staticmethod
    def forward(ctx: Any, values: tuple[Tensor, ...], dims: int, *means: Tensor) -> Tensor:
        from scalor_ppl.nn.square_kernels import squares

        ctx.values, ctx.dims = values, dims
        ctx.save_for_backward(*means)
        sums = np.empty((len(means), *means[0].shape[:-dims]), np.float32)
        for value, mean, into in zip(values, means, sums, strict=True):
            squares(_rows(value, dims), _rows(mean, dims), into.reshape(-1))
        return torch.from_numpy(sums)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        from scalor_ppl.nn.square_kernels import squares_backward

        refuse_second_derivatives()
        means, slopes = ctx.saved_tensors, slope.contiguous().numpy()
        found = []
        for value, mean, own in zip(ctx.values, means, slopes, strict=True):
            by_mean = np.empty(mean.shape, np.float32)
            rows = _rows(value, ctx.dims), _rows(mean, ctx.dims)
            squares_backward(*rows, own.reshape(-1), by_mean.reshape(rows[0].shape))
            found.append(torch.from_numpy(by_mean))
        return None, None, *found


def _rows(tensor: Tensor, dims: int) -> np.ndarray:
    """``[..., P]`` as rows, the last dims one; of frames of a contiguous video without a copy."""
    return tensor.numpy().reshape(-1, int(np.prod(tensor.shape[-dims:])))


def squared_distances(
    values: Sequence[Tensor], means: Sequence[Tensor], dims: int
) -> Tensor | None:
    """Sums of squared differences over the last dims of n pairs, ``[n, ...]``; none without loops.

    Args:
        values: of one shape, without a gradient.
        means: likewise, with one.
        dims: how many are summed over.
    """
    served = has_loops(*values, *means) and not any(each.requires_grad for each in values)
    if not served:
        return None
    sums: Tensor = _Squares.apply(tuple(values), dims, *means)
    return sums
