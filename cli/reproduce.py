"""``scalor-ppl reproduce``: train a row of RESULTS.md, score it, add a line to the ledger."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scalor_ppl.cli.options import (
    PLAIN,
    DataFolder,
    Device,
    Jobs,
    Scheduler,
    Seeds,
    parse_seeds,
    refuse_given,
    use_threads,
)
from scalor_ppl.cli.reproduce_rows import reproduce_rows
from scalor_ppl.cli.systems import reproduce_table
from scalor_ppl.errors import UserError

# Of `studies.tables`, which is not imported for a help text.
LEDGER = "ledger.jsonl"


def reproduce(
    rows: Annotated[
        list[str] | None,
        typer.Argument(
            help="Experiments, or a table of systems; none lists them.", show_default=False
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
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    device: Device = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each training.")] = 1,
) -> None:
    """Train experiments of the package, score them on fresh clips, add lines to the ledger.

    A run that was interrupted goes on; one that is finished is scored again. Of several one that
    fails does not stop the others; --jobs and --scheduler train them side by side. table-2 is the
    paper's comparison of systems: each is trained for the same time on each set, and bounded.
    """
    from scalor_ppl.studies.experiment import experiment_names, read_experiment
    from scalor_ppl.studies.ledger import check_ledger
    from scalor_ppl.studies.reproduction import Reproduction
    from scalor_ppl.studies.systems.table import read_table, table_names
    from scalor_ppl.studies.tables import write_tables
    from scalor_ppl.training.runs import check_export, export_run

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
    named = rows or []
    of_systems = [name for name in named if name in table_names()]
    if of_systems:
        (row,) = _alone(of_systems[0], named)
        of_rows = {"--table": table or None, "--export": export}
        of_rows |= {"--jobs": jobs, "--scheduler": scheduler}
        refuse_given(of_rows, f"does not go with {row}")
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
        if named:
            raise UserError("--table trains nothing: leave out the experiment")
        for page in write_tables(results.parent):
            console.print(str(page), **PLAIN)
        return
    if not named:
        titles = {name: read_experiment(name).title for name in experiment_names()}
        titles |= {name: read_table(name).title for name in table_names()}
        for name in sorted(titles):
            console.print(f"{name:<28}{titles[name]}", highlight=False, soft_wrap=True)
        return
    numbers = parse_seeds(seeds)
    if len(set(named)) < len(named):
        raise UserError(f"{max(named, key=named.count)} is given twice: leave one out")
    asked = [
        Reproduction(
            read_experiment(name),
            seed,
            out / name / f"seed_{seed}",
            results,
            None if data_dir is None else str(data_dir),
            device,
            threads,
        )
        for name in named
        for seed in numbers
    ]
    if export is not None and len(asked) > 1:
        raise UserError("--export copies one run: give one experiment and one seed")
    check_ledger(results)
    if export is not None:
        check_export(export)
    reproduce_rows(asked, jobs=jobs or 1, scheduler=scheduler)
    if export is not None:
        export_run(asked[0].run, export)


def _alone(row: str, named: list[str]) -> list[str]:
    """A table of systems, which is made alone.

    Raises:
        UserError: other rows are given beside it.
    """
    if len(named) > 1:
        raise UserError(f"{row} is a table of systems: reproduce it alone")
    return named
