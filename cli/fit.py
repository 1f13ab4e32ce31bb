"""``scalor-ppl fit``: a video in, tracks and a report out."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scalor_ppl.cli.fit_seeds import fit_seeds
from scalor_ppl.cli.options import (
    INTERRUPTED,
    PLAIN,
    Device,
    Jobs,
    Scheduler,
    Settings,
    Threads,
    nested,
    parse_seeds,
    use_threads,
)
from scalor_ppl.cli.progress import TrackingBar, say, show_last_phase, shown_training
from scalor_ppl.errors import UserError
from scalor_ppl.files import check_writable
from scalor_ppl.results.locks import LOCK, owned_folder

if TYPE_CHECKING:
    import torch

    from scalor_ppl.config.schema import Config
    from scalor_ppl.data import ClipSource
    from scalor_ppl.fitting.kinds import Given
    from scalor_ppl.fitting.plan import FitPlan

PLAN = "plan.png"


def fit(
    video: Annotated[
        Path, typer.Argument(help="Video file or folder of images.", show_default=False)
    ],
    model: Annotated[
        str | None, typer.Option(help="A program's name, or its model's file or module.")
    ] = None,
    guide: Annotated[
        str | None, typer.Option(help="Guide's file or module; a named program's by default.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run.", show_default="runs/ and the video's name"),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.01, help="Of training, unless train.steps is set.")
    ] = 30.0,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Only show the settings and a picture of the objects: plan.png."
        ),
    ] = False,
    object_size: Annotated[
        str | None,
        typer.Option(
            help="Of an object in pixels of the video, where the plan is wrong.",
            metavar="WIDTHxHEIGHT",
        ),
    ] = None,
    objects: Annotated[
        int | None, typer.Option(min=1, help="In view at once, where the plan is wrong.")
    ] = None,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(min=0, help="Of parameters, noise, data.")] = 0,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Several fits, as 0,1,2, each in a folder of its own in --out.", show_default=False
        ),
    ] = None,
    overlay: Annotated[
        bool, typer.Option(help="Write the video with boxes, ids and trails, too.")
    ] = True,
    device: Device = "auto",
    threads: Threads = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted fit in --out.")
    ] = False,
) -> None:
    """Train on a video of your own and track its objects, without a label.

    Looks at the video, proposes every setting and says why and how sure it is, trains for the given
    time, tracks, and writes a report. --plan stops before the training. What it got wrong can be
    put right: --object-size 105x75, --objects 2, or any setting: --set model.capacity=60. --seeds
    fits several times, side by side with --jobs; one that fails does not stop the others.
    """
    from scalor_ppl.programs.registry import files_of
    from scalor_ppl.report.seeds import SeedFit, steps_done
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.parts import phase_left
    from scalor_ppl.training.runs import CONFIG, run_config

    use_threads(threads)
    out = out or Path("runs") / video.stem
    where = pick_device(device)
    known = _known(object_size, objects)
    check_writable(out / LOCK)
    if seeds is None and (jobs is not None or scheduler is not None):
        raise UserError("--jobs and --scheduler are for several fits: give --seeds 0,1,2")
    numbers = [seed] if seeds is None else parse_seeds(seeds)
    runs = {each: out if seeds is None else out / f"seed_{each}" for each in numbers}
    begun = [run for run in runs.values() if (run / CONFIG).is_file()]
    given = (model, guide, settings, object_size, objects, plan or None)
    if resume and (any(each is not None for each in given) or not begun):
        raise UserError(f"--resume goes on with the fit in {out}, if there is one: give --out")
    with owned_folder(out):
        source: ClipSource | None = None
        drawn: FitPlan | None = None
        if resume:
            config = run_config(begun[0])
        else:
            if not plan:
                _check_new(out)
            files = files_of(model, guide)
            chosen = nested(model_file=files[0], guide_file=files[1], train__seed=numbers[0])
            drawn = _plan(video, settings or [], chosen, known)
            if plan:
                _draw(drawn, out)
                return
            config, source = _ready(drawn, video, minutes, where, overlay=overlay)
            (out / PLAN).unlink(missing_ok=True)  # of --plan; it is drawn again
        if seeds is not None:
            if drawn is not None:
                _draw(drawn, out)
            planned = SeedFit(video, out, config, overlay, device, threads)
            fit_seeds(
                [planned.seeded(each, run) for each, run in runs.items()],
                jobs=jobs or 1,
                scheduler=scheduler,
            )
            return
        go_on = _going_on(video, out, overlay=overlay)
        if steps_done(out) < config.train.steps:
            outcome = shown_training(config, out, device=device, source=source, resume=resume)
            if outcome.interrupted:
                _stop(go_on)
        if drawn is not None:
            _draw(drawn, out)
        _track(video, out, where, overlay=overlay, go_on=go_on)
        if phase_left(out):
            show_last_phase(out, device, go_on=go_on)


def _known(size: str | None, count: int | None) -> "Given":
    """What the user says of the objects.

    Raises:
        UserError: that is no size.
    """
    from scalor_ppl.fitting.kinds import Given

    if size is None:
        return Given(None, count)
    sides = re.fullmatch(r"(\d+(?:\.\d+)?)[xX](\d+(?:\.\d+)?)", size.strip())
    if sides is None or not min(float(sides[1]), float(sides[2])) >= 1:
        raise UserError(f"--object-size {size}: give width and height in pixels, such as 105x75")
    return Given((float(sides[1]), float(sides[2])), count)


def _check_new(out: Path) -> None:
    """Complain before anything is computed.

    Raises:
        UserError: something is there already; but for the picture of a plan.
    """
    held = {path.name for path in out.iterdir()} - {PLAN, LOCK}
    if held:
        raise UserError(f"{out} is there already: go on with --resume, or choose another --out")


def _plan(
    video: Path, settings: Sequence[str], overrides: dict[str, Any], known: "Given"
) -> "FitPlan":
    """Look at the video, and show what follows."""
    from scalor_ppl.fitting.plan import plan_fit, program_to_fit

    console = Console(stderr=True)
    program_to_fit(settings, overrides)
    console.print(f"looking at {video}", **PLAIN)
    plan = plan_fit(video, settings, overrides, known)
    reasons = [(reason.name, reason.value, reason.why) for reason in plan.reasons]
    console.print(_table(("setting", "value", "because"), reasons))
    seen = [(belief.name, belief.value, belief.sure, belief.why) for belief in plan.beliefs]
    console.print()
    console.print(_table(("what", "seen", "how sure", "by what"), seen))
    if any(belief.sure == "not sure" for belief in plan.beliefs):
        console.print(
            "not sure: look at the picture of --plan, and say what is wrong there, as in "
            "--object-size 105x75 or --objects 2",
            **PLAIN,
        )
    return plan


def _draw(plan: "FitPlan", out: Path) -> None:
    """Write the picture of a plan, and say where."""
    from scalor_ppl.fitting.picture import draw_plan

    draw_plan(plan, out / PLAN)
    Console().print(str(out / PLAN), **PLAIN)


def _ready(
    plan: "FitPlan", video: Path, minutes: float, device: "torch.device", *, overlay: bool
) -> "tuple[Config, ClipSource]":
    """The configuration with its number of steps, and the clips: all tried that follows training.

    The video is decoded here once, for timing, rehearsal and training.
    """
    from scalor_ppl.report.rehearsal import rehearse
    from scalor_ppl.training.sources import open_data

    source = open_data(plan.config.data, "train")
    rehearse(plan.config, video, source, device, overlay=overlay)
    if plan.steps_given:
        return plan.config, source
    return _timed(plan.config, source, minutes, device), source


def _track(video: Path, out: Path, device: "torch.device", *, overlay: bool, go_on: str) -> None:
    """Track the video with the trained run, and write the report."""
    from scalor_ppl.report.rehearsal import (
        EVENTS,
        OVERLAY,
        POSITIONS,
        REPORT,
        TRACKS,
        report_fit,
        track_fit,
    )
    from scalor_ppl.training.runs import load_run

    tracks, looks = out / TRACKS, ""
    if not tracks.exists():
        going_on = tracks.with_name(f"{TRACKS}.resume").exists()
        with TrackingBar(Console(stderr=True)) as bar:
            outcome = track_fit(
                load_run(out, device), video, out, overlay=overlay, resume=going_on, watcher=bar
            )
        if outcome.interrupted:
            _stop(go_on)
        looks = outcome.looks
        if looks:
            Console(stderr=True).print(looks, **PLAIN)
    report_fit(out, device, looks=looks)
    console = Console()
    names = (TRACKS, POSITIONS, EVENTS, *([OVERLAY] if overlay else []), REPORT)
    for name in (name for name in names if (out / name).exists()):
        console.print(str(out / name), **PLAIN)


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """Every choice, and why; or everything seen, and how sure that is."""
    table = Table(box=None, header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    return table


def _timed(
    config: "Config", source: "ClipSource", minutes: float, device: "torch.device"
) -> "Config":
    """The configuration with as many steps as last so long."""
    from scalor_ppl.training.budget import lasting, predicted_minutes, time_steps
    from scalor_ppl.training.sources import anchored, fitted

    seconds = time_steps(fitted(anchored(config), source), source, device)
    train = lasting(config.train, minutes, seconds)
    Console(stderr=True).print(
        f"train.steps = {train.steps}: a step takes {max(seconds.values()):.2f} s, so they take "
        f"{predicted_minutes(train, seconds):.1f} minutes where nothing else runs",
        **PLAIN,
    )
    return config.model_copy(update={"train": train})


def _going_on(video: Path, out: Path, *, overlay: bool) -> str:
    """The command that goes on with an interrupted fit."""
    flags = ["--resume", "--out", str(out), *([] if overlay else ["--no-overlay"])]
    return shlex.join(["scalor-ppl", "fit", *flags, str(video)])


def _stop(go_on: str) -> NoReturn:
    """End an interrupted fit."""
    say(f"interrupted; go on with: {go_on}")
    raise typer.Exit(INTERRUPTED)
