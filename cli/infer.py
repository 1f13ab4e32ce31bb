"""``scalor-ppl infer``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scalor_ppl.cli.options import (
    PLAIN,
    DataFolder,
    Device,
    Run,
    Seed,
    Threads,
    check_figure,
    use_threads,
)
from scalor_ppl.errors import UserError
from scalor_ppl.results.locks import owned


def infer(
    run: Run,
    video: Annotated[
        str, typer.Argument(help="Set, video file or folder of frames.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="NetCDF file to write, NAME.nc.")],
    draws: Annotated[int, typer.Option(min=1, help="How many draws from the posterior.")] = 100,
    images: Annotated[
        int | None,
        typer.Option(min=0, help="How many draws keep their rendered video; all by default."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Picture of the positions and their 94 % intervals, e.g. a.png."),
    ] = None,
    clip: Annotated[int, typer.Option(min=0, help="Which clip of the video.")] = 0,
    frames: Annotated[int, typer.Option(min=1, help="Its length.")] = 10,
    seed: Seed = 0,
    data_dir: DataFolder = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Draw from the posterior of a clip, and write the draws as NetCDF for ArviZ and xarray."""
    from scalor_ppl.inference.trees import posterior_tree
    from scalor_ppl.programs import FindsObjects, require
    from scalor_ppl.results.datatree import SUFFIX, write_tree
    from scalor_ppl.results.uncertainty import draw_uncertainty
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import load_run
    from scalor_ppl.training.sources import chosen, open_clip

    use_threads(threads)
    if out.suffix != SUFFIX:
        raise UserError(f"--out {out}: end it in {SUFFIX}")
    if out.resolve() == Path(video).resolve():
        raise UserError(f"--out {out} is the video itself: name another file")
    check_figure("--plot", plot)
    with owned(out, plot):
        program = load_run(run, pick_device(device))
        if plot is not None:
            require(program, FindsObjects, "infer --plot")  # it draws positions
        seen = open_clip(chosen(program.config.data, folder=data_dir), video, clip, frames)
        tree = posterior_tree(program, seen, draws=draws, seed=seed, images=images)
        write_tree(tree, out)
        if plot is not None:
            draw_uncertainty(tree, plot)
    for path in (out, plot):
        if path is not None:
            Console().print(str(path), **PLAIN)
