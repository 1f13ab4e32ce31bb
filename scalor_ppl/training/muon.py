"""Muon (Jordan 2024): the weights of a layer take a step of the same size in every direction.

Adam scales each number of a weight matrix by itself, so that a few strong directions of the
gradient (where the objects are) leave little of a step to the many weak ones (how their edges
look). Muon replaces the momentum ``M = U S V'`` of a whole matrix by about ``U V'``.

torch.optim.Muon is the same for matrices, but refuses convolutions and computes in bfloat16,
which is slow on many CPUs.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

# Adam in one kernel: a hundred small parameters cost more to walk through than to update.
ADAM = partial(Adam, fused=True)
# Of the quintic whose iterates take singular values from (0, 1] to about 1 (Jordan 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
# From so many rows on, and so many times as many columns, a matrix's square is cheaper to iterate.
SQUARED = 32
WIDE = 3
MOMENTUM = 0.95
# A step then has the root mean square that Adam's have, and Adam's learning rates can stay
# (Liu et al. 2025, "Muon is scalable for LLM training", section 2.2).
LIKE_ADAM = 0.2
# Below this many rows or columns there is nothing to balance: output layers of a single number,
# and the image of a template.
NARROW = 8


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter is a layer's weights, with at least 8 rows and columns once flattened."""
    return parameter.ndim >= 2 and min(parameter.flatten(1).shape) >= NARROW


def orthogonalised(matrix: Tensor) -> Tensor:
    """About ``U V'`` of a matrix ``U S V'`` ``[m, n]``, whose norm is 1 or less.

    Singular values end between .7 and 1.2, but for those far below the largest, which stay smaller.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    rows, columns = x.shape
    x = _by_squares(x) if rows >= SQUARED and columns >= WIDE * rows else _iterated(x)
    return x.T if tall else x


def _iterated(x: Tensor) -> Tensor:
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x


def _by_squares(x: Tensor) -> Tensor:
    """The same for a wide matrix: all factors are polynomials of ``x @ x.T``, and commute.

    So only small square matrices are iterated, and x itself is multiplied once.
    """
    a, b, c = QUINTIC
    square, product = x @ x.T, None
    for number in range(ITERATIONS):
        factor = torch.addmm(square, square, square, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor if product is None else factor @ product
        if number + 1 < ITERATIONS:
            square = factor @ square @ factor
    assert product is not None
    return product @ x


class Orthogonal(Optimizer):
    """Muon's steps, for weights of two and more dimensions (all but the first are flattened)."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step."""
        for group in self.param_groups:
            stepped = [each for each in group["params"] if each.grad is not None]
            if stepped:
                self._step(stepped, group["lr"])

    def _step(self, parameters: list[Tensor], lr: float) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        slopes = [each.grad for each in parameters if each.grad is not None]
        torch._foreach_lerp_(momenta, slopes, 1 - MOMENTUM)
        ahead = torch._foreach_lerp(slopes, momenta, MOMENTUM)  # Nesterov's
        torch._foreach_div_(ahead, torch._foreach_clamp_min(torch._foreach_norm(ahead), 1e-7))
        for parameter, each in zip(parameters, ahead, strict=True):
            matrix = each.flatten(1)
            size = LIKE_ADAM * max(matrix.shape) ** 0.5
            parameter.sub_(orthogonalised(matrix).view_as(parameter), alpha=lr * size)


class Muon:
    """Muon for the weights of layers, Adam for everything else, under one learning rate.

    Args:
        parameters: of the whole program.
        lr: learning rate of both.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        parameters = list(parameters)
        matrices = [p for p in parameters if is_matrix(p)]
        others = [p for p in parameters if not is_matrix(p)]
        self.parts: dict[str, Optimizer] = {}
        if matrices:
            self.parts["muon"] = Orthogonal(matrices, lr)
        if others:
            self.parts["adam"] = ADAM(others, lr)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Of both parts: where the learning rate is set."""
        return [group for part in self.parts.values() for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for part in self.parts.values():
            part.zero_grad(set_to_none)

    def step(self) -> None:
        """Take one step."""
        for part in self.parts.values():
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of both parts."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a state of ``state_dict`` over."""
        for name, part in self.parts.items():
            part.load_state_dict(state_dict[name])
