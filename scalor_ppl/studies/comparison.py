"""Objectives compared on trained programs: bounds, weights, noise of gradients, time.

Everything is measured for one kind of presence at a time. The relaxed and the hard program are two
models: their bounds are bounds on different numbers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scalor_ppl.data import ClipSource
from scalor_ppl.environment import commit, environment
from scalor_ppl.inference.bounds import effective_size, log_weights, standard_error
from scalor_ppl.inference.gradients import measure_gradient
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.objectives.estimators import ESTIMATORS
from scalor_ppl.objectives.particles import ParticleEstimator
from scalor_ppl.programs import Program
from scalor_ppl.studies.comparison_rows import PRESENCES, ComparisonQuestion, ComparisonRow, Tail
from scalor_ppl.studies.pareto import pareto_k


def compare_programs(
    programs: Mapping[str, Program],
    source: ClipSource,
    question: ComparisonQuestion,
    say: Callable[[str], None] = lambda message: None,
) -> tuple[list[ComparisonRow], list[Tail]]:
    """All rows and tails of several runs, on the same clips.

    Args:
        programs: by the run's name.
        source: of clips that none was trained on.
        question: what is asked.
        say: told what is being measured.

    Raises:
        UserError: the clips are of another size than a program's; nothing is measured then.
    """
    for program in programs.values():
        program.check_fits(source.name, source.height, source.width, source.channels)
    rows: list[ComparisonRow] = []
    tails: list[Tail] = []
    for name, program in programs.items():
        of_run = compare_run(name, program, source, question, say)
        rows += of_run[0]
        tails += of_run[1]
    return rows, tails


def compare_run(
    run: str,
    program: Program,
    source: ClipSource,
    question: ComparisonQuestion,
    say: Callable[[str], None] = lambda message: None,
) -> tuple[list[ComparisonRow], list[Tail]]:
    """All rows of one run, and its tails by presence.

    Bounds of one presence are of the same draws, whatever the estimator: K at a time, and the mean
    of that over all draws.

    Args:
        run: its name.
        program: the run's.
        source: of clips that it was not trained on; clips 0, 1, ... are taken.
        question: what is asked.
        say: told what is being measured.

    Raises:
        UserError: the clips are of another size.
    """
    program.check_fits(source.name, source.height, source.width, source.channels)
    videos = _videos(program, source, question.clips, question.frames)
    batch = torch.cat(_videos(program, source, question.batch, question.frames))
    kinds = PRESENCES if program.bounded_presence else (program.latents,)
    weights: dict[tuple[str, str], np.ndarray] = {}
    rows: list[ComparisonRow] = []
    tails: list[Tail] = []
    for name, presence, particles in question.cases(kinds):
        say(f"{run}: {name}, {presence}, {particles}")
        # Weights proper, and those of the estimator where it has others in their place.
        own = "ours" if ESTIMATORS[name].log_weights is ParticleEstimator.log_weights else name
        for key, cls in (("ours", ParticleEstimator), (own, ESTIMATORS[name])):
            if (key, presence) not in weights:
                weights[key, presence] = draw_weights(program, videos, question, presence, cls)
        if presence not in {tail.presence for tail in tails}:
            k_hat = pareto_k(weights["ours", presence])
            tails.append(Tail(run, presence, question.draws, tuple(map(float, k_hat))))
        estimator = ESTIMATORS[name](num_particles=particles)
        gradient = measure_gradient(
            program,
            batch,
            estimator,
            presence=presence,
            repeats=question.gradients,
            seed=question.seed,
        )
        by_clip: tuple[float, ...] = ()
        if is_bound(name):
            by_clip = in_groups(weights[own, presence], particles, estimator.bound)
        effective = in_groups(weights["ours", presence], particles, effective_size)
        rows.append(
            ComparisonRow(
                run,
                name,
                presence,
                particles,
                float(np.mean(by_clip)) if by_clip else None,
                standard_error(by_clip),
                by_clip,
                float(np.mean(effective)),
                gradient.noise["guide"],
                gradient.noise["model"],
                1e3 * gradient.seconds,
            )
        )
    return rows, tails


def _videos(program: Program, source: ClipSource, count: int, frames: int) -> list[Tensor]:
    """The first clips of a source, at most as many as there are, each ``[1, T, C, H, W]``."""
    count = min(count, max(1, source.starts(frames)))
    clips = (source.clip(number, frames).video[None] for number in range(count))
    return [to_video(clip, program.device) for clip in clips]


def draw_weights(
    program: Program,
    videos: Sequence[Tensor],
    question: ComparisonQuestion,
    presence: str,
    weigh: type[ParticleEstimator] = ParticleEstimator,
) -> np.ndarray:
    """Log-weights of every clip, float64 ``[clips, S]``."""
    torch.manual_seed(question.seed)
    drawn = [
        log_weights(program, video, question.draws, presence=presence, weigh=weigh)
        for video in videos
    ]
    return torch.cat(drawn, 1).T.double().cpu().numpy()


def in_groups(
    weights: np.ndarray, particles: int, reduce: Callable[[Tensor], Tensor]
) -> tuple[float, ...]:
    """Per clip, the mean over groups of K draws of what ``reduce`` makes of ``[K, groups]``.

    Args:
        weights: log-weights ``[clips, S]``, S at least K; a rest that fills no group is left out.
        particles: K.
        reduce: ``[K, B]`` to ``[B]``.
    """
    groups = weights.shape[1] // particles
    grouped = torch.from_numpy(weights[:, : groups * particles]).unflatten(1, (groups, particles))
    return tuple(reduce(clip.T).mean().item() for clip in grouped)


def is_bound(name: str) -> bool:
    """Whether an objective is a bound on log p(x); the paper's is not."""
    return ESTIMATORS[name].bound is not ParticleEstimator.bound


def surroundings(device: torch.device) -> dict[str, Any]:
    """Machine, versions and commit."""
    return environment(device) | {"arviz": version("arviz"), "commit": commit()}


def to_document(
    question: ComparisonQuestion,
    programs: Mapping[str, Program],
    source: Mapping[str, Any],
    rows: Sequence[ComparisonRow],
    tails: Sequence[Tail],
) -> dict[str, Any]:
    """Everything, fit for JSON: what is not finite becomes none.

    Args:
        question: what was asked.
        programs: by the run's name.
        source: what the clips were read by.
        rows: of all runs.
        tails: likewise.
    """
    first = next(iter(programs.values()))
    return finite(
        {
            "environment": surroundings(first.device),
            "question": asdict(question) | {"draws": question.draws, "data": source},
            "runs": {name: each.config.model_dump(mode="json") for name, each in programs.items()},
            "rows": [asdict(row) for row in rows],
            "weights": [tail.to_dict() for tail in tails],
        }
    )


def finite(value: Any) -> Any:
    """Nested values with none in the place of numbers that are not finite: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
