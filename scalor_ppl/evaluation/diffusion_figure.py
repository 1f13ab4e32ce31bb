"""The picture of displacements and counts."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from scalor_ppl.evaluation.diffusion import Displacement
from scalor_ppl.files import written_whole


def draw_displacement(found: Mapping[str, Displacement], path: Path) -> None:
    """Displacement over lag on logarithmic axes, and counts over time, of several files of tracks.

    Args:
        found: by name.
        path: NAME.png.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    guided = False
    for name, each in found.items():
        there = np.flatnonzero(each.squared > 0)
        label = f"{name}: slope {each.slope:.2f}"
        left.loglog(each.lags[there], each.squared[there], "o-", ms=3, label=label)
        right.plot(each.frames, each.counts, ".-" if len(each.frames) < 50 else "-", lw=1)
        if len(there) and not guided:
            first = there[0]
            guide = each.squared[first] * each.lags[first:] / each.lags[first]
            left.loglog(each.lags[first:], guide, "k:", lw=1, zorder=0)
            guided = True
    units = sorted({each.unit for each in found.values()})
    unit = "frames" if units in ([], [1]) else f"times {', '.join(map(str, units))} frames"
    left.set(xlabel=f"lag ({unit})", ylabel="mean squared displacement (px²)")
    right.set(xlabel="frame", ylabel="objects", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    left.legend(frameon=False, title="dotted: slope 1", fontsize="small")
    with written_whole(path) as lent:
        figure.savefig(lent, format="png", dpi=120)
