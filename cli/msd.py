"""``scalor-ppl msd``: how far tracked objects get, and how many there are."""

import json
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    import numpy as np

    from scalor_ppl.evaluation.diffusion import Displacement
    from scalor_ppl.evaluation.diffusion_fit import IntervalEstimate
    from scalor_ppl.evaluation.motion import MotionAnalysis

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
    exposure: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Time in which the light of a frame is gathered, in frames: 1 is an open shutter.",
        ),
    ] = 0.0,
    static_error: Annotated[
        str | None,
        typer.Option(
            help="Error of a coordinate, in pixels, or 'fit'.",
            show_default="what the tracks state; where they do not, it is fitted",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the errors of the autocorrelation.")] = 0,
    figure: Annotated[
        Path | None,
        typer.Option(help="Draw displacement and fit, counts, steps and their memory, NAME.png."),
    ] = None,
    per_track: Annotated[
        Path | None, typer.Option(help="Write D of each track here, .csv; of one file of tracks.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Mean squared displacement over lag times, D, exponent and static error, for files of tracks.

    A slope of 1 is free diffusion, 2 is straight motion. The slope is that of the positions as they
    are; D and alpha are corrected for their error and for the blur of the exposure, with 90 %
    intervals.
    """
    from scalor_ppl.evaluation.motion import measure_motion
    from scalor_ppl.evaluation.positions import read_positions

    if per_track is not None and len(tracks) > 1:
        raise UserError(f"--per-track {per_track} takes one file of tracks")
    with owned(figure, per_track, output):
        found = {}
        for name, path in told_apart(tracks).items():
            rows = read_positions(path).kept(confidence)
            try:
                found[name] = measure_motion(
                    rows.table,
                    lags,
                    drift=drift,
                    stride=stride,
                    exposure=exposure,
                    spread=rows.errors(_number(static_error)),
                    seed=seed,
                )
            except UserError as error:
                raise UserError(f"{path}: {error}") from None
            _tell(path, found[name].plain, drift, stride)
            for doubt in found[name].doubts:
                _LOG.warning("%s: %s", path, doubt)
        print_table(_table({name: each.plain for name, each in found.items()}))
        print_table(_fits(found))
        if output is not None:
            with written_whole(output) as path:
                path.write_text(json.dumps({name: _plain(each) for name, each in found.items()}))
        if per_track is not None:
            with written_whole(per_track) as path:
                next(iter(found.values())).tables().tracks.to_csv(path, index=False)
            Console().print(str(per_track), **PLAIN)
        if figure is not None:
            from scalor_ppl.evaluation.diffusion_figure import draw_motion

            draw_motion(found, figure)
            Console().print(str(figure), **PLAIN)


def _number(static: str | None) -> float | Literal["fit"] | None:
    """An error as `Positions.errors` takes it."""
    try:
        if static is None:
            return None
        return "fit" if static == "fit" else float(static)
    except ValueError:
        raise UserError(f"--static-error {static}: give pixels, or 'fit'") from None


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


def _fits(found: "dict[str, MotionAnalysis]") -> Table:
    """A row for each file: what is fitted, with intervals, and its steps."""
    headings = ("D (px^2/frame^alpha)", "alpha", "static error (px)", "D if free (px^2/frame)")
    more = ("step, median (px)", "non-Gaussian", "next step")
    table = ruled_table("", "tracks", *headings, *more)
    table.title = None
    for name, each in found.items():
        fit, steps = each.fit, each.steps
        following = steps.correlation[1] if len(steps.correlation) > 1 else math.nan
        table.add_row(
            name,
            _ranged(fit.diffusion, ".3f"),
            _ranged(fit.alpha, ".2f"),
            _ranged(_root(fit.variance), ".2f") + (" (stated)" if fit.stated else ""),
            _ranged(fit.free, ".3f"),
            _shown(steps.median, ".2f"),
            _shown(steps.non_gaussian, ".2f"),
            _shown(following, "+.2f"),
        )
    return table


def _root(variance: "IntervalEstimate") -> "IntervalEstimate":
    """The static error of a variance; negative ones keep their sign, for they say something."""
    rooted = [math.copysign(math.sqrt(abs(value)), value) for value in variance]
    return type(variance)(*rooted)


def _ranged(estimate: "IntervalEstimate", form: str) -> str:
    """A value, and its interval below."""
    if math.isnan(estimate.value):
        return ""
    if math.isnan(estimate.low):
        return f"{estimate.value:{form}}"
    return f"{estimate.value:{form}} ({estimate.low:{form}} to {estimate.high:{form}})"


def _shown(value: float, form: str) -> str:
    return "" if math.isnan(value) else f"{value:{form}}"


def _plain(each: "MotionAnalysis") -> dict[str, object]:
    """Fit for JSON: NaN is null."""
    plain, steps = each.plain, each.steps
    tracks = each.tables().tracks
    return {
        "lags": plain.lags.tolist(),
        "lag_frames": plain.unit,
        "squared": _nulled(plain.squared),
        "pairs": plain.pairs.tolist(),
        "frames": plain.frames.tolist(),
        "counts": plain.counts.tolist(),
        "stride": plain.stride,
        "slope": _null(plain.slope),
        "drift_left": plain.drift_left,
        "exposure": each.fit.exposure,
        "stated_error": each.fit.stated,
        "fit": {
            name: {part: _null(value) for part, value in estimate._asdict().items()}
            for name, estimate in each.estimates.items()
        },
        "fitted_lags": each.fit.lags.tolist(),
        "fitted": _nulled(each.fit.fitted),
        "steps": {
            "number": steps.steps,
            "median": _null(steps.median),
            "non_gaussian": _null(steps.non_gaussian),
            "edges": steps.edges.tolist(),
            "density": steps.density.tolist(),
        },
        "velocity": {
            "lags": steps.lags.tolist(),
            "autocorrelation": _nulled(steps.correlation),
            "error": _nulled(steps.error),
        },
        "tracks": {
            name: column.tolist() if column.dtype.kind == "i" else _nulled(column.to_numpy())
            for name, column in tracks.items()
        },
        "doubts": list(each.doubts),
    }


def _nulled(values: "np.ndarray") -> list[float | None]:
    return [_null(value) for value in values.tolist()]


def _null(value: float) -> float | None:
    return None if math.isnan(value) else value
