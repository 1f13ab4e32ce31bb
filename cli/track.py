"""``scalor-ppl track``."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from scalor_ppl.cli.names import told_apart
from scalor_ppl.cli.options import (
    INTERRUPTED,
    PLAIN,
    Compile,
    Device,
    Refine,
    Run,
    Threads,
    use_threads,
)
from scalor_ppl.cli.progress import TrackingBar, say
from scalor_ppl.cli.track_many import track_side_by_side


def track(
    run: Run,
    videos: Annotated[
        list[Path],
        typer.Argument(help="Video files or folders of images.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Tracks to write: NAME.txt (MOTChallenge), .csv, .parquet, .nc, .geff, .xml "
            "(TrackMate), or a folder NAME_RES or NAME_GT (Cell Tracking Challenge). Of several "
            "videos a folder, as every other output: a file for each, named like the video."
        ),
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="mot, csv, parquet, nc, geff, trackmate, ctc, ctc-gt; by default what the name "
            "ends in, and mot for several videos.",
            metavar="NAME",
        ),
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(help="Write the video with boxes, ids, trails and masks, NAME.mp4."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Write which object is seen at each pixel, NAME.nc."),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(help="Write who met whom, and which gaps were joined, NAME.csv."),
    ] = None,
    chunk: Annotated[int, typer.Option(min=1, help="Frames that are worked on at a time.")] = 16,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Least presence of an object to be written.")
    ] = 0.5,
    recognise: Annotated[
        bool,
        typer.Option(help="Keep identities by looks where objects covered each other."),
    ] = True,
    join: Annotated[
        bool,
        typer.Option(help="Join tracks that break where an object is hidden, by motion and looks."),
    ] = True,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Measure centres in the frames, by laying what was painted upon them, and their "
            "deviations: x, y, x_std, y_std of a table. For small objects, brighter or darker than "
            "what is around them.",
        ),
    ] = False,
    separation: Annotated[
        float,
        typer.Option(
            min=0,
            help="Of two objects that are closer, in pixels of the video, the surer is written.",
        ),
    ] = 0.0,
    start: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="First frame, from 0.",
            show_default="all of the video; of the run's own, what it was trained on",
        ),
    ] = None,
    stop: Annotated[int | None, typer.Option(min=1, help="The frame after the last one.")] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Videos of one size that a device tracks at a time, in one batch.",
            show_default="1",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes, each with videos of its own: --batch of them at a time (needs Dask).",
            show_default="1",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Track on the workers of this Dask scheduler, each with videos of its own.",
            metavar="ADDRESS",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted tracking into --out.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there.")
    ] = False,
    refine: Refine = None,
    compiled: Compile = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Track the objects of videos of any length.

    A video that the run was trained on is tracked over the run's own range of frames. Of several
    videos one that fails does not stop the others; --batch tracks them in one batch of a device,
    --jobs and --scheduler on several processes.
    """
    options: dict[str, Any] = {
        "chunk": chunk,
        "threshold": threshold,
        "recognise": recognise,
        "join": join,
        "measure": measure,
        "separation": separation,
        "start": start,
        "stop": stop,
    }
    if len(videos) > 1 or any(each is not None for each in (batch, jobs, scheduler)):
        from scalor_ppl.programs.trust import trusts_everything
        from scalor_ppl.tracking.many import ManyVideos
        from scalor_ppl.tracking.workers import RunChoice

        choice = RunChoice(str(run), device, refine, threads, trusts_everything(), compiled)
        also = {"overlay": overlay, "masks": masks, "events": events}
        folders = {name: folder for name, folder in also.items() if folder is not None}
        many = ManyVideos(told_apart(videos), out, form or "mot", folders)
        track_side_by_side(
            choice,
            many,
            options=options,
            batch=batch or 1,
            jobs=jobs or 1,
            scheduler=scheduler,
            resume=resume,
            overwrite=overwrite,
        )
        return
    from scalor_ppl.tracking import track_to_files
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import load_run

    use_threads(threads)
    program = load_run(run, pick_device(device), refine=refine, compiled=compiled)
    with TrackingBar(Console(stderr=True)) as bar:
        outcome = track_to_files(
            program,
            videos[0],
            out,
            form=form,
            overlay=overlay,
            masks=masks,
            events=events,
            **options,
            resume=resume,
            overwrite=overwrite,
            watcher=bar,
        )
    done = f"{outcome.frames} frames, {outcome.tracks} tracks, {outcome.fps:.1f} frames per second"
    if outcome.interrupted:
        say(f"interrupted after {done}; go on with the same command and --resume")
        raise typer.Exit(INTERRUPTED)
    Console().print(f"{out}: {done}", **PLAIN)
    if outcome.looks:
        say(outcome.looks)
