"""``scalor-ppl compare``: objectives side by side, on runs or by training; or whole programs."""

from pathlib import Path
from typing import Annotated

import typer

from scalor_ppl.cli.compare_programs import compare_programs
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
    programs: Annotated[
        bool,
        typer.Option("--programs", help="Compare the runs' programs, of any kind, as a whole."),
    ] = False,
    realism: Annotated[
        int | None,
        typer.Option(min=8, help="--programs: sample so many videos too, and try to tell them."),
    ] = None,
    observe: Annotated[
        int | None,
        typer.Option(help="--programs: frames seen before the rest is imagined: half."),
    ] = None,
    estimators: Annotated[
        str | None,
        typer.Option(help="Separated by commas: elbo,iwae,vimco; with --train also scalor."),
    ] = None,
    particles: Annotated[
        str | None,
        typer.Option(
            help="Separated by commas: 1,5,25; one number with --train: 5, with --programs: 100."
        ),
    ] = None,
    clips: Annotated[
        int | None,
        typer.Option(min=1, help="Held-out clips: 10; with --train or --programs 100."),
    ] = None,
    bound_clips: Annotated[
        int | None, typer.Option(min=1, help="--programs: clips that are bounded: 20.")
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
        Path | None, typer.Option(help="Folder: runs/compare, -train or -programs.")
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Compare objectives on trained runs: bounds, noise of gradients, time.

    With --train: train with each objective from the same start, for the same time, and compare
    what they reach (--config, --set, --minutes, --seeds). With --programs: runs of different
    programs on the same clips: bound, squared error, time, and one clip as each sees it.
    """
    from scalor_ppl.programs.configuration import resolve
    from scalor_ppl.studies.comparison_rows import ComparisonQuestion
    from scalor_ppl.studies.systems.judge import JudgingQuestion
    from scalor_ppl.studies.training_comparison import entrant

    use_threads(threads)
    mine = {"--data": data, "--gradients": gradients, "--batch": batch, "--seed": seed}
    theirs = {"--config": config, "--set": settings, "--minutes": minutes, "--seeds": seeds}
    whole = {"--realism": realism, "--observe": observe, "--bound-clips": bound_clips}
    if programs:
        of_objectives = {"--estimators": estimators, "--gradients": gradients, "--batch": batch}
        others = {"--train": train or None} | theirs | of_objectives
        refuse_given(others, "does not go with --programs")
        if not runs:
            raise UserError("--programs compares trained runs: give their folders")
        compare_programs(
            runs,
            JudgingQuestion(
                clips or 100, bound_clips or 20, one_number(particles or "100"), frames, seed or 0
            ),
            data,
            data_dir,
            out or Path("runs/compare-programs"),
            realism=realism,
            observe=frames // 2 if observe is None else observe,
            device=device,
        )
        return
    refuse_given(whole, "needs --programs")
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


def one_number(text: str) -> int:
    """The number of particles where there is to be one."""
    numbers = parse_particles(text)
    if len(numbers) > 1:
        raise UserError(f"--particles {text}: with --programs give one number")
    return numbers[0]
