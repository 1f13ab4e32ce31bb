"""The loops of :mod:`scalor_ppl.nn.columns` as operations of torch's library, for graphs."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from scalor_ppl.nn.column_kernels import fold, unfold

NAMESPACE = "scalor_ppl"


def _places(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1


def _rows(maps: Tensor, kernel: int, stride: int, padding: int) -> tuple[int, int]:
    videos, height, width, channels = maps.shape
    places = [_places(each, kernel, stride, padding) for each in (height, width)]
    return videos * places[0] * places[1], kernel * kernel * channels


def _unfolded(maps: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """What each place sees of maps ``[B, H, W, C]``, ``[B * h * w, k * k * C]``."""
    rows = np.empty(_rows(maps, kernel, stride, padding), np.float32)
    lines = maps.contiguous().numpy().reshape(*maps.shape[:2], -1)
    unfold(lines, maps.shape[3], kernel, stride, padding, rows)
    return torch.from_numpy(rows)


def _folded(rows: Tensor, size: list[int], kernel: int, stride: int, padding: int) -> Tensor:
    """The gradient: what rows say of maps of a size, summed."""
    maps = np.empty((size[0], size[1], size[2] * size[3]), np.float32)
    fold(rows.contiguous().numpy(), size[3], kernel, stride, padding, maps)
    return torch.from_numpy(maps.reshape(size))


def _remembers(ctx: Any, inputs: Any, output: Any) -> None:
    maps, *ctx.shape = inputs
    ctx.size = list(maps.shape)


def _gradient(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
    return torch.ops.scalor_ppl.fold(slope, ctx.size, *ctx.shape), None, None, None


def _define(name: str, schema: str, loop: Any, shapes: Any) -> None:
    qualified = f"{NAMESPACE}::{name}"
    torch.library.define(qualified, schema)
    torch.library.impl(qualified, "cpu", loop)
    torch.library.register_fake(qualified, shapes)


_define(
    "unfold",
    "(Tensor maps, int kernel, int stride, int padding) -> Tensor",
    _unfolded,
    lambda maps, kernel, stride, padding: maps.new_empty(_rows(maps, kernel, stride, padding)),
)
_define(
    "fold",
    "(Tensor rows, int[] size, int kernel, int stride, int padding) -> Tensor",
    _folded,
    lambda rows, size, kernel, stride, padding: rows.new_empty(size),
)
torch.library.register_autograd(f"{NAMESPACE}::unfold", _gradient, setup_context=_remembers)
