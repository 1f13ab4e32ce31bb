"""What it means to reproduce an experiment: the same settings, fresh clips, a verdict."""

from pathlib import Path
from typing import Any

from scalor_ppl.config.schema import Config
from scalor_ppl.errors import UserError
from scalor_ppl.inference.scoring import score
from scalor_ppl.programs import Program
from scalor_ppl.studies.experiment import TEST_SEED, Experiment, Trial
from scalor_ppl.studies.ledger import Entry
from scalor_ppl.training.runs import run_config
from scalor_ppl.training.sources import anchored, chosen, fitted, open_data

SCORES = "scores.json"


def score_trial(program: Program, trial: Trial) -> Any:
    """Scores on a trial's clips, which are never those of the training or of ``evaluate``."""
    settings = chosen(program.config.data, trial.data, seed=TEST_SEED)
    return score(program, open_data(settings, "test"), clips=trial.clips, frames=trial.frames)


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
