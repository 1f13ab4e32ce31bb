"""Calibration as a picture: transforms beside the uniform, coverage, and reliability."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from scalor_ppl.evaluation.calibration import Intervals, Reliability
from scalor_ppl.files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def calibration_figure(
    intervals: Mapping[str, Intervals], presence: Reliability, title: str
) -> "Figure":
    """Draw how honest uncertainties are.

    Above, for each quantity, the distribution function of its PIT less the uniform one, with
    ArviZ's band of what chance does to as many independent numbers (those of a clip are not, so
    that honest ones leave it now and then). Below, the histogram of the PIT; beside them the
    coverage of central intervals, and of confidences the share that came true.

    Args:
        intervals: what was judged, by its name in words.
        presence: of confidences.
        title: above all.
    """
    from matplotlib.figure import Figure  # takes a second: only where it is wanted

    some = {name: each for name, each in intervals.items() if each.count}
    sheet = Figure(figsize=(3.2 * (len(some) + 1), 6), layout="constrained")
    above, below = sheet.subplots(2, len(some) + 1, squeeze=False)
    for column, (name, each) in enumerate(some.items()):
        _draw_transform(above[column], each)
        above[column].set(title=f"{name} ({each.count:,})", xlabel="PIT", ylabel="less uniform")
        edges = np.linspace(0, 1, len(each.histogram) + 1)
        below[column].stairs(each.histogram * len(each.histogram), edges, fill=True, alpha=0.5)
        below[column].axhline(1, color="0.3", linewidth=1)
        below[column].set(xlim=(0, 1), xlabel="PIT", ylabel="density")
    _draw_coverage(above[-1], some)
    _draw_reliability(below[-1], presence)
    sheet.suptitle(title)
    return sheet


def draw_calibration(
    intervals: Mapping[str, Intervals], presence: Reliability, title: str, path: Path
) -> None:
    """Write :func:`calibration_figure` as PNG, SVG or PDF.

    Raises:
        UserError: the file cannot be written.
    """
    sheet = calibration_figure(intervals, presence, title)
    with written_whole(path) as target:
        sheet.savefig(target, dpi=110)


def _draw_transform(panel: "Axes", judged: Intervals) -> None:
    low, high = judged.transform
    if (low == high).all():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # 0.x announces 1.0 when it is imported
            import arviz  # takes seconds: only where it is wanted

        if hasattr(arviz, "plot_ecdf"):  # 0.x; 1.x has another, without axes
            arviz.plot_ecdf(
                low,
                cdf=stats.uniform.cdf,
                eval_points=np.linspace(0, 1, 101),
                confidence_bands="pointwise",
                ci_prob=0.95,
                difference=True,
                ax=panel,
            )
            return
    points = np.linspace(0, 1, 201)
    panel.plot(points, judged.transform.below(points) - points)
    panel.axhline(0, color="0.3", linewidth=1)


def _draw_coverage(panel: "Axes", intervals: Mapping[str, Intervals]) -> None:
    panel.plot([0, 1], [0, 1], color="0.3", linewidth=1)
    for name, each in intervals.items():
        panel.plot(list(each.coverage), list(each.coverage.values()), marker=".", label=name)
    panel.set(xlabel="level of the interval", ylabel="holds the truth", title="coverage")
    panel.set(xlim=(0.4, 1), ylim=(0, 1))
    if intervals:
        panel.legend(fontsize=7)


def _draw_reliability(panel: "Axes", presence: Reliability) -> None:
    panel.plot([0, 1], [0, 1], color="0.3", linewidth=1)
    panel.plot(presence.stated, presence.found, marker="o", linestyle="none")
    for x, y, number in zip(presence.stated, presence.found, presence.counts, strict=True):
        if number:
            panel.annotate(str(number), (x, y), (3, -8), textcoords="offset points", fontsize=6)
    panel.set(xlabel="confidence", ylabel="share that is there", title="presence")
    panel.set(xlim=(0, 1.02), ylim=(0, 1.02))
