"""What a trained program does on held-out clips: its bound and its squared error, clip by clip."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from scalor_ppl.data import ClipSource
from scalor_ppl.inference.bounds import Bound, bound_of, standard_error
from scalor_ppl.inference.rates import LatentRates, latent_rates
from scalor_ppl.inference.scoring import reconstruction_errors
from scalor_ppl.programs import Program


@dataclass(frozen=True)
class JudgingQuestion:
    """On how much programs are judged.

    Attributes:
        clips: how many are reconstructed.
        bound_clips: how many of them, the first, are bounded.
        particles: K of the importance-weighted bound.
        frames: length of a clip.
        seed: of the bound's draws.
    """

    clips: int = 100
    bound_clips: int = 20
    particles: int = 100
    frames: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Judgement:
    """A program on held-out clips.

    Attributes:
        program: name of its family.
        sigma: of its pixels.
        parameters: how many can be trained.
        pixels: of a frame, height times width.
        values: of a pixel over the sequence, frames times channels.
        bound: importance-weighted, with hard presence where there is presence.
        errors: mean squared error of each clip's reconstruction, most likely latents taken.
        rates: what the latents of the bounded clips cost.
    """

    program: str
    sigma: float
    parameters: int
    pixels: int
    values: int
    bound: Bound
    errors: tuple[float, ...]
    rates: LatentRates

    @property
    def nll_by_clip(self) -> tuple[float, ...]:
        """Upper bound on -log p(x), nats a pixel over the sequence (all frames and channels)."""
        return tuple(-value / self.pixels for value in self.bound.by_clip)

    @property
    def nll_bound(self) -> float:
        """Its mean over clips."""
        return float(np.mean(self.nll_by_clip))

    @property
    def nll_error(self) -> float | None:
        """The standard error of that mean; none of a single clip."""
        return standard_error(self.nll_by_clip)

    @property
    def floor(self) -> float:
        """The least that it can be: every value hit exactly, and nothing to be told."""
        return floor_of(self.sigma, self.values)

    @property
    def misfit(self) -> float:
        """What the squared error of the bounded clips' reconstruction adds to the floor."""
        errors = self.errors[: len(self.bound.by_clip)]
        return self.values * float(np.mean(errors)) / (2 * self.sigma**2)

    @property
    def rest(self) -> float:
        """What is left: ``latents + drawn``, less what the best of many draws saves."""
        return self.nll_bound - self.floor - self.misfit

    @property
    def latents(self) -> float:
        """What the latents cost: nothing where the posterior is no surprise to the prior."""
        return self.rates.total / self.pixels

    @property
    def drawn(self) -> float:
        """What drawing latents, in place of the most likely ones, adds to the misfit."""
        return -self.rates.log_likelihood / self.pixels - self.floor - self.misfit

    @property
    def mse(self) -> float:
        """Mean squared error over clips."""
        return float(np.mean(self.errors))

    @property
    def mse_error(self) -> float | None:
        """Its standard error; none of a single clip."""
        return standard_error(self.errors)

    def over(self, other: Self) -> tuple[float, float | None]:
        """By how much the bound on the NLL lies above another's on the same clips.

        Returns:
            The mean of the clips' differences, nats a pixel over the sequence, and its standard
            error, which is smaller than that of either, as some clips are hard for all.

        Raises:
            ValueError: they were judged on other clips, or with another sigma.
        """
        if (len(self.nll_by_clip), self.sigma) != (len(other.nll_by_clip), other.sigma):
            raise ValueError("bounds of other clips or another sigma do not compare")
        pairs = zip(self.nll_by_clip, other.nll_by_clip, strict=True)
        differences = [mine - theirs for mine, theirs in pairs]
        return float(np.mean(differences)), standard_error(differences)

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """The inverse.

        Raises:
            KeyError, TypeError: it is none.
        """
        own = {
            "bound": Bound(**{**stored["bound"], "by_clip": tuple(stored["bound"]["by_clip"])}),
            "errors": tuple(stored["errors"]),
            "rates": LatentRates(**stored["rates"]),
        }
        return cls(**{**stored, **own})


def judge(
    program: Program,
    source: ClipSource,
    question: JudgingQuestion,
    say: Callable[[str], None] = lambda message: None,
) -> Judgement:
    """Bound and reconstruct held-out clips.

    Args:
        program: trained.
        source: of clips; 0, 1, ... are taken.
        question: on how much.
        say: told what is being measured.

    Raises:
        UserError: the clips are of another size than the program's.
        NotFiniteError: a weight or a scene is not finite.
    """
    say("squared error")
    errors = reconstruction_errors(program, source, question.clips, question.frames)
    say("bound")
    bound = bound_of(
        program,
        source,
        estimator="iwae",
        particles=question.particles,
        clips=min(question.bound_clips, question.clips),
        frames=question.frames,
        seed=question.seed,
    )
    count = bound.clips
    rates = latent_rates(program, source, clips=count, frames=question.frames, seed=question.seed)
    height, width = program.size
    return Judgement(
        program.name,
        program.config.model.sigma,
        parameters_of(program),
        height * width,
        question.frames * source.channels,
        bound,
        tuple(errors),
        rates,
    )


def parameters_of(program: Program) -> int:
    """How many numbers of a program can be trained."""
    modules = program.parts.values()
    return sum(p.numel() for part in modules for p in part.parameters() if p.requires_grad)


def floor_of(sigma: float, values: int) -> float:
    """The least that -log p(x) can be a pixel over the sequence: every value hit exactly.

    Args:
        sigma: of the pixels.
        values: of a pixel over the sequence: frames times channels.
    """
    return values * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
