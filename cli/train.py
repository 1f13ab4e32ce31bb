"""``scalor-ppl train``."""

import shlex
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalor_ppl.cli.notes import hide_notes
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
from scalor_ppl.cli.progress import say, show_last_phase, show_part_training, shown_training
from scalor_ppl.errors import UserError

if TYPE_CHECKING:
    from scalor_ppl.config.schema import Config


class Only(StrEnum):
    """Parts of a program that can be trained alone."""

    PRIORS = "priors"
    DECODER = "decoder"
    BACKGROUND = "background"
    GUIDE = "guide"


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
    only: Annotated[
        Only | None,
        typer.Option(
            help="Train a part of --from alone: its priors, so that videos are sampled well, its "
            "decoder, so that they are sharp, its background, so that it is exact, or its guide, "
            "so that it finds what the program samples; see train.priors, train.decoder, "
            "train.background, train.guide.",
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
    """Train a program on a video or a registered set of clips.

    A registered set's training ends with a phase for its priors, so that videos are sampled well;
    tracking stays as it is. --set train.priors.steps=0 leaves it out, and so do
    fewer steps than the set's own.

    torchrun --nproc-per-node N --no-python scalor-ppl train ... lets N processes train together,
    each on its share of every batch.
    """
    use_threads(threads)
    from scalor_ppl.parallel.ranks import joined_ranks
    from scalor_ppl.training.parts import phase_of, with_phase

    if only is not None and (resume or initial is None):
        raise UserError(
            f"--only {only.value} trains that of a run: give --from RUN, and no --resume"
        )
    with joined_ranks() as ranks:
        if not ranks.first:
            hide_notes()
        with ranks.together():
            if only is not None and ranks.several:
                raise UserError(f"--only {only.value} takes one process: leave torchrun out")
            if resume:
                source = (model, guide, data, data_dir, config, initial)
                given = (*source, settings, estimator, particles, seed)
                resolved = _resumed(out, steps, given)
            else:
                own = nested(
                    data__source=data,
                    data__folder=None if data_dir is None else str(data_dir),
                    train__estimator=estimator,
                    train__particles=particles,
                    **{f"train__{f'{only.value}__' if only else ''}steps": steps},
                    train__seed=seed,
                    train__initial=initial,
                )
                resolved = _resolved(model, guide, config, settings, own)
        if only is not None:
            asked = with_phase(resolved) if only is Only.PRIORS else resolved
            show_part_training(only.value, Path(str(initial)), asked, out, device=device)
            return
        go_on = shlex.join(["scalor-ppl", "train", "--resume", "--out", str(out)])
        outcome = shown_training(resolved, out, device=device, resume=resume, ranks=ranks)
        if outcome.interrupted and ranks.first:
            say(f"stopped after step {outcome.step}; go on with: {go_on}")
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)
    if ranks.first and phase_of(resolved):
        if ranks.several:
            say(f"train its priors now: scalor-ppl train --only priors --from {out} --out ...")
        else:
            show_last_phase(out, device, go_on=go_on)


def _resumed(out: Path, steps: int | None, given: Sequence[Any]) -> "Config":
    """The configuration of a run that goes on, with another number of steps if that is given."""
    from scalor_ppl.training.parts import check_goes_on
    from scalor_ppl.training.runs import run_config

    if any(option is not None for option in given):
        raise UserError(
            "--resume goes on with the run's own configuration: give --out (and --steps) only"
        )
    config = run_config(out)
    check_goes_on(out)
    if steps is None:
        return config
    return config.model_copy(update={"train": config.train.model_copy(update={"steps": steps})})


def _resolved(
    model: str | None,
    guide: str | None,
    config: str | None,
    settings: list[str] | None,
    options: dict[str, Any],
) -> "Config":
    """The configuration of a new run."""
    from scalor_ppl.programs.configuration import preset_for, resolve
    from scalor_ppl.programs.registry import files_of
    from scalor_ppl.training.runs import CONFIG, located, run_config

    model, guide = files_of(model, guide)
    initial = options.get("train", {}).get("initial")
    if initial is not None and config is None:
        run_config(Path(initial))  # says what is wrong with it
        config = str(located(Path(initial)) / CONFIG)
    data = options.get("data", {}).get("source")
    overrides = options | {"model_file": model, "guide_file": guide}
    return resolve(config or preset_for(data, model), settings or [], overrides)
