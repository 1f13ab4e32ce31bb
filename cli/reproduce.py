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
from scalor_ppl.cli.progress import shown_training
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import owned_folder

# Of `studies.tables`, which is not imported for a help text.
LEDGER = "ledger.jsonl"


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
        bool, typer.Option("--table", help="Train nothing: make the tables of RESULTS.md anew.")
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
    from scalor_ppl.environment import commit
    from scalor_ppl.inference.pictures import write_tracked
    from scalor_ppl.studies.curves import recorder
    from scalor_ppl.studies.experiment import CURVE_SEED, experiment_names, read_experiment
    from scalor_ppl.studies.ledger import append_entry, check_ledger, scored_entry
    from scalor_ppl.studies.reproduction import SCORES, check_same, score_trial, verdict
    from scalor_ppl.studies.tables import write_tables
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.origin import read_parts
    from scalor_ppl.training.runs import CONFIG, check_export, export_run, load_run
    from scalor_ppl.training.sources import open_data, with_seed

    console = Console()
    if table:
        if row is not None:
            raise UserError("--table trains nothing: leave out the experiment")
        for page in write_tables(results.parent):
            console.print(str(page), **PLAIN)
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
        with owned_folder(run):
            folder = None if data_dir is None else str(data_dir)
            config = experiment.config(seed=seed, folder=folder)
            resume = (run / CONFIG).is_file()
            if resume:
                check_same(config, run)
            also = None
            if experiment.curve is not None:
                unseen = open_data(with_seed(config.data, CURVE_SEED), "test")
                also = recorder(run, unseen, clips=experiment.curve.clips)
            outcome = shown_training(config, run, device=device, resume=resume, also=also)
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
                if not append_entry(results, entry):
                    console.print(f"{results} has this line already", **PLAIN)
                console.print(score_table(scores, f"{experiment.title}, {trial.title}"))
                console.print(verdict(experiment, trial, entry), **PLAIN)
                figures["trials"][trial.title] = {k: v.to_dict() for k, v in scores.items()}
            with written_whole(run / SCORES) as path:
                path.write_text(json.dumps(figures, indent=2))
            write_tracked(program, open_data(program.config.data, "test"), 10, run / "tracked")
    if export is not None:
        export_run(run, export)
