"""Tensors into the compiled loops that read, write and compose glimpses, and out of them.

For float32 on the CPU, without gradients: each loop is called forward or backward. The first use on
a machine compiles the loops, which takes some ten seconds; numba keeps the result on disk. Shapes
must have been checked: the loops themselves do not look where an array ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from scalor_ppl.render import composite_kernels, cover_kernels, read_kernels, write_kernels

# Values touched below which handing frames to a second thread costs more than it saves.
WORK_PER_THREAD = 400_000

# From this many channels on, loops run along the channels, which lie last in memory.
DEEP = 8

_pools: dict[int, ThreadPoolExecutor] = {}
# Threads do not survive a fork; a child makes its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)


class Composed(NamedTuple):
    """Rendered frames, and the sums ``[F, C + 2, H, W]`` that their gradient needs.

    ``image`` is none without a background: it is the foreground then.
    """

    image: Tensor | None
    covered: Tensor
    foreground: Tensor
    sums: Tensor


def read_forward(images: Tensor, where: Tensor, size: tuple[int, int]) -> Tensor:
    """Glimpses; see `scalor_ppl.render.glimpses.read_glimpses`. Of many channels: those last."""
    frames, slots = where.shape[:2]
    channels = images.shape[1]
    deep = channels >= DEEP
    # An array: torch would make operations of its making and of its view.
    shape = (frames, slots, *size, channels) if deep else (frames, slots, channels, *size)
    glimpses = np.empty(shape, np.float32)
    arguments = _array(channels_last(images) if deep else images), _array(where), glimpses
    kernel = read_kernels.read_deep_forward if deep else read_kernels.read_forward
    _over_frames(kernel, frames, 2 * glimpses.size, arguments)
    read = torch.from_numpy(glimpses)
    return channels_first(read) if deep else read


def read_backward(
    images: Tensor, where: Tensor, grad_glimpses: Tensor, to_images: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of images (of no frames unless asked for) and boxes."""
    deep = images.shape[1] >= DEEP
    work = 4 * grad_glimpses.numel()
    if deep:
        images, grad_glimpses = channels_last(images), channels_last(grad_glimpses)
    grad_images = np.empty(images.shape if to_images else (0, 0, 0, 0), np.float32)
    grad_where = np.empty(where.shape, np.float32)
    arguments = (
        *(_array(images), _array(where), _array(grad_glimpses)),
        *(grad_images, grad_where),
    )
    kernel = read_kernels.read_deep_backward if deep else read_kernels.read_backward
    _over_frames(kernel, where.shape[0], work, arguments)
    found = torch.from_numpy(grad_images)
    return channels_first(found) if deep else found, torch.from_numpy(grad_where)


def channels_last(maps: Tensor) -> Tensor:
    """Maps ``[..., C, h, w]`` seen as ``[..., h, w, C]``."""
    return maps.movedim(-3, -1)


def channels_first(maps: Tensor) -> Tensor:
    """Maps ``[..., h, w, C]`` seen as ``[..., C, h, w]``."""
    return maps.movedim(-1, -3)


def write_forward(
    planes: Tensor, where: Tensor, size: tuple[int, int], active: Tensor | None
) -> Tensor:
    """Summed glimpses; see `scalor_ppl.render.glimpses.write_glimpses`."""
    frames, _, count = planes.shape[:3]
    canvas = np.empty((frames, count, *size), np.float32)
    arguments = _array(planes), _array(where), _flags(active), canvas
    _over_frames(write_kernels.write_forward, frames, 2 * planes.numel(), arguments)
    return torch.from_numpy(canvas)


