"""Autograd around the compiled loops that read and write glimpses.

For float32 on the CPU, differentiable once; see :mod:`scalor_ppl.render.kernel_calls`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from scalor_ppl.render import kernel_calls


class _Read(Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, where: Tensor, size: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(images, where)
        return kernel_calls.read_forward(images, where, size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_glimpses: Tensor) -> tuple[Tensor | None, ...]:
        images, where = ctx.saved_tensors
        wanted = ctx.needs_input_grad[0]
        to_images, to_where = kernel_calls.read_backward(images, where, grad_glimpses, wanted)
        return to_images if wanted else None, to_where, None


class _Write(Function):
    @staticmethod
    def forward(
        ctx: Any, planes: Tensor, where: Tensor, size: tuple[int, int], active: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(planes, where)
        ctx.active = active
        return kernel_calls.write_forward(planes, where, size, active)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_canvas: Tensor) -> tuple[Tensor | None, ...]:
        planes, where = ctx.saved_tensors
        return *kernel_calls.write_backward(planes, where, ctx.active, grad_canvas), None, None


class _Composite(Function):
    @staticmethod
    def forward(
        ctx: Any,
        colour: Tensor,
        mask: Tensor,
        presence: Tensor,
        weight: Tensor,
        where: Tensor,
        background: Tensor | None,
        size: tuple[int, int],
        active: Tensor | None,
        eps: float,
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        done = kernel_calls.composite_forward(
            colour, mask, presence, weight, where, background, size, active, eps
        )
        ctx.save_for_backward(colour, mask, presence, weight, where, background, done.sums)
        ctx.set_materialize_grads(False)
        ctx.active, ctx.eps = active, eps
        return done.image, done.covered, done.foreground

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads_out: Tensor | None) -> tuple[Tensor | None, ...]:
        colour, mask, presence, weight, where, background, sums = ctx.saved_tensors
        given = (colour, mask, presence, weight, where, background)
        to_image, to_mask, to_foreground = grads_out
        grads = kernel_calls.composite_backward(
            given, sums, ctx.active, ctx.eps, (to_image, to_mask, to_foreground)
        )
        return *grads, None, None, None


def read(images: Tensor, where: Tensor, size: tuple[int, int]) -> Tensor:
    """Read glimpses; see `scalor_ppl.render.glimpses.read_glimpses`."""
    glimpses: Tensor = _Read.apply(images, where, size)
    return glimpses


def write(planes: Tensor, where: Tensor, size: tuple[int, int], active: Tensor | None) -> Tensor:
    """Write and sum glimpses; see `scalor_ppl.render.glimpses.write_glimpses`."""
    canvas: Tensor = _Write.apply(planes, where, size, active)
    return canvas


def composite(
    colour: Tensor,
    mask: Tensor,
    presence: Tensor,
    weight: Tensor,
    where: Tensor,
    background: Tensor | None,
    size: tuple[int, int],
    active: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Render frames; see `glimpses.composite`. Returns image, mask and foreground."""
    image, covered, foreground = _Composite.apply(
        colour, mask, presence, weight, where, background, size, active, eps
    )
    return foreground if image is None else image, covered, foreground


# Without gradient: the loops themselves.
visible, overlap = kernel_calls.visible, kernel_calls.overlap
