"""``scalor-ppl msd``: how far tracked objects get, and how many there are."""

import json
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.names import told_apart
from scalor_ppl.cli.options import PLAIN
from scalor_ppl.cli.tables import print_table, ruled_table
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import owned

if TYPE_CHECKING:
    from scalor_ppl.evaluation.diffusion import Displacement

_LOG = logging.getLogger(__name__)
_SHOWN = (1, 2, 5, 10, 20)  # lags, in tracked frames
_FEW = 5  # objects that tell drift from motion badly


def msd(
    tracks: Annotated[list[Path], typer.Argument(help="MOTChallenge rows.", show_default=False)],
    lags: Annotated[int, typer.Option(min=1, help="Longest lag, in frames.")] = 30,
    drift: Annotated[
        bool, typer.Option("--drift", help="Keep the motion that all objects have in common.")
    ] = False,
    stride: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Every so many frames one was tracked: lags count these, and those without rows "
            "have no objects.",
            show_default="only frames with rows are known, lags count frames",
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            help="Least confidence of a row that counts.", show_default="every row counts"
        ),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw displacement and counts, NAME.png.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Mean squared displacement over lag times, its slope, and counts, for files of tracks.

    A slope of 1 is free diffusion, 2 is straight motion.
    """
    with owned(figure, output):
        found = {}
        for name, path in told_apart(tracks).items():
            found[name] = _measured(path, lags, drift, stride, confidence)
            _tell(path, found[name], drift, stride)
        print_table(_table(found))
        if output is not None:
            with written_whole(output) as path:
                path.write_text(json.dumps({name: _plain(each) for name, each in found.items()}))
        if figure is not None:
            from scalor_ppl.evaluation.diffusion_figure import draw_displacement

            draw_displacement(found, figure)
            Console().print(str(figure), **PLAIN)


def _measured(
    path: Path, lags: int, drift: bool, stride: int | None, confidence: float | None
) -> "Displacement":
    from scalor_ppl.evaluation.diffusion import displacement
    from scalor_ppl.tracks.mot_reader import read_rows

    table = read_rows(path)
    if confidence is not None:
        table = table.kept(table.confidence >= confidence)
    try:
        return displacement(table, lags, drift=drift, stride=stride)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _tell(path: Path, found: "Displacement", drift: bool, stride: int | None) -> None:
    """Note what the figures leave out, and what they are not sure of."""
    if stride is None and found.stride > 0:
        whole = (int(found.frames[-1]) - int(found.frames[0])) // found.stride + 1
        if len(found.frames) < whole:
            _LOG.warning(
                "%s: %d of %d frames from the first to the last have no rows and are not counted; "
                "give --stride %d if they were tracked and nothing was there",
                *(path, whole - len(found.frames), whole, found.stride),
            )
    if drift or not found.pairs.any():
        return
    if found.drift_left:
        _LOG.warning(
            "%s: never two objects in successive frames, so that drift cannot be told from motion: "
            "it is left in",
            path,
        )
    elif found.steps_left_out:
        _LOG.warning(
            "%s: drift is not known over %.1f %% of the steps between frames, which have fewer "
            "than two objects: displacements over them are left out (--drift keeps all)",
            *(path, 100 * found.steps_left_out),
        )
    if not found.drift_left and found.counts.mean() < _FEW:
        _LOG.warning(
            "%s: common drift is told by %.1f objects a frame, which is few; the figures are "
            "corrected for it as of independent motion",
            *(path, found.counts.mean()),
        )


def _table(found: "dict[str, Displacement]") -> Table:
    """A row for each file; columns of lags that the closest tracked frames have."""
    unit = min((each.stride // each.unit for each in found.values() if each.stride), default=1)
    lags = [unit * n for n in _SHOWN if any(unit * n in each.lags for each in found.values())]
    headings = [f"lag {lag} (px^2)" for lag in lags]
    table = ruled_table("", "tracks", *headings, "slope", "objects a frame")
    table.title = None
    for name, each in found.items():
        values = [each.squared[lag - 1] if lag in each.lags else math.nan for lag in lags]
        mean = each.counts.mean() if len(each.counts) else math.nan
        cells = (_shown(value, form) for value, form in ((each.slope, ".2f"), (mean, ".1f")))
        table.add_row(name, *(_shown(value, ".2f") for value in values), *cells)
    return table


def _shown(value: float, form: str) -> str:
    return "" if math.isnan(value) else f"{value:{form}}"


def _plain(each: "Displacement") -> dict[str, object]:
    """Fit for JSON."""
    return {
        "lags": each.lags.tolist(),
        "lag_frames": each.unit,
        "squared": [None if math.isnan(value) else value for value in each.squared.tolist()],
        "pairs": each.pairs.tolist(),
        "frames": each.frames.tolist(),
        "counts": each.counts.tolist(),
        "stride": each.stride,
        "slope": None if math.isnan(each.slope) else each.slope,
        "drift_left": each.drift_left,
    }