def write_backward(
    planes: Tensor, where: Tensor, active: Tensor | None, grad_canvas: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of planes and boxes."""
    grad_planes, grad_where = (np.empty(each.shape, np.float32) for each in (planes, where))
    arguments = (
        *(_array(planes), _array(where), _flags(active), _array(grad_canvas)),
        *(grad_planes, grad_where),
    )
    work = 4 * planes.numel()
    _over_frames(write_kernels.write_backward, planes.shape[0], work, arguments)
    return torch.from_numpy(grad_planes), torch.from_numpy(grad_where)


def composite_forward(
    colour: Tensor,
    mask: Tensor,
    presence: Tensor,
    weight: Tensor,
    where: Tensor,
    background: Tensor | None,
    size: tuple[int, int],
    active: Tensor | None,
    eps: float,
) -> Composed:
    """Frames; see `scalor_ppl.render.glimpses.composite`."""
    frames, _, channels = colour.shape[:3]
    sums = np.empty((frames, channels + 2, *size), np.float32)
    covered = np.empty((frames, 1, *size), np.float32)
    foreground = np.empty((frames, channels, *size), np.float32)
    image = None if background is None else np.empty_like(foreground)
    none = _missing(0, channels, *size)
    arguments = (
        *(_array(colour), _array(mask.squeeze(2)), _array(presence), _array(weight)),
        *(_array(where), _flags(active), none if background is None else _array(background), eps),
        *(sums, none if image is None else image, covered, foreground),
    )
    _over_frames(composite_kernels.composite_forward, frames, 3 * colour.numel(), arguments)
    seen = None if image is None else torch.from_numpy(image)
    return Composed(seen, *map(torch.from_numpy, (covered, foreground, sums)))


def composite_backward(
    given: tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None],
    sums: Tensor,
    active: Tensor | None,
    eps: float,
    grads_out: tuple[Tensor | None, Tensor | None, Tensor | None],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """Gradients of colour, mask, presence, weight, where and background.

    Args:
        given: those six.
        sums: that the forward pass kept.
        active: as it was given.
        eps: likewise.
        grads_out: of image, mask and foreground; none where nothing depends on one.
    """
    colour, mask, presence, weight, where, background = given
    frames, _, channels = colour.shape[:3]
    none = _missing(0, channels, *sums.shape[2:])
    # A background is always given a gradient: it is as many values as one picture.
    to_background = None if background is None else torch.empty(background.shape)
    grads = tuple(torch.empty(t.shape) for t in (colour, mask, presence, weight, where))
    arguments = (
        *(_array(colour), _array(mask.squeeze(2)), _array(presence), _array(weight)),
        *(_array(where), _flags(active), none if background is None else _array(background), eps),
        _array(sums),
        *(_given(each) for each in grads_out),
        *(grads[0].numpy(), grads[1].squeeze(2).numpy()),
        *(grad.numpy() for grad in grads[2:]),
        none if to_background is None else to_background.numpy(),
    )
    work = 6 * colour.numel()
    _over_frames(composite_kernels.composite_backward, frames, work, arguments)
    return grads[0], grads[1], grads[2], grads[3], grads[4], to_background


def visible(mask: Tensor, where: Tensor, size: tuple[int, int]) -> Tensor:
    """See `scalor_ppl.render.glimpses.visible_pixels`."""
    covered = np.empty(mask.shape[:2], np.float32)
    pixels = float(size[0] * size[1])
    cover_kernels.visible(_array(mask), _array(where), pixels, covered)
    return torch.from_numpy(covered)


def overlap(mask: Tensor, read: Tensor, where: Tensor, own: float, other: float) -> Tensor:
    """See `scalor_ppl.render.glimpses.overlap_share`; `read` is the canvas at the masks' pixels."""
    share = np.empty(mask.shape[:2], np.float32)
    arrays = (_array(mask), _array(read), _array(where))
    cover_kernels.overlap(*arrays, own, other, share)
    return torch.from_numpy(share)


def _over_frames(
    kernel: Callable[..., None], frames: int, work: int, arguments: tuple[Any, ...]
) -> None:
    """Run a kernel over all frames, in threads where there is enough work for them."""
    parts = min(torch.get_num_threads(), frames, 1 + work // WORK_PER_THREAD)
    if parts <= 1:
        kernel(*arguments, 0, frames)
        return
    pool = _pools.get(parts)
    if pool is None:
        pool = _pools[parts] = ThreadPoolExecutor(parts - 1, "glimpses")
    bounds = [frames * i // parts for i in range(parts + 1)]
    others = pairwise(bounds[1:])
    waiting = [pool.submit(kernel, *arguments, low, high) for low, high in others]
    kernel(*arguments, bounds[0], bounds[1])
    for part in waiting:
        part.result()


def _array(tensor: Tensor) -> np.ndarray:
    """The tensor's values as a C-contiguous array, shared where they already are one."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    return tensor.contiguous().numpy()


def _missing(*shape: int) -> np.ndarray:
    """An array of no frames: how the kernels are told that an argument is not there."""
    return np.empty(shape, np.float32)


def _flags(active: Tensor | None) -> np.ndarray:
    """Active slots as an array; one of no frames stands for all active."""
    if active is None:
        return np.empty((0, 0), np.bool_)
    return _array(active.to(device="cpu", dtype=torch.bool))


def _given(grad: Tensor | None) -> np.ndarray:
    """A gradient as an array; one of no frames where nothing depends on that output."""
    return _missing(0, 0, 0, 0) if grad is None else _array(grad)
