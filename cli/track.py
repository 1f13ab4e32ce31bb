"""``scalor-ppl track``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scalor_ppl.cli.options import INTERRUPTED, PLAIN, Device, Refine, Run, Threads, use_threads
from scalor_ppl.cli.progress import TrackingBar, say


def track(
    run: Run,
    video: Annotated[
        Path, typer.Argument(help="Video file or folder of images.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Tracks to write: NAME.txt (MOTChallenge), .csv, .parquet, .nc, .geff, .xml "
            "(TrackMate), or a folder NAME_RES or NAME_GT (Cell Tracking Challenge)."
        ),
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="mot, csv, parquet, nc, geff, trackmate, ctc, ctc-gt; by default what the name "
            "ends in.",
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
    start: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="First frame, from 0.",
            show_default="all of the video; of the run's own, what it was trained on",
        ),
    ] = None,
    stop: Annotated[int | None, typer.Option(min=1, help="The frame after the last one.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted tracking into --out.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there.")
    ] = False,
    refine: Refine = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Track the objects of a video of any length.

    A video that the run was trained on is tracked over the run's own range of frames.
    """
    from scalor_ppl.tracking import track_to_files
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import load_run

    use_threads(threads)
    program = load_run(run, pick_device(device), refine=refine)
    with TrackingBar(Console(stderr=True)) as bar:
        outcome = track_to_files(
            program,
            video,
            out,
            form=form,
            overlay=overlay,
            masks=masks,
            events=events,
            chunk=chunk,
            threshold=threshold,
            recognise=recognise,
            join=join,
            measure=measure,
            start=start,
            stop=stop,
            resume=resume,
            overwrite=overwrite,
            watcher=bar,
        )
    done = f"{outcome.frames} frames, {outcome.tracks} tracks, {outcome.fps:.1f} frames per second"
    if outcome.interrupted:
        say(f"interrupted after {done}; go on with the same command and --resume")
        raise typer.Exit(INTERRUPTED)
    Console().print(f"{out}: {done}", **PLAIN)
