"""The operations of a training step, counted: what it costs where the interpreter is slow.

The number depends on the program and on its settings, and not on the machine or what else runs
there. A GPU launches a kernel for each that is no view; what the package compiles itself counts as
nothing, and is fewer kernels than operations.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from scalor_ppl.studies.benchmark.results import Operations, StepOperations
from scalor_ppl.studies.benchmark.step import Stepper


def count_operations(stepper: Stepper) -> StepOperations:
    """Operations of a step of training.

    The first step of all makes what later ones find (momenta, constants): it is taken before.
    """
    stepper.timed()
    loss: list[Tensor] = []
    forward = _counted(lambda: loss.append(stepper.forward()))
    backward = _counted(lambda: stepper.backward(loss[0]))
    return StepOperations(forward, backward, _counted(lambda: stepper.update(loss[0])))


class _Counter(TorchDispatchMode):
    """Counts what torch's dispatcher is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self.views = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        self.total += 1
        self.views += _is_view(func)
        return func(*args, **(kwargs or {}))


def _is_view(func: Any) -> bool:
    """Whether an operation returns memory that it was given, and does not write to it."""
    aliases = [each.alias_info for each in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def _counted(work: Callable[[], object]) -> Operations:
    flops = FlopCounterMode(display=False)
    # Inside: it takes composite operations apart, which the count must see as they are called.
    with flops, _Counter() as counter:
        work()
    return Operations(counter.total, counter.views, flops.get_total_flops())


def arithmetic_rate(stepper: Stepper, side: int = 768, rounds: int = 5) -> float:
    """Floating point operations a second of the device in one large matrix product."""
    matrix = torch.rand(side, side, device=stepper.device)
    seconds = []
    for _ in range(rounds):
        begin = stepper.now()
        torch.mm(matrix, matrix)
        seconds.append(stepper.now() - begin)
    return 2 * side**3 / min(seconds)
