"""Tracks with their uncertainty: positions over time, with highest-density intervals of ArviZ."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import xarray as xr

from scalor_ppl.files import written_whole
from scalor_ppl.results.drawing import id_colour
from scalor_ppl.results.pixels import as_rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS: Final = (".png", ".svg", ".pdf")
SHARE: Final = 0.94  # of the draws that an interval holds, as is ArviZ's custom
# In fewer draws than this an object is found by accident: they do not say where it is.
LEAST: Final = 5
# More names than this would lie on each other.
_NAMED: Final = 20
_PLACES: Final = {"centre_x": "x", "centre_y": "y"}
_LINE: Final = {"marker": ".", "markersize": 4, "linewidth": 1}


@dataclass(frozen=True)
class Course:
    """One coordinate of one object over T frames.

    Attributes:
        median: float [T] of the draws; NaN where fewer than ``LEAST`` have the object.
        ends: float [T, 2], the highest-density interval; NaN likewise.
    """

    median: np.ndarray
    ends: np.ndarray

    @property
    def width(self) -> np.ndarray:
        """Width of the interval, float [T]."""
        return self.ends[:, 1] - self.ends[:, 0]


def course(values: np.ndarray, share: float = SHARE) -> Course:
    """Median and highest-density interval of each frame's draws.

    Args:
        values: float [S, T]; NaN where a draw has no value.
        share: of the draws that an interval holds.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # 0.x announces 1.0 when it is imported
        import arviz  # takes seconds: only where it is wanted

    frames = values.shape[1]
    median, ends = np.full(frames, np.nan), np.full((frames, 2), np.nan)
    for t, column in enumerate(values.T):
        drawn = column[np.isfinite(column)]
        if len(drawn) >= LEAST:
            median[t] = np.median(drawn)
            # By position: the share is named hdi_prob in ArviZ 0.x, and prob in 1.x.
            ends[t] = arviz.hdi(drawn, share)
    return Course(median, ends)


def draw_uncertainty(tree: xr.DataTree, path: Path) -> None:
    """Draw the objects' positions over time with their 94 % highest-density intervals.

    Above: the median of the draws with the interval as a band, and the same path on the clip's last
    frame, with the intervals as crosses. Below: how wide the intervals are, since they are often
    narrower than a line, and the share of the draws in which each object lives, a row an object.
    Colours are those of the ids in other pictures; the numbers are the ids.

    Args:
        tree: as ``posterior_tree`` makes it.
        path: PNG, SVG or PDF to write.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # takes a second: only where it is wanted
    from matplotlib.ticker import MaxNLocator

    posterior = tree["posterior"].to_dataset()
    video = tree["observed_data"].to_dataset()["video"].values
    frames, (height, width) = posterior["frame"].values, video.shape[1:3]
    names = [str(identity) for identity in posterior["object"].values]
    colours = [tuple(part / 255 for part in id_colour(int(name))) for name in names]
    places = [posterior[name].values[0] for name in _PLACES]  # each [S, T, O]

    sheet = Figure(figsize=(13, 7.5), layout="constrained")
    panels = sheet.subplots(2, 3, height_ratios=(3, 2))
    (*bands, view), (*spreads, lives) = panels
    view.set_facecolor("0.35")
    view.imshow(as_rgb(video[-1]) // 2, extent=(0, width, height, 0), interpolation="nearest")
    for o, (name, colour) in enumerate(zip(names, colours, strict=True)):
        courses = [course(values[..., o]) for values in places]
        for band, spread, each in zip(bands, spreads, courses, strict=True):
            band.fill_between(frames, *each.ends.T, color=colour, alpha=0.35, linewidth=0)
            band.plot(frames, each.median, color=colour, **_LINE)
            if len(names) <= _NAMED:
                _name(band, name, frames, each.median, "black")
            spread.plot(frames, each.width, color=colour, **_LINE)
        x, y = courses
        reach = [np.abs(each.ends.T - each.median) for each in (y, x)]
        view.errorbar(x.median, y.median, *reach, color=colour, **_LINE)
        _name(view, name, x.median, y.median, "white")
    _draw_lives(lives, (posterior["presence"].values[0] > 0).mean(0), names, colours)

    edges = (-0.04 * width, 1.04 * width), (1.04 * height, -0.04 * height)
    for name, band, spread, edge in zip(_PLACES.values(), bands, spreads, edges, strict=True):
        band.set(title=f"{name} of the centres: median, {100 * SHARE:.0f} % HDI", ylabel="pixels")
        band.set_ylim(*edge)
        spread.set(title=f"width of the intervals of {name}", ylabel="pixels", xlabel="frame")
        spread.set_ylim(bottom=0)
    view.set(title="paths, on the last frame", xlim=edges[0], ylim=edges[1])
    lives.set(title=f"share of {posterior.sizes['draw']} draws with the object", xlabel="frame")
    for panel in (*bands, *spreads, lives):
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xlim(frames[0] - 0.5, frames[-1] + 0.5)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    for panel in (*bands, *spreads):
        panel.grid(alpha=0.3)
    with written_whole(path) as target:
        sheet.savefig(target, dpi=110)


def _draw_lives(
    panel: "Axes", share: np.ndarray, names: list[str], colours: list[tuple[float, ...]]
) -> None:
    """A row an object, in its colour, as strong as the share ``[T, O]`` of draws that have it."""
    if not names:  # matplotlib refuses an empty picture
        return
    cells = np.ones((len(names), len(share), 4))
    cells[..., :3] = np.asarray(colours).reshape(-1, 1, 3)
    cells[..., 3] = share.T
    panel.imshow(cells, aspect="auto", interpolation="nearest")
    shown = range(0, len(names), 1 + len(names) // _NAMED)
    panel.set_yticks(shown, [names[o] for o in shown], fontsize=7)
    panel.set_ylabel("object")


def _name(panel: "Axes", name: str, x: np.ndarray, y: np.ndarray, colour: str) -> None:
    """An object's id where its path begins."""
    known = np.nonzero(np.isfinite(y))[0]
    if len(known):
        begin = float(x[known[0]]), float(y[known[0]])
        panel.annotate(name, begin, (3, 3), textcoords="offset points", color=colour, fontsize=7)
