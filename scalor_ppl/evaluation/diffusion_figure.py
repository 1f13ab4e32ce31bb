"""The picture of displacements and counts."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from scalor_ppl.evaluation.diffusion import Displacement
from scalor_ppl.results.files import written_whole


def draw_displacement(found: Mapping[str, Displacement], path: Path) -> None:
    """Displacement over lag on logarithmic axes, and counts over time, of several files of tracks.

    Args:
        found: by name.
        path: NAME.png.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, each in found.items():
        left.loglog(each.lags, each.squared, "o-", ms=3, label=f"{name}: slope {each.slope:.2f}")
        right.plot(each.counts, lw=1, label=name)
    first = next(iter(found.values()))
    if len(first.lags) and np.isfinite(first.squared[0]):
        guide = first.squared[0] * first.lags
        left.loglog(first.lags, guide, "k:", lw=1, label="slope 1")
    left.set(xlabel="lag (frames)", ylabel="mean squared displacement (px²)")
    right.set(xlabel="frame", ylabel="objects", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    with written_whole(path) as lent:
        figure.savefig(lent, format="png", dpi=120)
