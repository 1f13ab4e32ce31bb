"""Objectives compared by training: the same start, the same wall-clock, scores on the same clips.

OUT/NAME/plan.json      the steps that fit the time, and what they were reckoned from
OUT/NAME/seed_S/        the runs
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scalor_ppl.config.schema import Config, TrainConfig
from scalor_ppl.data import ClipSource
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.inference.bounds import Bound, bound_of
from scalor_ppl.inference.scoring import tracked
from scalor_ppl.objectives.estimators import ESTIMATORS, make_estimator
from scalor_ppl.programs import Program
from scalor_ppl.programs.loader import family_of
from scalor_ppl.studies.comparison import finite, surroundings
from scalor_ppl.studies.experiment import TEST_SEED
from scalor_ppl.training.budget import lasting, predicted_minutes, time_all
from scalor_ppl.training.loop import Outcome, check_length
from scalor_ppl.training.sources import anchored, fitted, open_data, with_seed

PLAN = "plan.json"
ONE_PARTICLE = ("elbo", "elbo-analytic", "stl", "scalor")
"""Means over particles: more of them cost as much as a larger batch, and give less."""
BOUND_PARTICLES = 100
BOUND_CLIPS = 10  # at most; a bound of one costs as much as tracking a hundred


@dataclass(frozen=True)
class Plan:
    """A training that lasts as long as was asked for.

    Attributes:
        asked: the configuration before its steps were chosen, for seed 0.
        minutes: asked for.
        seconds: of a step, by clip length, as measured.
    """

    asked: Config
    minutes: float
    seconds: dict[int, float]

    @property
    def train(self) -> TrainConfig:
        """The training with its steps chosen."""
        return lasting(self.asked.train, self.minutes, self.seconds)

    @property
    def predicted(self) -> float:
        """Minutes that it will take."""
        return predicted_minutes(self.train, self.seconds)

    def config(self, seed: int) -> Config:
        """Of a run. Weights start alike for the same seed, whatever the estimator."""
        train = self.train.model_copy(update={"seed": seed})
        return self.asked.model_copy(update={"train": train})

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return {
            "minutes": self.minutes,
            "predicted_minutes": self.predicted,
            "steps": self.train.steps,
            "seconds": {str(frames): value for frames, value in self.seconds.items()},
            "asked": self.asked.model_dump(mode="json"),
        }


@dataclass(frozen=True)
class Result:
    """A trained program and what it scored.

    Attributes:
        estimator: it was trained with.
        particles: K of the training.
        presence: of the training.
        seed: of the training.
        steps: done.
        skipped: steps left out because a loss or gradient was not finite.
        minutes: that the training took.
        scores: by rule.
        bound: on log p(x), hard presence, importance-weighted.
    """

    estimator: str
    particles: int
    presence: str
    seed: int
    steps: int
    skipped: int
    minutes: float
    scores: dict[str, dict[str, float | None]]
    bound: Bound

    @property
    def figures(self) -> dict[str, float | None]:
        """What tables and pictures show."""
        standard = self.scores["standard"]
        return {
            "mota": standard["mota"],
            "plain": self.scores["plain"]["mota"],
            "count_mae": standard["count_mae"],
            "mse": standard["mse"],
            "bound": self.bound.per_video,
            "steps": self.steps,
            "minutes": self.minutes,
        }


def entrant(base: Config, estimator: str, particles: int) -> Config:
    """The configuration with an estimator, its particles, and a presence that it can do with.

    Raises:
        UserError: no such estimator, or too few particles.
    """
    count = 1 if estimator in ONE_PARTICLE else particles
    make_estimator(estimator, count)
    kind = family_of(base.model_file).program
    # Pictures take time that is nobody's.
    train = {"estimator": estimator, "particles": count, "image_every": 0, "seed": 0}
    trained = base.model_copy(update={"train": base.train.model_copy(update=train)})
    return kind.with_latents(trained, ESTIMATORS[estimator].latents)


def check_data(config: Config, frames: int) -> None:
    """Complain now about clips that cannot be trained on, or not be scored on.

    Raises:
        UserError: they are too short, or have no ground truth.
    """
    check_length(open_data(config.data, "train"), config.train)
    source = unseen(config)
    if source.clip(0, frames).truth is None:
        raise UserError(f"{source.name} has no ground truth: there is nothing to compare by")


def unseen(config: Config) -> ClipSource:
    """Clips that trainings are scored on: fresh ones, where they are generated."""
    return open_data(with_seed(config.data, TEST_SEED), "test")


def planned(
    entrants: Mapping[str, Config], minutes: float, out: Path, device: torch.device
) -> dict[str, Plan]:
    """The plans that are there, and new ones: steps are timed once, for all seeds.

    Args:
        entrants: by name, of :func:`entrant`; of the same data.
        minutes: that a training shall last.
        out: folder of the comparison.
        device: where it will run.

    Raises:
        UserError: a plan that is there is one for something else.
    """
    first = next(iter(entrants.values()))
    source = open_data(first.data, "train")
    configs = {name: fitted(anchored(config), source) for name, config in entrants.items()}
    known = {name: _read_plan(out / name, config, minutes) for name, config in configs.items()}
    missing = {name: config for name, config in configs.items() if known[name] is None}
    for name, seconds in time_all(missing, source, device).items():
        known[name] = plan = Plan(configs[name], minutes, seconds)
        with written_whole(out / name / PLAN) as path:
            path.write_text(json.dumps(plan.to_dict(), indent=2))
    return {name: plan for name, plan in known.items() if plan is not None}


def _read_plan(folder: Path, config: Config, minutes: float) -> Plan | None:
    if not (folder / PLAN).is_file():
        return None
    found = json.loads((folder / PLAN).read_text())
    if found["asked"] != config.model_dump(mode="json") or found["minutes"] != minutes:
        raise UserError(f"{folder} was planned with other settings: choose another --out")
    return Plan(config, minutes, {int(k): v for k, v in found["seconds"].items()})


def judged(program: Program, outcome: Outcome, *, clips: int, frames: int) -> Result:
    """Score and bound a trained program on fresh clips.

    Args:
        program: of the run.
        outcome: of its training.
        clips: how many are scored; fewer are bounded.
        frames: length of each.
    """
    config, source = program.config, unseen(program.config)
    scores = tracked(program, source, clips=clips, frames=frames).scores
    bound = bound_of(
        program,
        source,
        estimator="iwae",
        particles=BOUND_PARTICLES,
        clips=min(clips, BOUND_CLIPS),
        frames=frames,
    )
    return Result(
        config.train.estimator,
        config.train.particles,
        program.kind_of_latents(config),
        config.train.seed,
        outcome.step,
        outcome.skipped,
        outcome.minutes,
        {rule: each.to_dict() for rule, each in scores.items()},
        bound,
    )


def means(results: Sequence[Result]) -> dict[str, dict[str, float | None]]:
    """Figures by estimator, mean over seeds; none where a seed has none."""
    by_name: dict[str, list[dict[str, float | None]]] = {}
    for result in results:
        by_name.setdefault(result.estimator, []).append(result.figures)
    return {
        name: {key: _mean([each[key] for each in figures]) for key in figures[0]}
        for name, figures in by_name.items()
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def to_document(
    plans: Mapping[str, Plan],
    results: Sequence[Result],
    *,
    device: torch.device,
    clips: int,
    frames: int,
) -> dict[str, Any]:
    """Everything, fit for JSON."""
    return finite(
        {
            "environment": surroundings(device),
            "question": {
                "clips": clips,
                "frames": frames,
                "data_seed": TEST_SEED,
                "seeds": sorted({result.seed for result in results}),
            },
            "plans": {name: plan.to_dict() for name, plan in plans.items()},
            "results": [asdict(result) | {"figures": result.figures} for result in results],
            "means": means(results),
        }
    )
