"""What it means to reproduce an experiment: the same settings, fresh clips, a verdict."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.environment import commit
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation import Scores
from scalor_ppl.files import written_whole
from scalor_ppl.inference.pictures import write_tracked
from scalor_ppl.inference.scoring import tracked
from scalor_ppl.programs import Program
from scalor_ppl.results.locks import owned_folder
from scalor_ppl.studies.curves import recorder
from scalor_ppl.studies.experiment import CURVE_SEED, TEST_SEED, Experiment, Trial
from scalor_ppl.studies.ledger import Entry, append_entry, scored_entry
from scalor_ppl.training.devices import pick_device
from scalor_ppl.training.loop import Outcome
from scalor_ppl.training.origin import read_parts
from scalor_ppl.training.runs import CONFIG, load_run, run_config
from scalor_ppl.training.sources import anchored, chosen, fitted, open_data, with_seed
from scalor_ppl.training.start import start_training

SCORES = "scores.json"


@dataclass(frozen=True)
class Reproduction:
    """An experiment with one seed, as a worker can do it.

    Attributes:
        experiment: what is trained and tried.
        seed: of the training.
        run: its folder.
        results: the ledger.
        folder: of the MNIST files, for digits.
        device: as `pick_device` takes it, on the worker.
        threads: torch's.
    """

    experiment: Experiment
    seed: int
    run: Path
    results: Path
    folder: str | None = None
    device: str = "auto"
    threads: int = 1

    @property
    def title(self) -> str:
        """Names it in messages."""
        return f"{self.experiment.name}, seed {self.seed}"

    def anywhere(self) -> "Reproduction":
        """The same from any directory."""
        folder = None if self.folder is None else str(Path(self.folder).resolve())
        return replace(self, run=self.run.resolve(), results=self.results.resolve(), folder=folder)


@dataclass(frozen=True)
class Reproduced:
    """What became of it.

    Attributes:
        outcome: of the training; where a signal ended it nothing was scored.
        trials: by title: the scores by rule, the ledger's line, and whether that is new.
    """

    outcome: Outcome
    trials: dict[str, tuple[Mapping[str, Scores], Entry, bool]]


def reproduce_run(
    asked: Reproduction, training: Callable[..., Outcome] = start_training
) -> Reproduced:
    """Train, score on fresh clips, and add to the ledger; a training that is there goes on.

    Args:
        asked: what.
        training: called like `start_training`.

    Raises:
        UserError: the run was made with other settings, or as `start_training` says.
        TrainingError: likewise.
    """
    torch.set_num_threads(asked.threads)
    experiment, run = asked.experiment, asked.run
    with owned_folder(run):
        config = experiment.config(seed=asked.seed, folder=asked.folder)
        resume = (run / CONFIG).is_file()
        if resume:
            check_same(config, run)
        also = None
        if experiment.curve is not None:
            unseen = open_data(with_seed(config.data, CURVE_SEED), "test")
            also = recorder(run, unseen, clips=experiment.curve.clips)
        outcome = training(config, run, device=asked.device, resume=resume, also=also)
        if outcome.interrupted:
            return Reproduced(outcome, {})
        program = load_run(run, pick_device(asked.device))
        trials = {}
        for trial in experiment.trials:
            scores = score_trial(program, trial)
            entry = scored_entry(
                scores,
                read_parts(run),
                experiment=experiment.name,
                trial=trial.title,
                seed=asked.seed,
                steps=outcome.step,
                minutes=round(outcome.minutes, 1),
                scored_by=commit(),
            )
            trials[trial.title] = scores, entry, append_entry(asked.results, entry)
        told = {
            title: {rule: each.to_dict() for rule, each in scores.items()}
            for title, (scores, _, _) in trials.items()
        }
        with written_whole(run / SCORES) as path:
            path.write_text(json.dumps({"minutes": outcome.minutes, "trials": told}, indent=2))
        write_tracked(program, open_data(program.config.data, "test"), 10, run / "tracked")
        return Reproduced(outcome, trials)


def score_trial(program: Program, trial: Trial) -> Any:
    """Scores on a trial's clips, which are never those of the training or of ``evaluate``."""
    settings = chosen(program.config.data, trial.data, seed=TEST_SEED)
    return tracked(
        program, open_data(settings, "test"), clips=trial.clips, frames=trial.frames
    ).scores


def check_same(config: Config, run: Path) -> None:
    """Complain where a run was made by other settings than the experiment's.

    Raises:
        UserError: it was.
    """
    trained = run_config(run)
    if fitted(anchored(config), open_data(config.data, "train")) != trained:
        raise UserError(f"{run} was trained with other settings: choose another --out")


def verdict(experiment: Experiment, trial: Trial, entry: Entry) -> str:
    """What was reached, beside what was to be reached and the paper's figure."""
    parts = []
    for name, rule in (("mota", "standard"), ("plain", "plain")):
        wanted, got = getattr(trial.target, name), getattr(entry, name)
        if wanted is not None:
            reached = got is not None and got >= wanted
            figure = "none" if got is None else f"{got:.3f}"
            said = "reached" if reached else "NOT reached"
            parts.append(f"{rule} MOTA {figure}, to reach {wanted:.3f}: {said}")
    if experiment.minutes is not None:
        said = "within" if entry.minutes <= experiment.minutes else "NOT within"
        parts.append(f"{entry.minutes:.1f} min of training, {said} {experiment.minutes:g}")
    if trial.paper.mota is not None:
        parts.append(f"the paper has {trial.paper.mota:.3f}")
    return "; ".join(parts)
