"""Convolutions of few channels over a few small maps, as matrix products.

A frame's mask is encoded when the objects of the frame are known, a frame at a time. Libraries of
convolutions are made for more than that: their gradient of such an image takes up to ten times as
long as its arithmetic. Here what each place of the output sees is laid out as a row; the rest are
products, whose gradients are gathered as those of other layers (:mod:`scalor_ppl.nn.gathered`).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from scalor_ppl.nn.gathered import Uses, refuse_second_derivatives, uses_of
from scalor_ppl.nn.layers import GridEncoder


class Shape(NamedTuple):
    """Of a convolution with square kernel and equal strides."""

    channels: int
    kernel: int
    stride: int
    padding: int

    @classmethod
    def of(cls, layer: nn.Conv2d) -> "Shape":
        """That of a layer."""
        return cls(layer.in_channels, layer.kernel_size[0], layer.stride[0], int(layer.padding[0]))

    def size(self, given: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the output."""
        high, wide = ((n + 2 * self.padding - self.kernel) // self.stride + 1 for n in given)
        return high, wide


class _Maps(Function):
    """Convolutions with CELU after each, of maps ``[B, H, W, C]`` to such maps."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, chain: tuple[tuple[Shape, Uses], ...], *_: Tensor
    ) -> Tensor:
        from scalor_ppl.nn.column_kernels import unfold

        ctx.chain, ctx.sizes = chain, []
        videos, kept = len(maps), []
        for shape, uses in chain:
            size = (maps.shape[1], maps.shape[2])
            high, wide = shape.size(size)
            rows = torch.empty((videos * high * wide, shape.kernel**2 * shape.channels))
            unfold(maps.flatten(2).numpy(), *shape, rows.numpy())
            found = uses.apply(rows)
            kept += [rows, found]
            ctx.sizes.append(size)
            maps = F.celu(found).view(videos, high, wide, -1)
        ctx.save_for_backward(*kept)
        return maps

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        from scalor_ppl.nn.column_kernels import fold

        refuse_second_derivatives()
        kept, back = ctx.saved_tensors, slope
        for number in reversed(range(len(ctx.chain))):
            shape, uses = ctx.chain[number]
            rows, found = kept[2 * number : 2 * number + 2]
            back = back.reshape(found.shape)
            back = torch.ops.aten.elu_backward(back, 1.0, 1.0, 1.0, False, found)
            uses.note(rows, back)
            if not number and not ctx.needs_input_grad[0]:
                return None, *[None] * (1 + len(ctx.chain))
            high, wide = ctx.sizes[number]
            by_rows = back @ uses.weight
            back = torch.empty((len(slope), high, wide, shape.channels))
            fold(by_rows.numpy(), *shape, back.flatten(2).numpy())
        return back, *[None] * (1 + len(ctx.chain))


class ColumnEncoder(GridEncoder):
    """A grid encoder that sees one frame at a time, of few channels; see the module."""

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` to features ``[N, F, Gh, Gw]``."""
        if images.device.type != "cpu" or images.dtype != torch.float32:
            return super().forward(images)
        tokens, chain = [], []
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                assert layer.bias is not None
                used = uses_of(layer.weight, layer.bias, _by_place)
                if used is None:
                    return super().forward(images)
                tokens.append(used[0])
                chain.append((Shape.of(layer), used[1]))
        maps = images.permute(0, 2, 3, 1).contiguous()
        features: Tensor = _Maps.apply(maps, tuple(chain), *tokens)
        return self.on_grid(features.permute(0, 3, 1, 2))


def _by_place(weight: Tensor) -> Tensor:
    """Weights ``[out, in, k, k]`` in the order of rows, ``[out, k * k * in]``."""
    return weight.permute(0, 2, 3, 1).flatten(1)
