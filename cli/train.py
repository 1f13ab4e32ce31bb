"""``scalor-ppl train``."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scalor_ppl.cli.options import (
    INTERRUPTED,
    PLAIN,
    ConfigName,
    DataFolder,
    Device,
    Settings,
    Threads,
    nested,
    use_threads,
)
from scalor_ppl.cli.progress import Reporter
from scalor_ppl.config.schema import Config
from scalor_ppl.config.settings import preset_for, resolve
from scalor_ppl.errors import UserError
from scalor_ppl.objectives.estimators import make_estimator
from scalor_ppl.training.loop import Outcome, check_length, pick_device
from scalor_ppl.training.loop import train as train_program
from scalor_ppl.training.runs import Program, build_program, create_run, run_config
from scalor_ppl.training.sources import anchored, fitted, open_data


def train(
    model: Annotated[str | None, typer.Option(help="Model file, or module.")] = None,
    guide: Annotated[str | None, typer.Option(help="Guide file, or module.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Registered set, or path of a video.", metavar="NAME|PATH")
    ] = None,
    data_dir: DataFolder = None,
    config: ConfigName = None,
    settings: Settings = None,
    estimator: Annotated[str | None, typer.Option(help="Objective: elbo, iwae, vimco, ...")] = None,
    particles: Annotated[
        int | None, typer.Option(min=1, help="Draws of the latents per clip.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of parameters, noise, data.")] = None,
    device: Device = "auto",
    threads: Threads = None,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/latest"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Train SCALOR on a video or a registered set of clips."""
    use_threads(threads)
    if resume:
        given = (model, guide, data, data_dir, config, settings, estimator, particles, seed)
        if any(option is not None for option in given):
            raise UserError(
                "--resume goes on with the run's own configuration: give --out (and --steps) only"
            )
        resolved = run_config(out)
        if steps is not None:
            resolved = resolve_steps(resolved, steps)
    else:
        overrides = nested(
            model_file=model,
            guide_file=guide,
            data__source=data,
            data__folder=None if data_dir is None else str(data_dir),
            train__estimator=estimator,
            train__particles=particles,
            train__steps=steps,
            train__seed=seed,
        )
        resolved = resolve(config or preset_for(data), settings or [], overrides)
    outcome = start_training(resolved, out, device=device, resume=resume)
    if outcome.interrupted:
        Console(stderr=True).print(
            f"stopped after step {outcome.step}; "
            f"go on with: scalor-ppl train --resume --out {shlex.quote(str(out))}",
            **PLAIN,
        )
        raise typer.Exit(INTERRUPTED)


def resolve_steps(config: Config, steps: int) -> Config:
    """The configuration with another number of steps."""
    return config.model_copy(update={"train": config.train.model_copy(update={"steps": steps})})


def start_training(
    config: Config,
    out: Path,
    *,
    device: str,
    resume: bool = False,
    also: Callable[[int, Program], None] | None = None,
) -> Outcome:
    """Check everything that can be wrong, then make the run's folder, then train.

    Args:
        config: of the run.
        out: its folder.
        device: as ``pick_device`` takes it.
        resume: go on with the run that is there.
        also: called wherever pictures are written, with the step and the program.
    """
    where = pick_device(device)
    make_estimator(config.train.estimator, config.train.particles, config.model.presence)
    source = open_data(config.data, "train")
    check_length(source, config.train)
    config = fitted(anchored(config), source)
    program = build_program(config, where)
    if not resume:
        create_run(out, config)
    console = Console(stderr=True)
    with Reporter(console, config, out, source, also) as reporter:
        outcome = train_program(program, source, out, resume=resume, watcher=reporter)
    console.print(f"{outcome.step} steps, {out}", **PLAIN)
    if outcome.skipped:
        console.print(
            f"{outcome.skipped} steps were skipped: loss or gradient was not finite", **PLAIN
        )
    return outcome
