"""What ``scalor-ppl evaluate --calibration`` and ``--calibrate`` do."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.options import PLAIN
from scalor_ppl.cli.tables import print_table, ruled_table, shown
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole

if TYPE_CHECKING:
    from scalor_ppl.config.schema import DataConfig
    from scalor_ppl.evaluation.calibration import Reliability
    from scalor_ppl.inference.calibrating import Honesty
    from scalor_ppl.programs import Program
    from scalor_ppl.tracks.counting import CountModel


def fit_and_store(
    run: Path, program: "Program", settings: "DataConfig", *, seed: int, clips: int, frames: int
) -> "Program":
    """Fit a calibration on clips of the training split of another seed, and store it.

    Returns:
        The program with it.

    Raises:
        UserError: the run ships with the package, or the data are no registered set.
    """
    from dataclasses import replace

    from scalor_ppl.data import REGISTERED
    from scalor_ppl.inference.calibrating import fit_calibration
    from scalor_ppl.tracks.deviations import FEATURES, write_calibration
    from scalor_ppl.training.runs import SHIPPED
    from scalor_ppl.training.sources import open_data, with_seed

    if str(run).startswith(SHIPPED):
        raise UserError(f"--calibrate: {run} ships with the package; calibrate a run of your own")
    if settings.source not in REGISTERED:
        raise UserError(
            f"--calibrate: {settings.source} is no registered set, of which fresh clips can be "
            "made: give one that is like it with --data"
        )
    source = open_data(with_seed(settings, seed), "train")
    calibration = fit_calibration(program, source, clips=clips, frames=frames)
    path = write_calibration(run, calibration)
    table = ruled_table(
        f"log of the errors' scale, on {clips} clips of seed {seed}", "depends on", "centre", "size"
    )
    models = calibration.centre, calibration.size
    for name in FEATURES:
        values = (shown(each.coefficients.get(name), "+.3f") for each in models)
        table.add_row(name, *values)
    table.add_row("degrees of freedom", *(f"{each.freedom:.1f}" for each in models))
    table.add_row("stretch to 90 %", *(f"{each.stretch:.3f}" for each in models))
    for axis, name in enumerate("xy"):
        table.add_row(f"found less true, {name}", *(f"{each.offset[axis]:+.3f}" for each in models))
    print_table(table)
    if calibration.count is not None:
        print_table(_count_table(calibration.count))
    Console().print(str(path), **PLAIN)
    return replace(program, calibration=calibration)


def _count_table(count: "CountModel") -> Table:
    table = ruled_table("logit that a track is on an object that counts", "depends on", "")
    for name, value in count.coefficients.items():
        table.add_row(name, shown(value, "+.3f"))
    table.add_row("objects missed a frame", shown(count.missed, ".4f"))
    return table


def show_calibration(honesty: "Honesty", title: str, plot: Path, out: Path | None) -> None:
    """Print tables, write the picture, and the figures where they are asked for."""
    from scalor_ppl.evaluation.calibration_figure import draw_calibration

    print_table(coverage_table(honesty, title))
    print_table(reliability_table(honesty.presence))
    plot.parent.mkdir(parents=True, exist_ok=True)
    draw_calibration(honesty.intervals(), honesty.presence, title, plot)
    if out is not None:
        with written_whole(out) as path:
            path.write_text(json.dumps({"calibration": honesty.to_dict()}, indent=2))
    Console().print(str(plot), **PLAIN)


def coverage_table(honesty: "Honesty", title: str) -> Table:
    """A row for each quantity: coverage of its intervals, spread of z, distance of the PIT."""
    from scalor_ppl.evaluation.calibration import LEVELS

    said = "calibrated" if honesty.calibrated else "not calibrated"
    levels = [f"{100 * level:g} %" for level in LEVELS]
    columns = ("number", "error", "stated", *levels, "z", "z rob.", "PIT")
    table = ruled_table(f"{title}: {said}", "", *columns)
    for name, each in honesty.intervals().items():
        held = (f"{100 * each.coverage[level]:.1f}" for level in LEVELS)
        figures = each.rms, each.stated
        scores = each.z_std, each.z_robust, each.distance
        table.add_row(
            name,
            str(each.count),
            *(f"{value:.3f}" for value in figures),
            *held,
            *(f"{value:.2f}" for value in scores),
        )
        if name.startswith("count"):  # whole numbers: an interval holds more than its name says
            shared = (f"{100 * each.shared[level]:.1f}" for level in LEVELS)
            table.add_row("ends shared", "", "", "", *shared, "", "", "")
    return table


def reliability_table(presence: "Reliability") -> Table:
    """A row for each part of 0..1 that confidences lie in."""
    title = f"confidence: expected calibration error {presence.error:.4f}"
    table = ruled_table(f"{title}, Brier score {presence.brier:.4f}", "", "number", "mean", "there")
    for n, number in enumerate(presence.counts):
        if number:
            table.add_row(
                f"{presence.edges[n]:.1f} to {presence.edges[n + 1]:.1f}",
                str(number),
                f"{presence.stated[n]:.3f}",
                f"{presence.found[n]:.3f}",
            )
    return table
