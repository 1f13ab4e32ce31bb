"""``scalor-ppl compare``: objectives side by side, on trained runs or by training with each."""

from pathlib import Path
from typing import Annotated

import typer

from scalor_ppl.cli.compare_runs import compare_runs
from scalor_ppl.cli.compare_trainings import compare_trainings
from scalor_ppl.cli.options import (
    ConfigName,
    DataFolder,
    Device,
    Settings,
    Threads,
    nested,
    parse_seeds,
    refuse_given,
    use_threads,
)
from scalor_ppl.errors import UserError
from scalor_ppl.results.locks import owned_folder


def compare(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Folders of trained runs.", show_default=False)
    ] = None,
    train: Annotated[bool, typer.Option("--train", help="Train with each estimator.")] = False,
    estimators: Annotated[
        str | None,
        typer.Option(help="Separated by commas: elbo,iwae,vimco; with --train also scalor."),
    ] = None,
    particles: Annotated[
        str | None, typer.Option(help="Separated by commas: 1,5,25; with --train one number: 5.")
    ] = None,
    clips: Annotated[
        int | None, typer.Option(min=1, help="Held-out clips: 10; with --train 100.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Length of each.")] = 10,
    data: Annotated[
        str | None,
        typer.Option(help="Set or path; that of the first run by default.", metavar="NAME|PATH"),
    ] = None,
    gradients: Annotated[int | None, typer.Option(min=2, help="Draws of the gradient: 20.")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Clips of the batch that it is of: 2.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the draws: 0.")] = None,
    config: ConfigName = None,
    settings: Settings = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.001, help="Of training, for each: 10.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Of the trainings: 0,1,2.")] = None,
    data_dir: DataFolder = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder: runs/compare; with --train runs/compare-train.")
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Compare objectives on trained runs: bounds, noise of gradients, time.

    With --train: train with each objective from the same start, for the same time, and compare
    what they reach (--config, --set, --minutes, --seeds).
    """
    from scalor_ppl.programs.configuration import resolve
    from scalor_ppl.studies.comparison_rows import ComparisonQuestion
    from scalor_ppl.studies.training_comparison import entrant

    use_threads(threads)
    mine = {"--data": data, "--gradients": gradients, "--batch": batch, "--seed": seed}
    theirs = {"--config": config, "--set": settings, "--minutes": minutes, "--seeds": seeds}
    refuse_given(
        mine if train else theirs, "does not go with --train" if train else "needs --train"
    )
    names = parse_names(estimators or ("elbo,scalor,iwae,vimco" if train else "elbo,iwae,vimco"))
    counts = parse_particles(particles or ("5" if train else "1,5,25"))
    if train:
        if runs:
            raise UserError(f"--train makes its own runs: leave {runs[0]} out")
        if config is None:
            raise UserError("--train needs --config: a preset's name, or a TOML file")
        if len(counts) > 1:
            raise UserError(f"--particles {particles}: with --train give one number")
        out = out or Path("runs/compare-train")
        folder = None if data_dir is None else str(data_dir)
        base = resolve(config, settings or [], nested(data__folder=folder))
        with owned_folder(out):
            compare_trainings(
                {name: entrant(base, name, counts[0]) for name in names},
                parse_seeds(seeds or "0,1,2"),
                minutes or 10.0,
                out,
                clips=clips or 100,
                frames=frames,
                device=device,
            )
        return
    if not runs:
        raise UserError("give runs to compare on, or --train with --config to train new ones")
    question = ComparisonQuestion(
        names, counts, clips or 10, frames, gradients or 20, batch or 2, 0 if seed is None else seed
    )
    out = out or Path("runs/compare")
    with owned_folder(out):
        compare_runs(runs, question, data, data_dir, out, device)


def parse_names(text: str) -> tuple[str, ...]:
    """``elbo,iwae`` as registered names, each once."""
    from scalor_ppl.studies.comparison_rows import check_estimators

    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    check_estimators(names)
    return names


def parse_particles(text: str) -> tuple[int, ...]:
    """``1,5,25`` as numbers, each once, from few to many."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UserError(f"--particles {text}: give numbers from 1 separated by commas, e.g. 1,5,25")
    return tuple(sorted({int(part) for part in parts}))
