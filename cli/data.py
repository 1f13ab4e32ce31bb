"""``scalor-ppl data``: the registered sets, and what is in any source of clips."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scalor_ppl.cli.options import PLAIN, DataFolder, Seed, Settings
from scalor_ppl.cli.tables import print_table
from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.errors import UserError
from scalor_ppl.results.locks import owned, owned_folder

app = typer.Typer(help="Registered sets and other sources of clips.", no_args_is_help=True)

Source = Annotated[str, typer.Argument(help="Registered set, or a path.", show_default=False)]
Split = Annotated[Literal["train", "test"], typer.Option(help="Which clips.")]


@app.command("list")
def list_sets() -> None:
    """Show the registered sets."""
    from scalor_ppl.data import REGISTERED

    table = Table("set", "shapes", "objects", "size, pixels", "background")
    for name, spec in REGISTERED.items():
        low, high = spec.count
        table.add_row(name, spec.shapes, f"{low} to {high}", f"{spec.size:g}", spec.behind)
    print_table(table)


@app.command("describe")
def describe_source(
    source: Source,
    clips: Annotated[int, typer.Option(min=1, help="How many clips to measure.")] = 500,
    frames: Annotated[int, typer.Option(min=1, help="Length of each.")] = 10,
    split: Split = "train",
    seed: Seed = 0,
    folder: DataFolder = None,
    settings: Settings = None,
) -> None:
    """Measure a source: counts, sizes, speeds, and the paper's figures beside them."""
    from scalor_ppl.data import open_source
    from scalor_ppl.data.describe import describe as measure

    options = _reading(settings, folder)
    opened = open_source(source, split=split, seed=seed, options=options)
    table = Table("what", "measured", title=Text(source))
    for row in measure(opened, clips, frames).rows():
        table.add_row(*map(str, row))
    print_table(table)


@app.command("make")
def make(
    source: Source,
    out: Annotated[
        Path,
        typer.Option(help="File to write: .mkv, .mp4 or .avi for a video, else NetCDF."),
    ],
    clips: Annotated[
        int | None, typer.Option(min=1, help="How many: 100 by default, 1 of a video.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Length of each.")] = 10,
    first: Annotated[int, typer.Option("--clip", min=0, help="The first one, from 0.")] = 0,
    split: Split = "test",
    seed: Seed = 0,
    folder: DataFolder = None,
    settings: Settings = None,
) -> None:
    """Write clips of a source with their ground truth.

    NetCDF (xarray, named dims), or one clip of any length of a registered set as lossless video.

    Beside a video: MOTChallenge rows (.txt) of each object where 8 % of it or more are in view, and
    of particles how they move and what their light and noise are (.json).
    """
    from scalor_ppl.data import open_source
    from scalor_ppl.data.lossless import SUFFIXES
    from scalor_ppl.data.netcdf import write_netcdf

    options = _reading(settings, folder)
    opened = open_source(source, split=split, seed=seed, options=options)
    said = str(out)
    if out.suffix.lower() in SUFFIXES:
        if clips not in (None, 1):
            raise UserError(f"--clips {clips}: a video is one clip; name a .nc file for more")
        from scalor_ppl.data.toy_video import LEAST_VISIBLE, write_toy_video

        with owned(*(out.with_suffix(end) for end in (out.suffix, ".txt", ".json"))):
            rows = write_toy_video(opened, out, frames, index=first)
        said = f"{out}, {rows} (objects at least {LEAST_VISIBLE:.0%} in view)"
    else:
        with owned(out):
            write_netcdf(opened, out, clips or 100, frames, first=first)
    Console().print(said, **PLAIN)


@app.command("cut")
def cut(
    recording: Annotated[
        Path, typer.Argument(help="Video file or folder of images.", show_default=False)
    ],
    region: Annotated[
        str, typer.Option(help="Part of the frame, pixels.", metavar="LEFT,TOP,WIDTH,HEIGHT")
    ],
    out: Annotated[Path, typer.Option(help="Folder to make, in MOTChallenge layout.")],
    boxes: Annotated[
        Path | None,
        typer.Option(help="MOTChallenge rows that go with it; its own gt.txt by default."),
    ] = None,
    start: Annotated[int, typer.Option(min=0, help="First frame, from 0.")] = 0,
    stop: Annotated[int | None, typer.Option(min=1, help="The frame after the last one.")] = None,
    settings: Settings = None,
) -> None:
    """Cut a region and range out of a recording, without loss, and its ground truth with it.

    Of a stack with channels or slices, one is cut: --set data.channel=0, --set data.slice=max.
    """
    from scalor_ppl.data.cutting import cut_recording
    from scalor_ppl.data.region import Region

    part = Region.parse("--region", region)
    options = _reading(settings, None, start=start or None, stop=stop)
    with owned_folder(out):
        count, bits = cut_recording(recording, out, part, boxes=boxes, options=options)
    Console().print(f"{out}: {count} frames, {bits} bits", **PLAIN)


def _reading(settings: list[str] | None, folder: Path | None, **more: int | None) -> SourceOptions:
    """How a source is read, from settings of the table ``data``."""
    given = {"folder": None if folder is None else str(folder), **more}
    if not settings:
        return SourceOptions.model_validate({n: v for n, v in given.items() if v is not None})
    from scalor_ppl.programs.configuration import resolve  # brings in all of the programs

    return resolve(None, settings, {"data": given}).data
