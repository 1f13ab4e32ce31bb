"""Convolutions of few channels over a few small maps, as matrix products.

A frame's mask is encoded when the objects of the frame are known, a frame at a time. Libraries of
convolutions are made for more than that: their gradient of such an image takes up to ten times as
long as its arithmetic. Here what each place of the output sees is laid out as a row; the rest are
products, whose gradients are gathered as those of other layers (:mod:`scalor_ppl.nn.gathered`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from scalor_ppl.nn.gathered import Uses, refuse_second_derivatives, traced, uses_of
from scalor_ppl.nn.layers import GridEncoder
from scalor_ppl.nn.smooth import celu_in_place, celu_slope


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

    def size(self, given: Sequence[int]) -> tuple[int, int]:
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
        videos, *size = maps.shape[:3]
        kept: list[Tensor] = []
        for shape, uses in chain:
            high, wide = shape.size(size)
            # Arrays: torch would make an operation of each of their views.
            rows = np.empty((videos * high * wide, shape.kernel**2 * shape.channels), np.float32)
            unfold(maps.numpy().reshape(videos, size[0], -1), *shape, rows)
            given = torch.from_numpy(rows)
            maps = celu_in_place(uses.apply(given))
            kept += [given, maps]
            ctx.sizes.append(size)
            size = [high, wide]
        ctx.save_for_backward(*kept)
        return maps.view(videos, *size, -1)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        from scalor_ppl.nn.column_kernels import fold

        refuse_second_derivatives()
        kept, videos = ctx.saved_tensors, len(slope)
        back: Tensor | None = slope.reshape(kept[-1].shape)
        for number in reversed(range(len(ctx.chain))):
            shape, uses = ctx.chain[number]
            rows, found = kept[2 * number : 2 * number + 2]
            assert back is not None
            by_found = celu_slope(back, found)
            uses.note(rows, by_found)
            back = None
            if number or ctx.needs_input_grad[0]:
                high, wide = ctx.sizes[number]
                maps = np.empty((videos, high, wide * shape.channels), np.float32)
                fold((by_found @ uses.weight).numpy(), *shape, maps)
                last = (videos, high, wide) if not number else (-1,)
                back = torch.from_numpy(maps.reshape(*last, shape.channels))
        return back, *[None] * (1 + len(ctx.chain))


class ColumnEncoder(GridEncoder):
    """A grid encoder that sees one frame at a time, of few channels; see the module."""

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` to features ``[N, F, Gh, Gw]``."""
        if images.device.type != "cpu" or images.dtype != torch.float32:
            return super().forward(images)
        if traced():
            return self._as_operations(images)
        if type(images) is not Tensor:
            # Loops need values, which a tensor that knows its shape alone has not.
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

    def _as_operations(self, images: Tensor) -> Tensor:
        """The same for a graph, which has to know what is done."""
        from scalor_ppl.nn import column_operations  # noqa: F401 (defines them)

        maps = images.permute(0, 2, 3, 1)
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                shape = Shape.of(layer)
                high, wide = shape.size(maps.shape[1:3])
                rows = torch.ops.scalor_ppl.unfold(maps, *shape[1:])
                found = F.linear(rows, _by_place(layer.weight), layer.bias)
                maps = F.celu(found).view(len(maps), high, wide, -1)
        return self.on_grid(maps.permute(0, 3, 1, 2))


def _by_place(weight: Tensor) -> Tensor:
    """Weights ``[out, in, k, k]`` in the order of rows, ``[out, k * k * in]``."""
    return weight.permute(0, 2, 3, 1).flatten(1)
