"""``scalor-ppl msd``: how far tracked objects get, and how many there are."""

import json
import math
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.options import PLAIN
from scalor_ppl.evaluation.diffusion import Displacement, displacement
from scalor_ppl.results.files import check_writable, written_whole
from scalor_ppl.tracks.mot import read_mot


def msd(
    tracks: Annotated[list[Path], typer.Argument(help="MOTChallenge rows.", show_default=False)],
    lags: Annotated[int, typer.Option(min=1, help="Longest lag, in frames.")] = 30,
    drift: Annotated[
        bool, typer.Option("--drift", help="Keep the motion that all objects have in common.")
    ] = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw displacement and counts, NAME.png.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Mean squared displacement over lag times, its slope, and counts, for files of tracks.

    A slope of 1 is free diffusion, 2 is straight motion.
    """
    for path in (figure, output):
        if path is not None:
            check_writable(path)
    found = {path.stem: displacement(read_mot(path), lags, drift=drift) for path in tracks}
    Console().print(_table(found))
    if output is not None:
        with written_whole(output) as path:
            path.write_text(json.dumps({name: _plain(each) for name, each in found.items()}))
    if figure is not None:
        from scalor_ppl.evaluation.diffusion_figure import draw_displacement

        draw_displacement(found, figure)
        Console().print(str(figure), **PLAIN)


def _table(found: dict[str, Displacement]) -> Table:
    lags = [lag for lag in (1, 2, 5, 10, 20) if any(lag in each.lags for each in found.values())]
    headings = [f"lag {lag} (px^2)" for lag in lags]
    table = Table("tracks", *headings, "slope", "objects a frame", box=box.SIMPLE_HEAD)
    for name, each in found.items():
        values = [each.squared[lag - 1] if lag in each.lags else math.nan for lag in lags]
        cells = [f"{value:.2f}" for value in values]
        table.add_row(name, *cells, f"{each.slope:.2f}", f"{each.counts.mean():.1f}")
    return table


def _plain(each: Displacement) -> dict[str, object]:
    """Fit for JSON."""
    return {
        "lags": each.lags.tolist(),
        "squared": [None if math.isnan(value) else value for value in each.squared.tolist()],
        "pairs": each.pairs.tolist(),
        "counts": each.counts.tolist(),
        "slope": None if math.isnan(each.slope) else each.slope,
    }
