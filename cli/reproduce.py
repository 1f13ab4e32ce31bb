"""``scalor-ppl reproduce``: train a row of RESULTS.md, score it, add a line to the ledger."""

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
from scalor_ppl.studies.ledger import Entry, append_entry, read_entries, scored_entry
from scalor_ppl.studies.tables import LEDGER, render_results
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
    results: Annotated[Path, typer.Option(help="Ledger to add a line to, .jsonl.")] = Path(
        "results", LEDGER
    ),
    table: Annotated[
        bool, typer.Option("--table", help="Train nothing: make RESULTS.md of the ledger's folder.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option(help="Copy weights and configuration here.", metavar="FOLDER")
    ] = None,
    device: Device = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Train an experiment of the package, score it on fresh clips, add a line to the ledger.

    A run that was interrupted goes on; one that is finished is scored again.
    """
    console = Console()
    if table:
        if row is not None:
            raise UserError("--table trains nothing: leave out the experiment")
        written = write_results(results.parent)
        console.print(f"{written}", **PLAIN)
        return
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
    check_ledger(results)
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
            scores = score_trial(program, trial)
            entry = scored_entry(
                scores,
                read_parts(run),
                experiment=experiment.name,
                trial=trial.title,
                seed=seed,
                steps=outcome.step,
                minutes=round(outcome.minutes, 1),
                scored_by=commit(),
            )
            append_entry(results, entry)
            console.print(score_table(scores, f"{experiment.title}, {trial.title}"))
            console.print(verdict(experiment, trial, entry), **PLAIN)
            figures["trials"][trial.title] = {k: v.to_dict() for k, v in scores.items()}
        with written_whole(run / SCORES) as path:
            path.write_text(json.dumps(figures, indent=2))
        write_tracked(program, open_data(program.config.data, "test"), 10, run / "tracked")
    if export is not None:
        export_run(run, export)


def check_ledger(path: Path) -> None:
    """Complain now about a ledger that a line could not be added to when the work is done."""
    if path.suffix != ".jsonl":
        raise UserError(f"--results {path}: a ledger has JSON lines, end its name in .jsonl")
    check_writable(path)
    if path.is_file():
        read_entries(path)


def write_results(folder: Path) -> Path:
    """Make RESULTS.md, beside the folder, of its lines, tables and words."""
    page = folder.absolute().parent / "RESULTS.md"
    text = render_results(folder)
    with written_whole(page) as path:
        path.write_text(text, encoding="utf-8")
    return page


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
