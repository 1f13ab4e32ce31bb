"""Trained programs of any kind side by side, on the same clips: bound, error, realism and time."""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scalor_ppl.data import ClipSource
from scalor_ppl.inference.posterior import infer
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import FindsObjects, Program
from scalor_ppl.realism.measure import WINDOW, measure_realism
from scalor_ppl.realism.sides import RealismQuestion
from scalor_ppl.studies.comparison import finite, surroundings
from scalor_ppl.studies.systems.judge import Judgement, JudgingQuestion, judge
from scalor_ppl.training.checkpoints import last_checkpoint, step_of
from scalor_ppl.training.runs import METRICS, located
from scalor_ppl.training.step import TrainingStep

ROUNDS = 5  # of timing, after one of warm-up


@dataclass(frozen=True)
class ComparedProgram:
    """One run among others.

    Attributes:
        run: its name.
        judgement: bound and error on the clips that all were given.
        finds: whether it finds objects.
        steps: of its training.
        minutes: of its training; none where the run does not say.
        forward: seconds of inference and reconstruction of a clip, median.
        step: seconds of a training step by its own objective, for each clip of the batch, median.
        auc: of a network that tells sampled clips from real ones, on clips held out, 0..1; .5 is
            chance; of frames where clips are shorter than 10. None where it was not asked for.
        auc_floor: the same of other real clips.
    """

    run: str
    judgement: Judgement
    finds: bool
    steps: int
    minutes: float | None
    forward: float
    step: float
    auc: float | None = None
    auc_floor: float | None = None


def compare_side_by_side(
    programs: Mapping[str, Program],
    runs: Mapping[str, Path],
    source: ClipSource,
    question: JudgingQuestion,
    *,
    realism: RealismQuestion | None = None,
    batch: int = 4,
    say: Callable[[str], None] = lambda message: None,
) -> list[ComparedProgram]:
    """Judge several programs on the same clips, and time them in turns.

    Args:
        programs: trained, by name.
        runs: their folders, by the same names.
        source: of clips that none was trained on.
        question: on how much they are judged.
        realism: how samples are judged; none does not sample.
        batch: clips side by side while time is taken.
        say: told what is being measured.

    Raises:
        UserError: the clips are of another size than a program's (before anything is measured), or
            too few.
    """
    for program in programs.values():
        program.check_fits(source.name, source.height, source.width, source.channels)
    say("time")
    forward, step = time_in_turns(programs, _batch(source, batch, question.frames))
    rows = []
    for name, program in programs.items():
        found = judge(program, source, question, _under(name, say))
        rows.append(
            ComparedProgram(
                name,
                found,
                isinstance(program, FindsObjects),
                step_of(last_checkpoint(located(runs[name]))),
                minutes_of(located(runs[name])),
                forward[name] / batch,
                step[name] / batch,
            )
        )
    if realism is None:
        return rows
    return [_with_realism(row, programs[row.run], source, realism, say) for row in rows]


def _under(name: str, say: Callable[[str], None]) -> Callable[[str], None]:
    """Says what is being measured, and of which run."""
    return lambda text: say(f"{name}: {text}")


def _with_realism(
    row: ComparedProgram,
    program: Program,
    source: ClipSource,
    question: RealismQuestion,
    say: Callable[[str], None],
) -> ComparedProgram:
    found = measure_realism(program, source, question, tell=_under(row.run, say))
    auc = found.figures["clip_auc" if question.frames >= WINDOW else "frame_auc"]
    return replace(row, auc=auc["sampled"], auc_floor=auc["real"])


def _batch(source: ClipSource, clips: int, frames: int) -> np.ndarray:
    """Clips ``[B, T, H, W, C]``; the first again where there are fewer."""
    count = max(1, source.starts(frames))
    return np.stack([source.clip(n % count, frames).video for n in range(clips)])


def time_in_turns(
    programs: Mapping[str, Program], clips: np.ndarray
) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of a forward pass, and of a training step, by program.

    A round measures all of them, so that a busy minute of the machine is not one program's alone.
    Weights stay as they are: the learning rate is zero.

    Args:
        programs: trained.
        clips: ``[B, T, H, W, C]`` uint8.
    """
    forward: dict[str, list[float]] = {name: [] for name in programs}
    step: dict[str, list[float]] = {name: [] for name in programs}
    trainings = {name: TrainingStep(program) for name, program in programs.items()}
    with fast_pyro():
        for number in range(ROUNDS + 1):
            for name, program in programs.items():
                video = to_video(clips, program.device)
                seen = _seconds(program.device, _seen, program, video)
                took = _seconds(program.device, _stepped, trainings[name], video)
                if number:  # the first round is warm-up
                    forward[name].append(seen)
                    step[name].append(took)
    for training in trainings.values():
        training.optimizer.zero_grad(set_to_none=True)
    return _medians(forward), _medians(step)


def _medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: statistics.median(each) for name, each in seconds.items()}


def _seen(program: Program, video: Tensor) -> None:
    infer(program.model, program.guide, video)


def _stepped(training: TrainingStep, video: Tensor) -> None:
    estimate = training.estimate(*training.program.inputs(video, None))
    loss = training.per_frame(estimate.loss, video)
    training.backward(loss)
    training.update(loss)


def _seconds(device: torch.device, work: Callable[..., None], *arguments: Any) -> float:
    """Of some work, when the device has done all of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begin = time.perf_counter()
    work(*arguments)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def minutes_of(run: Path, clock: str = "seconds") -> float | None:
    """Minutes of a run's training, as it logged them; none where it has no log.

    Args:
        run: its folder.
        clock: ``seconds`` by the clock, ``processor_seconds`` those that processors worked for it.
    """
    path = run / METRICS
    if not path.is_file():
        return None
    last = None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            last = float(json.loads(line)[clock]) / 60
        except (ValueError, KeyError, TypeError):
            continue  # cut short in the middle of a line
    return last


def same_sigma(rows: Sequence[ComparedProgram]) -> bool:
    """Whether the bounds of all rows compare."""
    return len({row.judgement.sigma for row in rows}) == 1


def to_programs_document(
    rows: Sequence[ComparedProgram],
    programs: Mapping[str, Program],
    question: JudgingQuestion,
    realism: RealismQuestion | None,
    source: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything, fit for JSON.

    Args:
        rows: of all runs.
        programs: by the run's name.
        question: on how much they were judged.
        realism: how samples were judged; none did not.
        source: what the clips were read by.
    """
    first = next(iter(programs.values()))
    return finite(
        {
            "environment": surroundings(first.device),
            "question": asdict(question) | {"data": source},
            "realism": None if realism is None else asdict(realism),
            "runs": {name: each.config.model_dump(mode="json") for name, each in programs.items()},
            "rows": [_row(row) for row in rows],
        }
    )


def _row(row: ComparedProgram) -> dict[str, Any]:
    found = row.judgement
    shown = {"nll_bound": found.nll_bound, "nll_error": found.nll_error}
    return asdict(row) | shown | {"mse": found.mse, "mse_error": found.mse_error}
