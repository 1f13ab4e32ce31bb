"""What is asked of a comparison, and the rows that answer it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scalor_ppl.config.settings import nearest
from scalor_ppl.errors import UserError
from scalor_ppl.inference.gradients import Noise
from scalor_ppl.objectives.estimators import ESTIMATORS
from scalor_ppl.studies.pareto import LEAST_DRAWS, LIMIT

PRESENCES = ("relaxed", "hard")


def in_words(kind: str) -> str:
    """A kind of latents: a program without objects has no presence."""
    return "continuous latents" if kind == "continuous" else f"{kind} presence"


@dataclass(frozen=True)
class ComparisonQuestion:
    """What is compared, and on how much.

    Attributes:
        estimators: registered names.
        particles: numbers of particles, K.
        clips: how many clips are bounded.
        frames: length of each.
        gradients: draws of the gradient.
        batch: clips of the batch that the gradient is of.
        seed: of the draws.
    """

    estimators: tuple[str, ...]
    particles: tuple[int, ...]
    clips: int = 10
    frames: int = 10
    gradients: int = 20
    batch: int = 2
    seed: int = 0

    def cases(self, kinds: Sequence[str] = PRESENCES) -> list[tuple[str, str, int]]:
        """Estimator, presence and K of every row: as far as the estimator can do with them.

        Args:
            kinds: of latents that the program can have.
        """
        return [
            (name, presence, particles)
            for name in self.estimators
            for presence in kinds
            if presence in ESTIMATORS[name].latents
            for particles in self.particles
            if particles >= ESTIMATORS[name].least_particles
        ]

    @property
    def draws(self) -> int:
        """Draws per clip: enough for k-hat, and for the most particles."""
        return max(LEAST_DRAWS, *self.particles)


@dataclass(frozen=True)
class ComparisonRow:
    """One estimator with one kind of presence and K particles, on one run.

    Attributes:
        run: its name.
        estimator: registered name.
        presence: of the program that is bounded and differentiated.
        particles: K.
        bound: on log p(x) in nats a clip, mean over clips; none for what is no bound.
        error: standard error of that mean; none of a single clip.
        by_clip: the bound of each clip.
        effective: effective sample size of K weights, mean over clips, 1 to K.
        guide, model: noise of the gradient of their parameters.
        milliseconds: of forward and backward, median.
    """

    run: str
    estimator: str
    presence: str
    particles: int
    bound: float | None
    error: float | None
    by_clip: tuple[float, ...]
    effective: float
    guide: Noise
    model: Noise
    milliseconds: float


@dataclass(frozen=True)
class Tail:
    """The weights' tail, on one run with one kind of presence.

    Attributes:
        run: its name.
        presence: of the program.
        draws: per clip.
        k_hat: of each clip.
    """

    run: str
    presence: str
    draws: int
    k_hat: tuple[float, ...]

    @property
    def median(self) -> float:
        """Over clips."""
        return float(np.median(self.k_hat))

    @property
    def share(self) -> float:
        """Share of the clips with a k-hat above the limit."""
        return float(np.mean(np.array(self.k_hat) > LIMIT))

    def to_dict(self) -> dict[str, Any]:
        """With median and share."""
        return asdict(self) | {"median": self.median, f"share_above_{LIMIT}": self.share}


def check_cases(question: ComparisonQuestion) -> None:
    """Complain about a question that no estimator can answer.

    Raises:
        UserError: each of them needs more particles.
    """
    if not question.cases():
        least = max(ESTIMATORS[name].least_particles for name in question.estimators)
        raise UserError(f"these estimators need at least {least} particles: --particles 5,25")


def check_estimators(names: Sequence[str]) -> None:
    """Complain about a name that is not registered.

    Raises:
        UserError: there is one.
    """
    for name in names:
        if name not in ESTIMATORS:
            raise UserError(f"no estimator named {name!r}{nearest(name, list(ESTIMATORS))}")
