"""``scalor-ppl train``."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from scalor_ppl.cli.options import (
    INTERRUPTED,
    ConfigName,
    DataFolder,
    Device,
    Settings,
    Threads,
    nested,
    use_threads,
)
from scalor_ppl.cli.progress import say, shown_training
from scalor_ppl.errors import UserError


def train(
    model: Annotated[
        str | None, typer.Option(help="A program's name, or its model's file or module.")
    ] = None,
    guide: Annotated[
        str | None, typer.Option(help="Guide's file or module; a named program's by default.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Registered set, or path of a video.", metavar="NAME|PATH")
    ] = None,
    data_dir: DataFolder = None,
    config: ConfigName = None,
    initial: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Run, or pretrained:NAME, whose weights the training starts from, and whose "
            "configuration holds where no --config is given.",
            metavar="RUN",
        ),
    ] = None,
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
    """Train a program on a video or a registered set of clips."""
    use_threads(threads)
    if resume:
        from scalor_ppl.training.runs import run_config

        source = (model, guide, data, data_dir, config, initial)
        given = (*source, settings, estimator, particles, seed)
        if any(option is not None for option in given):
            raise UserError(
                "--resume goes on with the run's own configuration: give --out (and --steps) only"
            )
        resolved = run_config(out)
        if steps is not None:
            train_config = resolved.train.model_copy(update={"steps": steps})
            resolved = resolved.model_copy(update={"train": train_config})
    else:
        from scalor_ppl.programs.configuration import preset_for, resolve
        from scalor_ppl.programs.registry import files_of
        from scalor_ppl.training.runs import CONFIG, located, run_config

        model, guide = files_of(model, guide)
        if initial is not None and config is None:
            run_config(Path(initial))  # says what is wrong with it
            config = str(located(Path(initial)) / CONFIG)
        overrides = nested(
            model_file=model,
            guide_file=guide,
            data__source=data,
            data__folder=None if data_dir is None else str(data_dir),
            train__estimator=estimator,
            train__particles=particles,
            train__steps=steps,
            train__seed=seed,
            train__initial=initial,
        )
        resolved = resolve(config or preset_for(data, model), settings or [], overrides)
    outcome = shown_training(resolved, out, device=device, resume=resume)
    if outcome.interrupted:
        say(
            f"stopped after step {outcome.step}; "
            f"go on with: scalor-ppl train --resume --out {shlex.quote(str(out))}"
        )
        raise typer.Exit(INTERRUPTED)
