"""A ConvLSTM over all frames as one node of the graph, for float32 on the CPU.

Frame by frame each gate is an operation with a gradient of its own, and the gradient of the weights
a sum over frames. Here a frame is a convolution and one loop, forward and backward, and the
gradient of the weights one convolution over all frames. Maps have their channels last.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from scalor_ppl.nn.gathered import refuse_second_derivatives

PADDING = 1  # of kernels of 3 x 3


class _Recurrence(Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, first: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor]:
        from scalor_ppl.nn.smooth_kernels import lstm

        inputs, before = _last(inputs), _last(cell)
        deep = first.shape[1]
        gates = torch.empty_like(inputs)
        cells = inputs.new_empty(*inputs.shape[:-1], deep)
        hidden = torch.empty_like(cells)
        clips = [_places(each) for each in (inputs, gates, cells, hidden)]
        state = first
        for t in range(inputs.shape[1]):
            past = _last(F.conv2d(state, weight, padding=PADDING))
            lstm(clips[0], _places(past), _places(before), t, *clips[1:])
            before, state = cells[:, t].contiguous(), _first(hidden[:, t])
        ctx.save_for_backward(weight, first, cell, gates, cells, hidden)
        ctx.set_materialize_grads(False)
        return _first(hidden), _first(before)

    @staticmethod
    def backward(ctx: Any, slope: Tensor | None, by_last: Tensor | None) -> tuple[Any, ...]:
        from scalor_ppl.nn.smooth_kernels import lstm_backward

        refuse_second_derivatives()
        weight, first, cell, gates, cells, hidden = ctx.saved_tensors
        slope = torch.zeros_like(hidden) if slope is None else _last(slope)
        back = torch.zeros_like(cells[:, 0])
        # A copy: it is written to.
        by_cell = back.clone() if by_last is None else back + _last(by_last)
        by_inputs = torch.empty_like(gates)
        clips = [_places(each) for each in (gates, cells, by_inputs)]
        for t in reversed(range(hidden.shape[1])):
            before = cells[:, t - 1].contiguous() if t else _last(cell)
            given = (_places(each) for each in (slope, back, by_cell, before))
            lstm_backward(*given, t, *clips)
            if t or ctx.needs_input_grad[2]:
                slopes = _first(by_inputs[:, t])
                back = _last(conv2d_input(first.shape, weight, slopes, padding=PADDING))
        states = torch.cat((_last(first)[:, None], hidden[:, :-1]), 1).flatten(0, 1)
        slopes = _first(by_inputs.flatten(0, 1))
        by_weight = conv2d_weight(_first(states), weight.shape, slopes, padding=PADDING)
        return _first(by_inputs), by_weight, _first(back), _first(by_cell)


def _last(maps: Tensor) -> Tensor:
    """Maps ``[..., C, H, W]`` as ``[..., H, W, C]``, C-contiguous."""
    return maps.movedim(-3, -1).contiguous()


def _first(maps: Tensor) -> Tensor:
    """The inverse, the same memory."""
    return maps.movedim(-1, -3)


def _places(maps: Tensor) -> Any:
    """Maps ``[..., H, W, C]`` as an array that has their places in one dim."""
    return maps.numpy().reshape(*maps.shape[:-3], -1, maps.shape[-1])


def recurrence(
    inputs: Tensor, weight: Tensor, state: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Hidden states of all frames ``[B, T, h, H, W]`` and the last hidden and cell.

    Args:
        inputs: what the frames say to enter, forget, leave and new ``[B, T, 4 h, H, W]``.
        weight: of the convolution of the last hidden state, which says more ``[4 h, h, 3, 3]``.
        state: hidden and cell ``[B, h, H, W]`` before the first frame; none for zeros.
    """
    if state is None:
        none = inputs.new_zeros(inputs.shape[0], weight.shape[1], *inputs.shape[3:])
        state = none, none
    hidden, cell = _Recurrence.apply(inputs, weight, *state)
    return hidden, (hidden[:, -1], cell)
