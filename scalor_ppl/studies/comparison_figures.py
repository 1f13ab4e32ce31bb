"""Pictures of comparisons."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scalor_ppl.files import written_whole
from scalor_ppl.objectives.estimators import ESTIMATORS
from scalor_ppl.studies.comparison_rows import ComparisonRow, in_words
from scalor_ppl.studies.training_comparison import Result

# One colour an estimator, in every picture.
COLOURS = {name: f"C{number}" for number, name in enumerate(ESTIMATORS)}
LINES = {"continuous": "-", "relaxed": "-", "hard": "--"}
# Estimators of one bound lie on each other: what is drawn later is smaller, and lets see what is
# below.
MARKS = dict(zip(ESTIMATORS, "osD^vPX", strict=True))
LAYERS = {name: len(ESTIMATORS) - number for number, name in enumerate(ESTIMATORS)}
RESULT_PANELS = {
    "mota": "MOTA",
    "plain": "MOTA, plain rule",
    "count_mae": "count error",
    "mse": "MSE",
    "bound": "bound with hard presence, nats a clip",
    "steps": "steps done",
}


def draw_comparison(rows: Sequence[ComparisonRow], path: Path) -> None:
    """Draw bounds, signal-to-noise ratio and time over the number of particles.

    One line an estimator and presence, one row of panels a run. Bounds of the two kinds of
    presence have a panel each: they do not compare.

    Args:
        rows: of all runs.
        path: PNG to write.
    """
    presences = [kind for kind in LINES if any(row.presence == kind for row in rows)]
    panels: list[tuple[str, tuple[str, ...], Callable[[ComparisonRow], float | None]]] = [
        (f"bound, {in_words(kind)}, nats a clip", (kind,), lambda row: row.bound)
        for kind in presences
    ]
    both = tuple(presences)
    panels.append(("SNR of the guide's gradient", both, lambda row: row.guide.snr))
    panels.append(("forward and backward, ms", both, lambda row: row.milliseconds))
    runs = list(dict.fromkeys(row.run for row in rows))
    figure = _figure(3.6 * len(panels), 3.1 * len(runs) + 0.7)
    grid = figure.subplots(len(runs), len(panels), squeeze=False)
    for run, line in zip(runs, grid, strict=True):
        for axes, (title, shown, value) in zip(line, panels, strict=True):
            own = [row for row in rows if row.run == run and row.presence in shown]
            _lines(axes, own, value)
            _dress(axes, title)
            axes.set_xlabel("particles K")
        line[0].set_ylabel(_shortened(run))
    _legend(figure, rows)
    _save(figure, path)


def _lines(
    axes: Any, rows: Sequence[ComparisonRow], value: Callable[[ComparisonRow], float | None]
) -> None:
    """A line for each estimator and presence of one run."""
    axes.set_xscale("log")
    ticks = sorted({row.particles for row in rows})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    for name, presence in dict.fromkeys((row.estimator, row.presence) for row in rows):
        points = [
            (row.particles, value(row))
            for row in rows
            if (row.estimator, row.presence) == (name, presence) and value(row) is not None
        ]
        if points:
            axes.plot(*zip(*sorted(points), strict=True), **_style(name, presence))


def _style(name: str, presence: str) -> dict[str, Any]:
    return {
        "color": COLOURS[name],
        "linestyle": LINES[presence],
        "linewidth": 0.8 + 0.3 * LAYERS[name],
        "alpha": 0.75,
        "marker": MARKS[name],
        "markersize": 4.5 + 1.0 * LAYERS[name],
        "markerfacecolor": "none",
    }


def _legend(figure: Any, rows: Sequence[ComparisonRow]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], label=f"{name}, {presence}", **_style(name, presence))
        for name, presence in dict.fromkeys((row.estimator, row.presence) for row in rows)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False)


def _shortened(run: str) -> str:
    """The last two folders of a run."""
    return "/".join(Path(run).parts[-2:])


def draw_results(results: Sequence[Result], path: Path) -> None:
    """Draw what trainings reached: a dot a seed, a bar for the mean over seeds.

    Args:
        results: of all estimators and seeds.
        path: PNG to write.
    """
    names = list(dict.fromkeys(result.estimator for result in results))
    figure = _figure(11.5, 6.2)
    for axes, (key, title) in zip(figure.subplots(2, 3).flat, RESULT_PANELS.items(), strict=True):
        for place, name in enumerate(names):
            own = [result.figures[key] for result in results if result.estimator == name]
            values = [value for value in own if value is not None]
            style = {"color": COLOURS[name]}
            axes.scatter([place] * len(values), values, s=28, alpha=0.7, linewidths=0, **style)
            if values:
                mean = sum(values) / len(values)
                axes.hlines(mean, place - 0.25, place + 0.25, linewidth=1.6, **style)
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
        _dress(axes, title)
    _save(figure, path)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure  # takes a second: only where it is wanted

    return Figure(figsize=(width, height), layout="constrained")


def _dress(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize="medium")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _save(figure: Any, path: Path) -> None:
    with written_whole(path) as target:
        figure.savefig(target, dpi=110)
