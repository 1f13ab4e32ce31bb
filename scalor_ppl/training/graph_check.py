"""A graph against the function that it was made of: values and gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor

from scalor_ppl.graphs import Flat, GraphError

# Of the largest value of a tensor, or of all gradients: what another order of sums may do.
TOLERANCE = 1e-3
FLOOR = 1e-5
# A choice that hangs on the last digit (which of two is the strongest) falls either way, seldom.
TRIALS = 3


def check_gradients(graph: Flat, function: Flat, inputs: Sequence[Tensor]) -> None:
    """Complain about a graph that is not the function.

    Args:
        graph: of the function.
        function: of tensors, to tensors.
        inputs: examples; gradients are taken for those that want one, along a random direction.

    Raises:
        GraphError: values or gradients differ by more than rounding, whatever the direction.
    """
    worst = ""
    for trial in range(TRIALS):
        random = torch.Generator(inputs[0].device).manual_seed(trial)
        given = list(inputs)
        if trial:  # other noise: the first two inputs of a frame
            given[:2] = [_redrawn(each, random) for each in given[:2]]
        directions: list[Tensor] = []
        mine = _values_and_slopes(graph, given, directions, random)
        right = _values_and_slopes(function, given, directions, random)
        worst = _difference(mine, right)
        if not worst:
            return
    raise GraphError(f"its graph is not what the program computes ({worst}); please report it")


def _redrawn(noise: Tensor, random: torch.Generator) -> Tensor:
    order = torch.randperm(noise.numel(), generator=random, device=noise.device)
    return noise.detach()[order]


def _values_and_slopes(
    function: Flat, inputs: Sequence[Tensor], directions: list[Tensor], random: torch.Generator
) -> tuple[list[Tensor], list[Tensor | None]]:
    """What a function gives, and the gradient of its sum along directions (drawn at first)."""
    given = [each.detach().requires_grad_(each.requires_grad) for each in inputs]
    with torch.enable_grad():
        found = list(function(*given))
        sloped = [each for each in found if each.requires_grad]
        if not directions:
            shapes = [(each.shape, each.device) for each in sloped]
            directions += [torch.randn(s, generator=random, device=d) for s, d in shapes]
        wanted = [each for each in given if each.requires_grad]
        slopes = torch.autograd.grad(sloped, wanted, directions, allow_unused=True)
    return [each.detach() for each in found], list(slopes)


Result = tuple[list[Tensor], list[Tensor | None]]


def _difference(mine: Result, right: Result) -> str:
    """What differs, in words; empty where nothing does."""
    for n, (own, other) in enumerate(zip(mine[0], right[0], strict=True)):
        share = _share(own, other, FLOOR)
        if not share <= TOLERANCE:
            return f"value {n} by {share:.1e}"
    largest = max((float(each.abs().max()) for each in right[1] if each is not None), default=0.0)
    for n, (own_slope, slope) in enumerate(zip(mine[1], right[1], strict=True)):
        if (own_slope is None) != (slope is None):
            return f"gradient {n} is missing on one side"
        if own_slope is not None and slope is not None:
            share = _share(own_slope, slope, FLOOR * largest)
            if not share <= TOLERANCE:
                return f"gradient {n} by {share:.1e}"
    return ""


def _share(own: Tensor, other: Tensor, floor: float) -> float:
    """The largest difference, as a share of the largest value or of a floor."""
    if own.shape != other.shape or own.dtype != other.dtype:
        return float("inf")
    if not own.numel():
        return 0.0
    apart = (own.double() - other.double()).abs().max()
    return float(apart / other.double().abs().max().clamp(min=floor))
