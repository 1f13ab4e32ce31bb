"""The compiled loops that read and write glimpses as operations of torch's library.

What :mod:`scalor_ppl.render.compiled_backend` does, in a form that a traced graph can hold: each
loop, forward and backward, is one operation ``torch.ops.scalor_ppl.*`` with a gradient and with
shapes that are known before it runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from scalor_ppl.render import kernel_calls

NAMESPACE = "scalor_ppl"


def _define(name: str, schema: str, loop: Any, shapes: Any) -> None:
    """An operation for the CPU: its loop, and what a trace needs to know of its results."""
    qualified = f"{NAMESPACE}::{name}"
    torch.library.define(qualified, schema)
    torch.library.impl(qualified, "cpu", loop)
    torch.library.register_fake(qualified, shapes)


# ---------------------------------------------------------------------------------------- reading


def _read(images: Tensor, where: Tensor, size: list[int]) -> Tensor:
    return kernel_calls.read_forward(images, where, (size[0], size[1]))


def _read_shape(images: Tensor, where: Tensor, size: list[int]) -> Tensor:
    return _as_read(images, (*where.shape[:2], images.shape[1], *size))


def _as_read(images: Tensor, shape: tuple[int, ...]) -> Tensor:
    """An empty tensor whose memory has the order that reading gives it."""
    if images.shape[1] < kernel_calls.DEEP:
        return images.new_empty(shape)
    *ahead, channels, high, wide = shape
    return kernel_calls.channels_first(images.new_empty((*ahead, high, wide, channels)))


def _read_backward_shape(
    images: Tensor, where: Tensor, grad: Tensor, to_images: bool
) -> tuple[Tensor, Tensor]:
    grad_images = _as_read(images, images.shape if to_images else (0, 0, 0, 0))
    return grad_images, where.new_empty(where.shape)


def _read_saves(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*inputs[:2])


def _read_gradient(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    images, where = ctx.saved_tensors
    wanted = ctx.needs_input_grad[0]
    to_images, to_where = torch.ops.scalor_ppl.read_backward(images, where, grad, wanted)
    return to_images if wanted else None, to_where, None


_define("read", "(Tensor images, Tensor where, int[] size) -> Tensor", _read, _read_shape)
_define(
    "read_backward",
    "(Tensor images, Tensor where, Tensor grad, bool to_images) -> (Tensor, Tensor)",
    kernel_calls.read_backward,
    _read_backward_shape,
)
torch.library.register_autograd(f"{NAMESPACE}::read", _read_gradient, setup_context=_read_saves)

# ---------------------------------------------------------------------------------------- writing


def _write(planes: Tensor, where: Tensor, size: list[int], active: Tensor | None) -> Tensor:
    return kernel_calls.write_forward(planes, where, (size[0], size[1]), active)


def _write_shape(planes: Tensor, where: Tensor, size: list[int], active: Tensor | None) -> Tensor:
    return planes.new_empty((planes.shape[0], planes.shape[2], *size))


def _write_backward_shape(
    planes: Tensor, where: Tensor, active: Tensor | None, grad: Tensor
) -> tuple[Tensor, Tensor]:
    return planes.new_empty(planes.shape), where.new_empty(where.shape)


def _write_saves(ctx: Any, inputs: Any, output: Any) -> None:
    planes, where, _, active = inputs
    ctx.save_for_backward(planes, where, active)


def _write_gradient(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    planes, where, active = ctx.saved_tensors
    return *torch.ops.scalor_ppl.write_backward(planes, where, active, grad), None, None


_define(
    "write",
    "(Tensor planes, Tensor where, int[] size, Tensor? active) -> Tensor",
    _write,
    _write_shape,
)
_define(
    "write_backward",
    "(Tensor planes, Tensor where, Tensor? active, Tensor grad) -> (Tensor, Tensor)",
    kernel_calls.write_backward,
    _write_backward_shape,
)
torch.library.register_autograd(f"{NAMESPACE}::write", _write_gradient, setup_context=_write_saves)

# ---------------------------------------------------------------------------------------- composing

_OBJECTS = (
    "Tensor colour, Tensor mask, Tensor presence, Tensor weight, Tensor where, Tensor? background"
)
Parts = tuple[Tensor, Tensor, Tensor, Tensor]
Six = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def _composite(*arguments: Any) -> Parts:
    *given, size, active, eps = arguments
    loop: Any = kernel_calls.composite_forward
    done = loop(*given, (size[0], size[1]), active, eps)
    # An operation gives tensors alone: without a background the image is one of no frames.
    image = done.foreground.new_empty(0) if done.image is None else done.image
    return image, done.covered, done.foreground, done.sums


def _composite_shapes(*arguments: Any) -> Parts:
    colour, *_, background, size, _, _ = arguments
    frames, channels = colour.shape[0], colour.shape[2]

    def planes(count: int) -> Tensor:
        made: Tensor = colour.new_empty((frames, count, *size))
        return made

    image = colour.new_empty(0) if background is None else planes(channels)
    return image, planes(1), planes(channels), planes(channels + 2)


def _composite_backward(*arguments: Any) -> Six:
    *given, sums, active, eps, image, covered, foreground = arguments
    *grads, to_background = kernel_calls.composite_backward(
        tuple(given),  # type: ignore[arg-type]
        sums,
        active,
        eps,
        (image, covered, foreground),
    )
    to_background = sums.new_empty(0) if to_background is None else to_background
    return *grads, to_background  # type: ignore[return-value]


def _composite_backward_shapes(*arguments: Any) -> Six:
    *objects, background = arguments[:6]
    grads = [each.new_empty(each.shape) for each in objects]
    behind = objects[0].new_empty(0 if background is None else background.shape)
    return *grads, behind  # type: ignore[return-value]


def _composite_saves(ctx: Any, inputs: Any, output: Any) -> None:
    *given, _, active, eps = inputs
    ctx.save_for_backward(*given, active, output[3])
    ctx.set_materialize_grads(False)
    ctx.eps = eps


def _composite_gradient(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    *given, active, sums = ctx.saved_tensors
    image, covered, foreground, _ = grads
    if given[5] is None:
        image = None
    *found, to_background = torch.ops.scalor_ppl.composite_backward(
        *given, sums, active, ctx.eps, image, covered, foreground
    )
    return *found, None if given[5] is None else to_background, None, None, None


_define(
    "composite",
    f"({_OBJECTS}, int[] size, Tensor? active, float eps) -> (Tensor, Tensor, Tensor, Tensor)",
    _composite,
    _composite_shapes,
)
_define(
    "composite_backward",
    f"({_OBJECTS}, Tensor sums, Tensor? active, float eps, Tensor? image, Tensor? covered, "
    "Tensor? foreground) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    _composite_backward,
    _composite_backward_shapes,
)
torch.library.register_autograd(
    f"{NAMESPACE}::composite", _composite_gradient, setup_context=_composite_saves
)


# ------------------------------------------------------------------------------- as a backend


def read(images: Tensor, where: Tensor, size: tuple[int, int]) -> Tensor:
    """Read glimpses; see `scalor_ppl.render.glimpses.read_glimpses`."""
    glimpses: Tensor = torch.ops.scalor_ppl.read(images, where, size)
    return glimpses


def write(planes: Tensor, where: Tensor, size: tuple[int, int], active: Tensor | None) -> Tensor:
    """Write and sum glimpses; see `scalor_ppl.render.glimpses.write_glimpses`."""
    canvas: Tensor = torch.ops.scalor_ppl.write(planes, where, size, active)
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
    image, covered, foreground, _ = torch.ops.scalor_ppl.composite(
        colour, mask, presence, weight, where, background, size, active, eps
    )
    return foreground if background is None else image, covered, foreground
