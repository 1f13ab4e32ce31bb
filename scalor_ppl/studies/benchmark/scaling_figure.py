"""The picture of time and memory against the number of objects."""

from collections.abc import Callable
from pathlib import Path

from scalor_ppl.files import written_whole
from scalor_ppl.studies.benchmark.scaling import (
    CONSTANT,
    EXACT,
    NO_ROOM,
    ScalingPoint,
    ScalingReport,
)

_LINES = {CONSTANT: "-", EXACT: "--", NO_ROOM: ":"}
_PANELS: dict[str, Callable[[ScalingPoint], float | None]] = {
    "forward pass, ms": lambda point: 1e3 * point.forward.median,
    "training step, ms": lambda point: 1e3 * point.step.median,
    "peak memory of training, MiB": lambda point: point.mebibytes,
}


def draw_scaling(report: ScalingReport, path: Path) -> None:
    """Draw a panel each for forward pass, training step and memory; both axes are logarithmic.

    One colour a program. Lines are solid where its room is constant, dashed where it has room for
    the objects that there are and no more, dotted where it finds no objects by number. Bars reach
    from quartile to quartile.

    Args:
        report: of the measurements.
        path: picture to write.
    """
    from matplotlib.figure import Figure  # takes a second: only where it is wanted

    series = report.series()
    colours = {name: f"C{n}" for n, name in enumerate(dict.fromkeys(name for name, _ in series))}
    known = {
        title: value
        for title, value in _PANELS.items()
        if any(value(point) is not None for point in report.points)
    }
    figure = Figure(figsize=(3.9 * len(known), 4.0), layout="constrained")
    for axes, (title, value) in zip(
        figure.subplots(1, len(known), squeeze=False)[0], known.items(), strict=True
    ):
        for (name, room), points in series.items():
            drawn = [(point, value(point)) for point in points]
            kept = [(point, amount) for point, amount in drawn if amount is not None]
            axes.plot(
                [point.objects for point, _ in kept],
                [amount for _, amount in kept],
                _LINES[room],
                color=colours[name],
                marker="o",
                markersize=4,
                label=f"{name}, {room}",
            )
        ticks = sorted({point.objects for point in report.points})
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xlabel("objects")
        axes.set_title(title, fontsize="medium")
        axes.grid(alpha=0.3, which="both")
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    with written_whole(path) as lent:
        figure.savefig(lent, dpi=110)
