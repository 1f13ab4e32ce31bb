"""Pyro's own share of a training step.

The same step is run twice, interleaved, with the same noise and weights. Once
under Pyro; once with ``pyro.sample``, ``pyro.plate`` and ``poutine.mask`` replaced by light
functions that draw or replay the value and note the distribution, without message stack, handlers
or traces, and with the loss summed directly from the distributions. Loss and gradients of both must
agree to 1e-4 (relative). Then

    share = 1 - median(plain step) / median(step under Pyro)

where a step is forward, backward, clipping and optimizer. Making the distributions, drawing from
them and evaluating their densities is work that any implementation has to do: it is in both steps,
and not in the share; the table of parts shows it by itself.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pyro
import torch
from pyro import poutine
from torch import Tensor

from scalor_ppl.objectives.estimate import Traces
from scalor_ppl.objectives.estimators import Elbo, ScalorObjective
from scalor_ppl.objectives.paper import total
from scalor_ppl.studies.benchmark.parts import replaced
from scalor_ppl.studies.benchmark.results import PyroShare, Quartiles
from scalor_ppl.studies.benchmark.step import Stepper

AGREEMENT = 1e-4
"""Largest relative difference of loss and gradients between the plain run and Pyro's."""


class _Nothing:
    """A context that does nothing, for ``pyro.plate``."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class PlainRun:
    """The primitives of Pyro that a program uses, without Pyro: what its computation costs alone.

    Sites are plate-complete, that is the batch shape of each distribution is the plates' whole
    shape; a program that leaves it to plates to enlarge distributions fails the comparison.
    """

    def __init__(self) -> None:
        self.guide: dict[str, dict[str, Any]] = {}
        self.model: dict[str, dict[str, Any]] = {}
        self._sites = self.guide
        self._mask: Tensor | None = None

    def loss(self, stepper: Stepper) -> Tensor:
        """The loss of the program's step, in nats a frame."""
        program, video = stepper.program, stepper.video
        with self._primitives():
            self._sites = self.guide
            program.guide(video)
            self._sites = self.model
            program.model(video)
            if isinstance(stepper.estimator, ScalorObjective):
                return stepper.scaled(self._scalor())
            return stepper.scaled(self._elbo())

    def _elbo(self) -> Tensor:
        log_p = [_log_prob(site) for site in self.model.values()]
        log_q = [_log_prob(site) for site in self.guide.values()]
        return torch.stack(log_q).sum() - torch.stack(log_p).sum()

    def _scalor(self) -> Tensor:
        objective = ScalorObjective()
        traces = (SimpleNamespace(nodes=nodes) for nodes in (self.model, self.guide))
        return -total(objective.collect(Traces(*traces)))  # type: ignore[arg-type]

    @contextmanager
    def _primitives(self) -> Iterator[None]:
        with (
            replaced(pyro, "sample", self._sample),
            replaced(pyro, "plate", _Nothing),
            replaced(poutine, "mask", self._masked),
        ):
            yield

    def _sample(
        self,
        name: str,
        fn: Any,
        obs: Tensor | None = None,
        infer: dict[str, Any] | None = None,
    ) -> Tensor:
        drawn = self.guide.get(name) if self._sites is self.model else None
        value = obs
        if value is None:
            value = fn.rsample() if drawn is None else drawn["value"]
        self._sites[name] = {
            "type": "sample",
            "name": name,
            "fn": fn,
            "value": value,
            "mask": self._mask,
            "scale": 1.0,
            "infer": (drawn["infer"] if drawn else {}) | (infer or {}),
            "is_observed": obs is not None,
        }
        return value

    @contextmanager
    def _masked(self, mask: Tensor) -> Iterator[None]:
        before, self._mask = self._mask, mask if self._mask is None else self._mask & mask
        try:
            yield
        finally:
            self._mask = before


def _log_prob(site: Mapping[str, Any]) -> Tensor:
    """Log-density of a site, summed."""
    log_prob = site["fn"].log_prob(site["value"])
    mask = site["mask"]
    if mask is not None:
        log_prob = torch.where(mask, log_prob, log_prob.new_zeros(()))
    return log_prob.sum()


def pyro_share(stepper: Stepper, steps: int) -> PyroShare:
    """Measure Pyro's own share of a step; the module's docstring defines it."""
    note = _no_plain_run(stepper)
    if note:
        return PyroShare(None, note=note)

    def plain() -> Tensor:
        return PlainRun().loss(stepper)

    ours = _loss_and_gradients(stepper, stepper.forward)
    theirs = _loss_and_gradients(stepper, plain)
    differences = [_relative(*pair) for pair in zip(theirs, ours, strict=True)]
    if not max(differences) <= AGREEMENT:
        return PyroShare(
            None,
            loss_difference=differences[0],
            gradient_difference=differences[1],
            note="without Pyro the program computes another loss: it needs more of Pyro than "
            "sample, complete plates and mask",
        )
    times: dict[Any, list[float]] = {stepper.forward: [], plain: []}
    for number in range(2 * steps):
        # In turns, and each first as often as second, so that a drift of the machine meets both.
        order = list(times) if number % 2 else list(times)[::-1]
        for forward in order:
            times[forward].append(sum(stepper.timed(forward)))
    under_pyro, alone = (Quartiles.of(each) for each in times.values())
    share = 1 - alone.median / under_pyro.median
    return PyroShare(share, under_pyro, alone, differences[0], differences[1])


def _no_plain_run(stepper: Stepper) -> str:
    """Why a step cannot be run without Pyro; empty where it can."""
    if type(stepper.estimator) not in (Elbo, ScalorObjective):
        return "measured for the estimators elbo and scalor only"
    if stepper.estimator.num_particles > 1:
        return "measured for one particle only"
    if stepper.program.kind_of_latents(stepper.config) == "hard":
        return "not measured for hard presence: it needs a score-function term"
    return ""


def _loss_and_gradients(stepper: Stepper, forward: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """A loss ``[1]`` and all its gradients in one vector, with fixed noise."""
    torch.manual_seed(1)
    loss = forward()
    stepper.backward(loss)
    gradients = [p.grad.flatten() for p in stepper.parameters if p.grad is not None]
    return loss.detach()[None], torch.cat(gradients)


def _relative(value: Tensor, reference: Tensor) -> float:
    if value.shape != reference.shape:
        return math.inf
    return ((value - reference).norm() / reference.norm().clamp(min=1e-12)).item()
