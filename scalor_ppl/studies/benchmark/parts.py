"""The forward pass by parts: how long each takes, without what it spends in another."""

import functools
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pyro
from pyro.distributions.torch_distribution import TorchDistributionMixin

from scalor_ppl.objectives import densities
from scalor_ppl.objectives.estimators import Elbo, ScalorObjective
from scalor_ppl.programs import Program, TimedPart
from scalor_ppl.studies.benchmark.results import Part
from scalor_ppl.studies.benchmark.step import Stepper

# Parts that belong to inference, whatever the program.
PRIMITIVES = (
    TimedPart(pyro, "sample", "pyro.sample: handlers"),
    TimedPart(TorchDistributionMixin, "__call__", "draws"),
    TimedPart(densities, "evaluate", "log-densities"),
    TimedPart(Elbo, "bound", "summing the loss"),
    TimedPart(ScalorObjective, "collect", "divergences, likelihood"),
)
REST = "traces, rest"


class Stopwatch:
    """Adds up the time that named functions take, without what they spend in one another.

    Args:
        now: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = {}
        self._now = now
        self._open: list[str] = []
        self._since = 0.0

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time put down to ``name``."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._switch()
            self._open.append(name)
            try:
                return function(*args, **kwargs)
            finally:
                self._switch()
                self._open.pop()

        return timed

    def _switch(self) -> None:
        now = self._now()
        if self._open:
            name = self._open[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now


def time_parts(stepper: Stepper, steps: int) -> list[Part]:
    """The forward pass by parts, slowest first: medians of each part's own time."""
    runs: list[dict[str, float]] = []
    for _ in range(steps):
        watch = Stopwatch(stepper.now)
        with _watched(stepper.program, watch):
            watch.wrap(REST, stepper.forward)()
        runs.append(watch.seconds)
    names = dict.fromkeys(name for run in runs for name in run)
    medians = {name: statistics.median(run.get(name, 0.0) for run in runs) for name in names}
    total = sum(medians.values())
    parts = [Part(name, seconds, seconds / total) for name, seconds in medians.items()]
    return sorted(parts, key=lambda part: -part.seconds)


@contextmanager
def _watched(program: Program, watch: Stopwatch) -> Iterator[None]:
    """Every part of a program, and of Pyro, timed by a stopwatch."""
    with ExitStack() as stack:
        for owner, attribute, name in [*program.timed_parts(), *PRIMITIVES]:
            timed = watch.wrap(name, getattr(owner, attribute))
            stack.enter_context(replaced(owner, attribute, timed))
        yield


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute replaced within a ``with`` block."""
    own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)
