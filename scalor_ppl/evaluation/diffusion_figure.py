"""The picture of motion: displacements and their fit, counts, step lengths, memory of steps."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalor_ppl.evaluation.diffusion import Displacement
from scalor_ppl.evaluation.motion import MotionAnalysis
from scalor_ppl.files import written_whole


def draw_motion(found: Mapping[str, MotionAnalysis], path: Path) -> None:
    """Draw the motion of several files of tracks.

    Displacement over lag on logarithmic axes, with the fit as a line; counts over time; lengths of
    steps, with those of a Gaussian as a line; the velocity autocorrelation, with standard errors.

    Args:
        found: by name.
        path: NAME.png.
    """
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    (curve, counts), (lengths, memory) = figure.subplots(2, 2)
    guided = False
    for n, (name, each) in enumerate(found.items()):
        colour, plain, steps = f"C{n}", each.plain, each.steps
        there = np.flatnonzero(plain.squared > 0)
        times = plain.lags[there] * plain.unit
        label = f"{name}: slope {plain.slope:.2f}"
        if np.isfinite(each.fit.alpha.value):
            label += f", corrected {each.fit.alpha.value:.2f}"
        curve.loglog(times, plain.squared[there], "o", ms=3, color=colour, label=label)
        curve.loglog(each.fit.lags, each.fit.fitted, "-", lw=1, color=colour)
        every = "-" if len(plain.frames) >= 50 else ".-"
        counts.plot(plain.frames, plain.counts, every, lw=1, color=colour)
        if len(there) and not guided:
            _guide(curve, plain, there)
            guided = True
        if len(steps.density):
            lengths.stairs(steps.density, steps.edges, color=colour)
            middles = (steps.edges[:-1] + steps.edges[1:]) / 2
            lengths.plot(middles, steps.gaussian, "--", lw=1, color=colour)
        memory.errorbar(
            steps.lags[1:], steps.correlation[1:], steps.error[1:], fmt=".-", lw=1, color=colour
        )
    curve.set(xlabel="lag (frames)", ylabel="mean squared displacement (px²)")
    counts.set(xlabel="frame", ylabel="objects", ylim=(0, None))
    lengths.set(xlabel="length of a step (px); dashed: Gaussian", ylabel="density (1/px)")
    memory.set(xlabel="lag (frames)", ylabel="velocity autocorrelation")
    memory.axhline(0, color="k", lw=0.5)
    for axes in (curve, counts, lengths, memory):
        axes.grid(alpha=0.3)
    curve.legend(frameon=False, title="lines: fit; dotted: slope 1", fontsize="small")
    with written_whole(path) as lent:
        figure.savefig(lent, format="png", dpi=120)


def _guide(axes: Axes, plain: Displacement, there: np.ndarray) -> None:
    """A line of slope 1 through the first point."""
    first = there[0]
    times = plain.lags[first:] * plain.unit
    axes.loglog(times, plain.squared[first] * times / times[0], "k:", lw=1, zorder=0)
