"""The forward pass by parts: how long each takes, without what it spends in another."""

import functools
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pyro
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.poutine import Trace
from torch import nn

from scalor_ppl.objectives.estimators import Elbo, ScalorObjective
from scalor_ppl.programs import Program
from scalor_ppl.studies.benchmark.results import Part
from scalor_ppl.studies.benchmark.step import Stepper

# Where a part is found: in the model, the guide, or the guide's module; what it is called there
# (the forward pass, where that is a module); and its name. What a program lacks is left out.
PARTS = (
    ("guide", "features", "image features"),
    ("guide", "propagate", "propagation: heads, attention, GRU"),
    ("guide", "proposal.propose", "proposals: heads"),
    ("guide", "discover", "proposals: heads"),
    ("guide", "discover_hoisted", "proposals: heads"),
    ("guide", "proposal.encode_mask", "proposals: mask encoder"),
    ("guide", "glimpses", "glimpse encoder"),
    ("guide", "background", "background"),
    ("guide", "sample_background", "background"),
    ("module", "read_glimpses", "glimpse reading"),
    ("model", "decode", "glimpse decoder"),
    ("model", "moved_objects", "propagation mask (writing)"),
    ("model", "updated_trackers", "accept-reject, update"),
    ("model", "rendered", "rendering"),
    ("model", "propagation", "priors"),
    ("model", "propagation.update", "priors"),
    ("model", "discovery", "priors"),
    ("model", "carry", "priors"),
    ("model", "sample_background", "background"),
    ("model", "forward", "the model's loop, plates"),
    ("guide", "forward", "the guide's loop, plates"),
)
# Parts that belong to inference, whatever the program: owner, attribute, name.
PRIMITIVES = (
    (pyro, "sample", "pyro.sample: handlers"),
    (TorchDistributionMixin, "__call__", "draws"),
    (Trace, "compute_log_prob", "log-densities"),
    (Trace, "compute_score_parts", "log-densities"),
    (Elbo, "bound", "summing the loss"),
    (ScalorObjective, "collect", "divergences, likelihood"),
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
    owners = {
        "model": program.model,
        "guide": program.guide,
        "module": sys.modules[type(program.guide).__module__],
    }
    with ExitStack() as stack:
        places = [(owners[owner], path, name) for owner, path, name in PARTS]
        for owner, path, name in [*places, *PRIMITIVES]:
            place = _found(owner, path)
            if place is not None:
                stack.enter_context(replaced(*place, watch.wrap(name, getattr(*place))))
        yield


def _found(owner: Any, path: str) -> tuple[Any, str] | None:
    """Owner and attribute of the function at a dotted path; a module's is its forward pass."""
    *way, last = path.split(".")
    for step in way:
        owner = getattr(owner, step, None)
    target = getattr(owner, last, None)
    if isinstance(target, nn.Module):
        return target, "forward"
    return (owner, last) if callable(target) else None


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
