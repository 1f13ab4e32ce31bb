"""``scalor-ppl fit``: a video in, tracks and a report out."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scalor_ppl.cli.options import (
    INTERRUPTED,
    PLAIN,
    Device,
    Settings,
    Threads,
    nested,
    use_threads,
)
from scalor_ppl.cli.progress import TrackingBar, shown_training
from scalor_ppl.errors import UserError
from scalor_ppl.files import check_writable
from scalor_ppl.results.locks import LOCK, holds_nothing, owned_folder

if TYPE_CHECKING:
    import torch

    from scalor_ppl.config.schema import Config
    from scalor_ppl.fitting.draft import Reason
    from scalor_ppl.fitting.plan import FitPlan

TRACKS, OVERLAY, REPORT = "tracks.txt", "overlay.mp4", "report.html"


def fit(
    video: Annotated[
        Path, typer.Argument(help="Video file or folder of images.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run.", show_default="runs/ and the video's name"),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.01, help="Of training, unless train.steps is set.")
    ] = 30.0,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(min=0, help="Of parameters, noise, data.")] = 0,
    overlay: Annotated[
        bool, typer.Option(help="Write the video with boxes, ids and trails, too.")
    ] = True,
    device: Device = "auto",
    threads: Threads = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted fit in --out.")
    ] = False,
) -> None:
    """Train on a video of your own and track its objects, without a label.

    Looks at the video, proposes every setting and says why, trains for the given time, tracks, and
    writes a report. Any setting can be given instead: --set model.capacity=60.
    """
    from scalor_ppl.fitting.plan import plan_fit
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import CONFIG, run_config

    use_threads(threads)
    out = out or Path("runs") / video.stem
    where = pick_device(device)
    check_writable(out / LOCK)
    if resume and (settings is not None or not (out / CONFIG).is_file()):
        raise UserError(f"--resume goes on with the fit in {out}, if there is one: give --out")
    with owned_folder(out):
        if resume:
            config = run_config(out)
        else:
            if not holds_nothing(out):
                raise UserError(
                    f"{out} is there already: go on with --resume, or choose another --out"
                )
            console = Console(stderr=True)
            console.print(f"looking at {video}", **PLAIN)
            plan = plan_fit(video, settings or [], nested(train__seed=seed))
            console.print(_table(plan.reasons))
            config = plan.config if plan.steps_given else _timed(plan, minutes, where, console)
        if _trained(out) < config.train.steps:
            begun = resume and _trained(out) > 0
            outcome = shown_training(config, out, device=device, resume=begun)
            if outcome.interrupted:
                _say_resume(video, out, overlay=overlay)
                raise typer.Exit(INTERRUPTED)
        _track(video, out, where, overlay=overlay)


def _track(video: Path, out: Path, device: "torch.device", *, overlay: bool) -> None:
    """Track the video with the trained run, and write the report."""
    from scalor_ppl.report.material import gather
    from scalor_ppl.report.write import write_report
    from scalor_ppl.tracking import track_to_files
    from scalor_ppl.training.runs import load_run

    tracks = out / TRACKS
    program = load_run(out, device)
    stop = program.config.data.stop
    if not tracks.exists():
        with TrackingBar(Console(stderr=True)) as bar:
            outcome = track_to_files(
                program,
                video,
                tracks,
                overlay=out / OVERLAY if overlay else None,
                start=program.config.data.start,
                stop=stop,
                resume=tracks.with_name(f"{TRACKS}.resume").exists(),
                watcher=bar,
            )
        if outcome.interrupted:
            _say_resume(video, out, overlay=overlay)
            raise typer.Exit(INTERRUPTED)
    write_report(gather(out, device, tracks=tracks), out / REPORT)
    console = Console()
    for name in (TRACKS, OVERLAY, REPORT) if overlay else (TRACKS, REPORT):
        console.print(str(out / name), **PLAIN)


def _trained(out: Path) -> int:
    """Steps that the run's newest checkpoint has; 0 without one."""
    from scalor_ppl.training.checkpoints import all_checkpoints, step_of

    kept = all_checkpoints(out)
    return step_of(kept[-1]) if kept else 0


def _table(reasons: "Sequence[Reason]") -> Table:
    """Every choice, and why."""
    table = Table(box=None, header_style="bold")
    for name in ("setting", "value", "because"):
        table.add_column(name, overflow="fold")
    for reason in reasons:
        table.add_row(reason.name, escape(str(reason.value)), reason.why)
    return table


def _timed(plan: "FitPlan", minutes: float, device: "torch.device", console: Console) -> "Config":
    """The configuration with as many steps as last so long."""
    from scalor_ppl.training.budget import lasting, predicted_minutes, time_steps
    from scalor_ppl.training.sources import anchored, fitted, open_data

    source = open_data(plan.config.data, "train")
    config = fitted(anchored(plan.config), source)
    seconds = time_steps(config, source, device)
    train = lasting(config.train, minutes, seconds)
    console.print(
        f"train.steps = {train.steps}: a step takes {max(seconds.values()):.2f} s, so they take "
        f"{predicted_minutes(train, seconds):.1f} minutes where nothing else runs",
        **PLAIN,
    )
    return plan.config.model_copy(update={"train": train})


def _say_resume(video: Path, out: Path, *, overlay: bool) -> None:
    flags = ["--resume", "--out", str(out), *([] if overlay else ["--no-overlay"])]
    command = shlex.join(["scalor-ppl", "fit", *flags, str(video)])
    Console(stderr=True).print(f"interrupted; go on with: {command}", **PLAIN)
