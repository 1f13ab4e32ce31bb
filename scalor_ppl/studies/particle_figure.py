"""The picture of what trackers find of known particles: precision over recall."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from scalor_ppl.files import written_whole
from scalor_ppl.studies.particles import ParticleResult

_COLOURS = ("C0", "C1")
_LEAST = 0.5  # recall and precision that are shown


def draw_curves(results: Sequence[ParticleResult], path: Path) -> None:
    """Draw precision over recall, a panel a set, a line a tracker and clip.

    A line goes from the point of all that was found, marked by a dot, to that of the surest. Both
    axes begin at one half.

    Args:
        results: of all sets and clips; those without a curve are left out.
        path: NAME.png.
    """
    curved = [each for each in results if each.curve]
    sets = list(dict.fromkeys(each.set for each in curved))
    names = list(dict.fromkeys(each.tracker for each in curved))
    figure = Figure(figsize=(4.2 * len(sets), 3.8), layout="constrained")
    panels = figure.subplots(1, len(sets), squeeze=False, sharey=True)[0]
    for axes, name in zip(panels, sets, strict=True):
        for tracker, colour in zip(names, _COLOURS, strict=False):
            own = [each for each in curved if (each.set, each.tracker) == (name, tracker)]
            for number, each in enumerate(own):
                points = sorted(each.curve, key=lambda point: (point.recall, -point.precision))
                recall = [point.recall for point in points]
                precision = [point.precision for point in points]
                label = tracker if number == 0 else None
                axes.plot(recall, precision, "-", lw=1.2, color=colour, label=label)
                axes.plot(recall[-1:], precision[-1:], "o", ms=4, color=colour)
        axes.set(xlabel="recall", xlim=(_LEAST, 1.005), ylim=(_LEAST, 1.01))
        axes.set_title(f"{name}, {len({each.seed for each in own})} clips", fontsize="medium")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("precision")
    panels[0].legend(frameon=False, loc="lower left")
    with written_whole(path) as lent:
        figure.savefig(lent, format="png", dpi=120)
