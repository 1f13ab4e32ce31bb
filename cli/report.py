"""``scalor-ppl report``: a run on one page."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scalor_ppl.cli.options import PLAIN, DataFolder, Device, Run, Seed, Threads, use_threads
from scalor_ppl.errors import UserError
from scalor_ppl.results.locks import owned


def report(
    run: Run,
    video: Annotated[
        str | None,
        typer.Option(help="Set or path; the run's own data by default.", metavar="NAME|PATH"),
    ] = None,
    tracks: Annotated[
        Path | None,
        typer.Option(help="Tracks of the whole video, NAME.txt of scalor-ppl track."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="HTML file to write.", show_default="RUN/report.html")
    ] = None,
    rerun: Annotated[
        Path | None,
        typer.Option(help="Write frames and tracks for the Rerun viewer too, NAME.rrd."),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Length of the clip, at most.")] = 20,
    seed: Seed = 0,
    data_dir: DataFolder = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Write a page on a run: its training, a tracked clip, objects, counts, continuations.

    The page is a single file that needs no network.
    """
    from scalor_ppl.report.material import gather
    from scalor_ppl.report.viewer import SUFFIX, require_rerun, write_rerun
    from scalor_ppl.report.write import write_report
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import own_folder

    use_threads(threads)
    out = out or own_folder(run) / "report.html"
    if out.suffix not in (".html", ".htm"):
        raise UserError(f"--out {out}: end it in .html")
    if rerun is not None and rerun.suffix != SUFFIX:
        raise UserError(f"--rerun {rerun}: end it in {SUFFIX}")
    with owned(out, rerun):
        if rerun is not None:
            require_rerun()
        material = gather(
            run,
            pick_device(device),
            video=video,
            tracks=tracks,
            frames=frames,
            seed=seed,
            data_dir=data_dir,
        )
        write_report(material, out)
        if rerun is not None:
            write_rerun(rerun, material.video, material.tracks)
    for path in (out, rerun):
        if path is not None:
            Console().print(str(path), **PLAIN)
