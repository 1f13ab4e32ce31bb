"""Noise that is handed to a function which draws it: a graph has no random numbers of its own.

A graph that draws is another one in each run, and may draw again where its backward pass computes
something twice. So what a function draws is found out once, and given to it from then on.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Size, Tensor
from torch.overrides import TorchFunctionMode

UNIFORM = {torch.rand, torch.rand_like, torch.bernoulli}
# Distributions draw by the last of these; what calls others is refused where it is traced.
NORMAL = {torch.randn, torch.randn_like, Tensor.normal_}
OTHERS = {
    *(torch.normal, torch.multinomial, torch.poisson, torch.randint, torch.randperm),
    *(torch._standard_gamma, torch._sample_dirichlet, torch.binomial),
    *(Tensor.uniform_, Tensor.bernoulli_, Tensor.exponential_, Tensor.cauchy_, Tensor.random_),
    *(Tensor.geometric_, Tensor.log_normal_, Tensor.multinomial, Tensor.bernoulli),
    *(torch.nn.functional.dropout, torch.dropout),
}


class UnknownNoiseError(RuntimeError):
    """A function draws in a way that noise cannot be given for."""


class NoiseShapes(TorchFunctionMode):
    """Finds out what a function draws, in order; it draws as ever.

    Attributes:
        uniform, normal: shapes of its draws.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uniform: list[Size] = []
        self.normal: list[Size] = []

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Take down the shape of what is drawn.

        Raises:
            UnknownNoiseError: it is drawn in a way that is not known here.
        """
        drawn = function(*args, **(kwargs or {}))
        if function in UNIFORM:
            self.uniform.append(drawn.shape)
        elif function in NORMAL:
            self.normal.append(drawn.shape)
        elif function in OTHERS:
            raise UnknownNoiseError(f"it draws with {function.__name__}, which no graph is given")
        return drawn


class GivenNoise(TorchFunctionMode):
    """Gives a function its draws, in order.

    Args:
        draws: what it draws.
        uniform: numbers from 0 to 1 for all its uniform (and Bernoulli) draws, one after another.
        normal: standard normal numbers likewise.
    """

    def __init__(self, draws: NoiseShapes, uniform: Tensor, normal: Tensor) -> None:
        super().__init__()
        self.uniform = iter(_split(uniform, draws.uniform))
        self.normal = iter(_split(normal, draws.normal))

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """What was given, in place of what would be drawn."""
        if function is torch.bernoulli:
            chance = args[0]
            return (next(self.uniform) < chance.detach()).to(chance.dtype)
        if function in UNIFORM:
            return next(self.uniform)
        if function in NORMAL:
            return next(self.normal)
        return function(*args, **(kwargs or {}))


def _split(noise: Tensor, shapes: Sequence[Size]) -> list[Tensor]:
    parts = noise.split([shape.numel() for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def numbers(shapes: Sequence[Size]) -> int:
    """How many numbers fill so many draws."""
    return sum(shape.numel() for shape in shapes)
