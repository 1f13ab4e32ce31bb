"""The descent with each step of gradient as one compiled graph.

A step is some hundred small operations, forward and backward, and the interpreter takes most of its
time. The graph is traced and compiled once for each form of its arguments (videos, slots, size) and
checked, before it is used, against the step as it is.
"""

import logging
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from scalor_ppl.graphs import GraphError, compiled_graph
from scalor_ppl.render.glimpses import graph_backend
from scalor_ppl.scalor.descent import (
    LEAST_GRADIENT,
    MOMENTA,
    WHAT_RATE,
    WHERE_RATE,
    Descent,
    Rows,
    cost,
    descend,
)
from scalor_ppl.scalor.settings import GuideConfig

log = logging.getLogger(__name__)

# Forms of the arguments for which a graph is compiled, ten seconds or so each.
MOST_FORMS = 4
# A graph's gradient may differ from the step's by this share of the largest: rounding, no more.
TOLERANCE = 1e-4

# Shift, what, and the first and second moments of their gradients.
State = Sequence[Tensor]


class CompiledDescent:
    """:func:`scalor_ppl.scalor.descent.descend` in a fraction of the time, for one model.

    Where it cannot be captured or compiled it says so once, and goes on without.

    Attributes:
        graphs: how many there are.
    """

    def __init__(self) -> None:
        self._steps: dict[Any, _Step] = {}
        self._refused = False

    @property
    def graphs(self) -> int:
        """One for each form of the arguments so far."""
        return len(self._steps)

    def __call__(self, model: Any, descent: Descent, config: GuideConfig) -> Tensor:
        """See :class:`scalor_ppl.scalor.descent.Descend`."""
        step = self._step(model, descent)
        if step is None:
            return descend(model, descent, config)
        shift, what = torch.zeros_like(descent.unit), descent.start.guess[..., 4:].contiguous()
        with torch.no_grad():
            _, share = cost(model, descent, shift, what, None)
        state: State = (shift, what, *(torch.zeros_like(x) for x in (shift, what, shift, what)))
        constants = step.constants(model, descent, share)
        for rates in step_sizes(config.refine, shift):
            state = step.graph(rates, *state, *constants)
        return torch.cat((descent.raw(state[0]), state[1]), -1)

    def _step(self, model: Any, descent: Descent) -> "_Step | None":
        """The graph for arguments of this form; none where there is none."""
        form = form_of(descent)
        if form in self._steps or self._refused:
            return self._steps.get(form)
        if self.graphs == MOST_FORMS:
            return None
        try:
            self._steps[form] = _Step(model, descent)
        except GraphError as error:
            self._refused = True
            log.warning("refinement is not compiled, only slower: %s", error)
        return self._steps.get(form)


def form_of(descent: Descent) -> Any:
    """What of a descent is part of a graph: shapes, and whether there is a background."""
    return descent.image.shape, descent.start.guess.shape, descent.background is None


def step_sizes(steps: int, like: Tensor) -> tuple[Tensor, ...]:
    """Adam's step sizes for shift and what, and its second correction, ``[3]`` for each step."""
    sizes = []
    for n in range(steps):
        first, second = (1 - momentum ** (n + 1) for momentum in MOMENTA)
        fall = (1 - n / steps) / first
        sizes.append((WHERE_RATE * fall, WHAT_RATE * fall, math.sqrt(second)))
    return torch.tensor(sizes, dtype=like.dtype, device=like.device).unbind()


class _Step:
    """A step of Adam as a graph ``graph(rates, *state, *constants)``, which gives the next state.

    Raises:
        GraphError: it cannot be captured or compiled, or the graph is wrong.
    """

    def __init__(self, model: nn.Module, descent: Descent) -> None:
        self.names = [name for name, _ in _tensors(model)]
        values = descent.unit, descent.start.guess[..., 4:]
        state = [torch.zeros_like(values[0]), values[1], *map(torch.zeros_like, values * 2)]
        share = torch.ones_like(descent.image[:, :1])
        inputs = [step_sizes(1, share)[0], *state, *self.constants(model, descent, share)]
        inputs = [each.detach().contiguous() for each in inputs]

        def step(rates: Tensor, *rest: Tensor) -> State:
            return self._bettered(model, descent, rates, rest[:6], rest[6:])

        with graph_backend():
            self.graph = compiled_graph(step, inputs)
            _check(self.graph(*inputs), step(*inputs))

    def constants(self, model: nn.Module, descent: Descent, share: Tensor) -> list[Tensor]:
        """What does not change from step to step: pixels' weights, the descent, the model."""
        tensors = [tensor.detach() for _, tensor in _tensors(model)]
        return [each.contiguous() for each in (share, *_flat(descent), *tensors)]

    def _bettered(
        self, model: nn.Module, like: Descent, rates: Tensor, state: State, constants: State
    ) -> State:
        """The next state, as Adam has it."""
        split = 1 + len(_flat(like))
        share, descent = constants[0], _unflat(like, constants[1:split])
        weights = dict(zip(self.names, constants[split:], strict=True))
        with torch.enable_grad():
            values = [each.detach().requires_grad_() for each in state[:2]]
            call = (descent, *values, share)
            loss, _ = functional_call(_Cost(model), weights, call)
            slopes = torch.autograd.grad(loss, values)
        near, far = MOMENTA
        moved, firsts, seconds = [], [], []
        for i, slope in enumerate(slopes):
            first = state[2 + i].lerp(slope, 1 - near)
            second = (state[4 + i] * far).addcmul(slope, slope, value=1 - far)
            spread = second.sqrt() / rates[2] + LEAST_GRADIENT
            moved.append((state[i] - rates[i] * (first / spread)).detach())
            firsts.append(first)
            seconds.append(second)
        return *moved, *firsts, *seconds


class _Cost(nn.Module):
    """:func:`cost` as a module, whose parameters are the model's."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *arguments: Any) -> tuple[Tensor, Tensor]:
        """Loss and weights of pixels."""
        return cost(self.model, *arguments)


def _tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and buffers by their names in :class:`_Cost`."""
    return [*model.named_parameters(prefix="model"), *model.named_buffers(prefix="model")]


def _flat(descent: Descent) -> list[Tensor]:
    """The tensors of a descent."""
    image, background, start, *others = descent
    return [each for each in (image, background, *start, *others) if each is not None]


def _unflat(like: Descent, tensors: Sequence[Tensor]) -> Descent:
    """A descent of the tensors that :func:`_flat` gave of one like it."""
    rest = iter(tensors)
    image = next(rest)
    background = None if like.background is None else next(rest)
    start = Rows(*(next(rest) for _ in Rows._fields))
    return Descent(image, background, start, *rest)


def _check(found: State, expected: State) -> None:
    """Complain about a graph whose gradient's moments are not those of the step as it is."""
    for mine, right in zip(found[2:], expected[2:], strict=True):
        if not (mine - right).abs().max() <= TOLERANCE * right.abs().max():
            raise GraphError("the graph's gradient is not that of the program; please report it")
