"""The picture of what programs foresee: error against frames ahead."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from scalor_ppl.evaluation.foresight import Figures, Foresight
from scalor_ppl.files import written_whole

PANELS = {
    "all": "all objects",
    "collided": "objects that have collided by then",
    "free": "objects that have not",
}
ROWS = {"point": "error of the mean of draws [px]", "energy": "energy score [px]"}
BASELINES: dict[str, tuple[str, Literal["--", ":"]]] = {
    "velocity": ("constant velocity", "--"),
    "stays": ("stays", ":"),
}


def draw_foresight(found: Mapping[str, Foresight], path: Path) -> None:
    """Draw means over objects, with a band of one standard error.

    A row of panels for each score, a column for each group of objects, a colour for each run.
    Baselines start from a run's own tracks, so every run has its own, in its colour.

    Args:
        found: by the run's label.
        path: PNG, SVG or PDF to write.
    """
    from matplotlib.figure import Figure  # takes a second: only where it is wanted
    from matplotlib.lines import Line2D

    sheet = Figure(figsize=(3.8 * len(PANELS), 3.2 * len(ROWS) + 0.5), layout="constrained")
    grid = sheet.subplots(len(ROWS), len(PANELS), squeeze=False, sharex=True, sharey=True)
    for line, (measure, unit) in zip(grid, ROWS.items(), strict=True):
        line[0].set_ylabel(unit)
        for axes, (group, title) in zip(line, PANELS.items(), strict=True):
            for number, foresight in enumerate(found.values()):
                own, colour = foresight.figures[group], f"C{number}"
                mean, low, high = _band(own[measure])
                ahead = range(1, len(mean) + 1)
                axes.plot(ahead, mean, color=colour, linewidth=1.6)
                axes.fill_between(ahead, low, high, color=colour, alpha=0.2, linewidth=0)
                for baseline, (_, dashes) in BASELINES.items():
                    axes.plot(ahead, own[baseline].mean, dashes, color=colour, linewidth=1)
            axes.set_title(title, fontsize="medium")
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("frames ahead")
    runs = [Line2D([], [], color=f"C{n}", label=label) for n, label in enumerate(found)]
    dashed = [
        Line2D([], [], color="grey", linestyle=dashes, linewidth=1, label=label)
        for label, dashes in BASELINES.values()
    ]
    sheet.legend(handles=[*runs, *dashed], loc="outside lower center", ncols=5, frameon=False)
    with written_whole(path) as target:
        sheet.savefig(target, dpi=110)


def _band(figures: Figures) -> tuple[tuple[float, ...], list[float], list[float]]:
    """Means, and what lies a standard error below and above them."""
    pairs = list(zip(figures.mean, figures.error, strict=True))
    return figures.mean, [m - e for m, e in pairs], [m + e for m, e in pairs]
