"""The picture of identities: where objects went, and which track followed each of them."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalor_ppl.data.records import Truth
from scalor_ppl.evaluation.clear import MISSED, NOT_THERE, followers
from scalor_ppl.evaluation.frames import scored_clip
from scalor_ppl.results.drawing import id_colour
from scalor_ppl.results.files import written_whole
from scalor_ppl.tracks.table import Tracks

_MISSED_COLOUR = (0.8, 0.8, 0.8)
_ABSENT_COLOUR = (1.0, 1.0, 1.0)


def draw_identities(
    found: Tracks, known: Truth, path: Path, distance: float | None = None, first: int = 0
) -> None:
    """Ways of true objects, ways of tracks, and a timeline of who was followed by which track.

    Args:
        found: predictions.
        known: ground truth of the same frames.
        path: NAME.png, .svg or .pdf.
        distance: gate of the centres, in pixels; twice the mean side of a true box by default.
        first: the number of the first frame, from 0.
    """
    limit = 2.0 * known.object_size if distance is None else distance
    clip = scored_clip(found, known, limit=limit, presence_threshold=0.0)
    numbers = np.unique(found.ids[found.present(0.0)])  # what followers counts by
    followed = followers(clip)
    counted = np.flatnonzero((followed != NOT_THERE).any(0))  # what is ignored throughout is not
    rows = 0.25 * max(12, len(counted))
    figure = Figure(figsize=(11, 4.5 + rows), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(4.5, rows))
    left, right = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    ways = [(int(n), known.boxes[:, n]) for n in counted]
    _draw_ways(left, ways, f"{len(ways)} true objects")
    tracks = [(int(number), _boxes_of(found, int(number))) for number in numbers]
    _draw_ways(right, tracks, f"{len(tracks)} tracks, a colour each")
    x, y = _joint(left.get_xlim(), right.get_xlim()), _joint(left.get_ylim(), right.get_ylim())
    for axes in (left, right):
        axes.set(xlim=x, ylim=y[::-1], aspect="equal")
    timeline = figure.add_subplot(grid[1, :])
    _draw_timeline(timeline, followed[:, counted], numbers, known.ids[counted], first + 1)
    with written_whole(path) as lent:
        figure.savefig(lent, dpi=110)


def _boxes_of(found: Tracks, number: int) -> np.ndarray:
    """[T, 4] boxes of one track, NaN where it is not."""
    slots = found.ids == number
    boxes = np.where(slots[..., None], found.boxes, 0).sum(1)
    return np.where(slots.any(1)[:, None], boxes, np.nan)


def _joint(*limits: tuple[float, float]) -> tuple[float, float]:
    return float(np.min(limits)), float(np.max(limits))


def _draw_ways(axes: Axes, ways: list[tuple[int, np.ndarray]], title: str) -> None:
    for number, boxes in ways:
        centres = boxes[:, :2] + boxes[:, 2:] / 2
        colour = np.array(id_colour(number)) / 255
        axes.plot(*centres.T, color=colour, lw=1.2)
        there = np.flatnonzero(np.isfinite(centres[:, 0]))
        if len(there):
            axes.plot(*centres[there[-1]], "o", color=colour, ms=4)
    axes.set(title=title, xlabel="x (pixels)", ylabel="y (pixels)")


def _draw_timeline(
    axes: Axes, followed: np.ndarray, numbers: np.ndarray, objects: np.ndarray, first: int
) -> None:
    """A row for each object, in the colours of the tracks that follow it."""
    colours = np.array([id_colour(int(number)) for number in numbers]).reshape(-1, 3) / 255
    # Missed and absent are the last two: indices -1 and -2 count from the end.
    assert (MISSED, NOT_THERE) == (-1, -2)
    colours = np.concatenate((colours, [_ABSENT_COLOUR, _MISSED_COLOUR]))
    extent = (first - 0.5, first + len(followed) - 0.5, len(objects) - 0.5, -0.5)
    axes.imshow(colours[followed.T], aspect="auto", interpolation="none", extent=extent)
    for row, ids in enumerate(followed.T):
        begins = np.flatnonzero(np.diff(ids, prepend=NOT_THERE) != 0)
        for t in begins[ids[begins] >= 0]:
            # As in the file, which counts from 1.
            axes.text(first + t, row, f" {numbers[ids[t]] + 1}", va="center", fontsize=7)
    axes.set_yticks(range(len(objects)), [str(n) for n in objects])
    axes.set(
        title="which track follows which object (grey: none)",
        xlabel="frame, from 1",
        ylabel="true object",
    )
