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
    refuse_given,
    use_threads,
)
from scalor_ppl.cli.progress import shown_training
from scalor_ppl.cli.systems import reproduce_table
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import owned_folder

# Of `studies.tables`, which is not imported for a help text.
LEDGER = "ledger.jsonl"


def reproduce(
    row: Annotated[
        str | None,
        typer.Argument(
            help="Experiment, or table of systems; none lists them.", show_default=False
        ),
    ] = None,
    seeds: Seeds = "0",
    data_dir: DataFolder = None,
    out: Annotated[Path, typer.Option(help="Folder for runs.")] = Path("runs/reproduce"),
    results: Annotated[
        Path | None,
        typer.Option(
            help="Ledger to add a line to, .jsonl.", show_default="results/ledger.jsonl, or ROW"
        ),
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Train nothing: make the tables of RESULTS.md anew.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option(help="Copy weights and configuration here.", metavar="FOLDER")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.001, help="table-2: of training, for each cell: 10.")
    ] = None,
    sets: Annotated[
        str | None,
        typer.Option(help="table-2: sets, separated by commas; all.", metavar="NAMES"),
    ] = None,
    systems: Annotated[
        str | None,
        typer.Option(help="table-2: systems, separated by commas; all.", metavar="NAMES"),
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            help="table-2: a trained run in place of a training, as scalor=pretrained:{set}, or "
            "scalor/dsprites-ld=runs/ld; may be repeated.",
            metavar="SYSTEM[/SET]=RUN",
        ),
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="table-2: recording of the natural scene.")
    ] = None,
    clips: Annotated[
        int | None, typer.Option(min=1, help="table-2: clips reconstructed: 100.")
    ] = None,
    bound_clips: Annotated[
        int | None, typer.Option(min=1, help="table-2: clips bounded: 20.")
    ] = None,
    particles: Annotated[
        int | None, typer.Option(min=1, help="table-2: draws for each clip's bound: 100.")
    ] = None,
    device: Device = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Train an experiment of the package, score it on fresh clips, add a line to the ledger.

    A run that was interrupted goes on; one that is finished is scored again. table-2 is the paper's
    comparison of systems: each is trained for the same time on each set, and bounded.
    """
    from scalor_ppl.environment import commit
    from scalor_ppl.inference.pictures import write_tracked
    from scalor_ppl.studies.curves import recorder
    from scalor_ppl.studies.experiment import CURVE_SEED, experiment_names, read_experiment
    from scalor_ppl.studies.ledger import append_entry, check_ledger, scored_entry
    from scalor_ppl.studies.reproduction import SCORES, check_same, score_trial, verdict
    from scalor_ppl.studies.systems.table import read_table, table_names
    from scalor_ppl.studies.tables import write_tables
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.origin import read_parts
    from scalor_ppl.training.runs import CONFIG, check_export, export_run, load_run
    from scalor_ppl.training.sources import open_data, with_seed

    console = Console()
    of_tables = {
        "--minutes": minutes,
        "--sets": sets,
        "--systems": systems,
        "--run": runs,
        "--video": video,
        "--clips": clips,
        "--bound-clips": bound_clips,
        "--particles": particles,
    }
    if row in table_names():
        refuse_given({"--table": table or None, "--export": export}, f"does not go with {row}")
        use_threads(threads)
        reproduce_table(
            read_table(row),
            out / row,
            results or Path("results", f"{row}.jsonl"),
            sets=sets,
            systems=systems,
            seeds=parse_seeds(seeds),
            minutes=minutes or 10.0,
            runs=runs or (),
            video=video,
            folder=data_dir,
            amounts=(clips or 100, bound_clips or 20, particles or 100),
            device=device,
        )
        return
    refuse_given(of_tables, f"is for tables of systems: {', '.join(table_names())}")
    results = results or Path("results", LEDGER)
    if table:
        if row is not None:
            raise UserError("--table trains nothing: leave out the experiment")
        for page in write_tables(results.parent):
            console.print(str(page), **PLAIN)
        return
    if row is None:
        titles = {name: read_experiment(name).title for name in experiment_names()}
        titles |= {name: read_table(name).title for name in table_names()}
        for name in sorted(titles):
            console.print(f"{name:<28}{titles[name]}", highlight=False, soft_wrap=True)
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
