"""``scalor-ppl reproduce``: train a row of RESULTS.md, score it, add a line."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from scalor_ppl.cli.evaluate import score_table
from scalor_ppl.cli.options import (
    INTERRUPTED,
    PLAIN,
    DataFolder,
    Device,
    Seeds,
    parse_seeds,
    use_threads,
)
from scalor_ppl.cli.train import start_training
from scalor_ppl.config.experiment import (
    CURVE_SEED,
    TEST_SEED,
    Experiment,
    Trial,
    experiment_names,
    read_experiment,
)
from scalor_ppl.config.schema import Config
from scalor_ppl.environment import commit
from scalor_ppl.errors import UserError
from scalor_ppl.inference.pictures import write_tracked
from scalor_ppl.inference.scoring import score
from scalor_ppl.results.files import check_writable, written_whole
from scalor_ppl.studies.curves import recorder
from scalor_ppl.studies.ledger import Entry, append_entry
from scalor_ppl.training.loop import pick_device
from scalor_ppl.training.origin import read_parts
from scalor_ppl.training.runs import (
    CONFIG,
    Program,
    check_export,
    export_run,
    load_run,
    run_config,
)
from scalor_ppl.training.sources import anchored, chosen, fitted, open_data, with_seed

SCORES = "scores.json"


def reproduce(
    row: Annotated[
        str | None, typer.Argument(help="Experiment; none lists them.", show_default=False)
    ] = None,
    seeds: Seeds = "0",
    data_dir: DataFolder = None,
    out: Annotated[Path, typer.Option(help="Folder for runs.")] = Path("runs/reproduce"),
    results: Annotated[Path, typer.Option(help="File to add a line to.")] = Path("RESULTS.md"),
    export: Annotated[
        Path | None, typer.Option(help="Copy weights and configuration here.", metavar="FOLDER")
    ] = None,
    device: Device = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Train an experiment of the package, score it on fresh clips, add a line to RESULTS.md.

    A run that was interrupted goes on; one that is finished is scored again.
    """
    console = Console()
    if row is None:
        for name in experiment_names():
            console.print(
                f"{name:<28}{read_experiment(name).title}", highlight=False, soft_wrap=True
            )
        return
    use_threads(threads)
    experiment, numbers = read_experiment(row), parse_seeds(seeds)
    if export is not None and len(numbers) > 1:
        raise UserError("--export copies one run: give one seed")
    check_writable(results)
    if export is not None:
        check_export(export)
    for seed in numbers:
        run = out / experiment.name / f"seed_{seed}"
        folder = None if data_dir is None else str(data_dir)
        config = experiment.config(seed=seed, folder=folder)
        resume = (run / CONFIG).is_file()
        if resume:
            check_same(config, run)
        also = None
        if experiment.curve is not None:
            unseen = open_data(with_seed(config.data, CURVE_SEED), "test")
            also = recorder(run, unseen, clips=experiment.curve.clips)
        outcome = start_training(config, run, device=device, resume=resume, also=also)
        if outcome.interrupted:
            console.print(f"stopped after step {outcome.step}; the same command goes on")
            raise typer.Exit(INTERRUPTED)
        program = load_run(run, pick_device(device))
        figures: dict[str, Any] = {"minutes": outcome.minutes, "trials": {}}
        for trial in experiment.trials:
            entry = Entry(
                experiment=experiment.name,
                trial=trial.title,
                seed=seed,
                scores=score_trial(program, trial),
                steps=outcome.step,
                minutes=outcome.minutes,
                parts=read_parts(run),
                scored=commit(),
            )
            append_entry(results, entry)
            console.print(score_table(entry.scores, f"{experiment.title}, {trial.title}"))
            console.print(verdict(experiment, trial, entry), **PLAIN)
            figures["trials"][trial.title] = {k: v.to_dict() for k, v in entry.scores.items()}
        with written_whole(run / SCORES) as path:
            path.write_text(json.dumps(figures, indent=2))
        write_tracked(program, open_data(program.config.data, "test"), 10, run / "tracked")
    if export is not None:
        export_run(run, export)


def score_trial(program: Program, trial: Trial) -> Any:
    """Scores on a trial's clips, which are never those of the training or of ``evaluate``."""
    settings = chosen(program.config.data, trial.data, seed=TEST_SEED)
    return score(program, open_data(settings, "test"), clips=trial.clips, frames=trial.frames)


def check_same(config: Config, run: Path) -> None:
    """Complain where a run was made by other settings than the experiment's."""
    trained = run_config(run)
    if fitted(anchored(config), open_data(config.data, "train")) != trained:
        raise UserError(f"{run} was trained with other settings: choose another --out")


def verdict(experiment: Experiment, trial: Trial, entry: Entry) -> str:
    """What was reached, beside what was to be reached and the paper's figure."""
    parts = []
    for name, rule in (("mota", "standard"), ("plain", "plain")):
        wanted, got = getattr(trial.target, name), entry.scores[rule].mota
        if wanted is not None:
            said = "reached" if got >= wanted else "NOT reached"
            parts.append(f"{rule} MOTA {got:.3f}, to reach {wanted:.3f}: {said}")
    if experiment.minutes is not None:
        said = "within" if entry.minutes <= experiment.minutes else "NOT within"
        parts.append(f"{entry.minutes:.1f} min of training, {said} {experiment.minutes:g}")
    if trial.paper.mota is not None:
        parts.append(f"the paper has {trial.paper.mota:.3f}")
    return "; ".join(parts)
