"""``scalor-ppl view``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from scalor_ppl.errors import UserError


def view(
    tracks: Annotated[
        Path,
        typer.Argument(
            help="Tracks (.txt, .csv, .parquet, .nc), or the run's folder of scalor-ppl fit.",
            metavar="RUN|TRACKS",
            show_default=False,
        ),
    ],
    video: Annotated[
        Path | None,
        typer.Argument(help="Video file or folder of images.", show_default="the run's own"),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Masks of scalor-ppl track --masks, NAME.nc.")
    ] = None,
    colour: Annotated[
        Literal["id", "confidence"], typer.Option(help="What colours of tracks tell.")
    ] = "id",
    start: Annotated[int | None, typer.Option(min=0, help="First frame to show, from 0.")] = None,
    stop: Annotated[int | None, typer.Option(min=1, help="The frame after the last one.")] = None,
) -> None:
    """Open video, masks and tracks in napari, where it is installed."""
    from scalor_ppl.report.rehearsal import TRACKS
    from scalor_ppl.tracking import layers
    from scalor_ppl.training.runs import run_config

    layers.require_napari()
    if tracks.is_dir():
        source = run_config(tracks).data.source
        if video is None and Path(source).exists():
            video = Path(source)
        run, tracks = tracks, tracks / TRACKS
        if not tracks.exists():
            raise UserError(
                f"{run} has no {TRACKS}: give the tracks themselves, of scalor-ppl track"
            )
    table = layers.read_table(tracks)
    if start is not None:
        table = table[table["frame"] >= start]
    if stop is not None:
        table = table[table["frame"] < stop]
    if table.empty:
        raise UserError(f"{tracks} has no objects in these frames")
    first = int(table["frame"].min()) if start is None else start
    last = int(table["frame"].max())
    shown = [] if video is None else [layers.video_layer(video, first, last)]
    if masks is not None:
        shown.append(layers.masks_layer(masks, first, last))
    layers.show([*shown, layers.tracks_layer(table, colour)])
