"""The picture of identities: where objects went, and which track followed each of them."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalor_ppl.evaluation.clear import MISSED, Follower, followers
from scalor_ppl.evaluation.files import Pair
from scalor_ppl.evaluation.frames import scored_tables
from scalor_ppl.files import written_whole
from scalor_ppl.results.drawing import id_colour
from scalor_ppl.tracks.box_table import BoxTable

_MISSED_COLOUR = (0.8, 0.8, 0.8)
_OBJECTS = 200  # drawn in the timeline at most
_SHADES = 2**31  # colours go by ids below


def draw_identities(pair: Pair, path: Path, distance: float | None = None) -> None:
    """Ways of true objects, ways of tracks, and a timeline of who was followed by which track.

    Of more than 200 objects, the timeline has those that are there in the most frames.

    Args:
        pair: predictions and ground truth.
        path: NAME.png, .svg or .pdf.
        distance: gate of the centres, in pixels; twice the mean side of a true box by default.
    """
    found, known = pair.found, pair.known.kept(~pair.known.ignored)
    limit = 2.0 * known.object_size if distance is None else distance
    lives = np.bincount(known.objects, minlength=len(known.labels))
    counted = np.flatnonzero(lives)
    drawn = np.sort(counted[np.argsort(-lives[counted], kind="stable")[:_OBJECTS]])
    rows = 0.25 * max(12, len(drawn))
    figure = Figure(figsize=(11, 4.5 + rows), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(4.5, rows))
    left, right = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    _draw_ways(left, known, f"{len(counted)} true objects")
    _draw_ways(right, found, f"{len(np.unique(found.objects))} tracks, a colour each")
    x, y = _joint(left.get_xlim(), right.get_xlim()), _joint(left.get_ylim(), right.get_ylim())
    for axes in (left, right):
        axes.set(xlim=x, ylim=y[::-1], aspect="equal")
    timeline = figure.add_subplot(grid[1, :])
    followed = followers(scored_tables(found, pair.known, limit=limit))
    frames = np.union1d(pair.known.frames, found.frames) + pair.frames.start + 1
    _draw_timeline(timeline, followed, frames, drawn, pair)
    title = "which track follows which object (grey: none)"
    if len(drawn) < len(counted):
        title += f": the {len(drawn)} of {len(counted)} seen longest"
    timeline.set_title(title)
    with written_whole(path) as lent:
        figure.savefig(lent, dpi=110)


def _joint(*limits: tuple[float, float]) -> tuple[float, float]:
    return float(np.min(limits)), float(np.max(limits))


def _colour(label: int) -> np.ndarray:
    # In other pictures ids count from 0.
    return np.array(id_colour((label - 1) % _SHADES)) / 255


def _draw_ways(axes: Axes, table: BoxTable, title: str) -> None:
    order = np.argsort(table.objects, kind="stable")
    begins = np.unique(table.objects[order], return_index=True)[1]
    for rows in np.split(order, begins[1:]) if len(order) else ():
        centres = table.boxes[rows, :2] + table.boxes[rows, 2:] / 2
        gaps = np.flatnonzero(np.diff(table.frames[rows]) > 1) + 1
        colour = _colour(table.labels[table.objects[rows[0]]])
        axes.plot(*np.insert(centres, gaps, np.nan, axis=0).T, color=colour, lw=1.2)
        axes.plot(*centres[-1], "o", color=colour, ms=4)
    axes.set(title=title, xlabel="x (pixels)", ylabel="y (pixels)")


def _draw_timeline(
    axes: Axes, followed: list[Follower], frames: np.ndarray, drawn: np.ndarray, pair: Pair
) -> None:
    """A row for each object, in the colours of the tracks that follow it.

    Args:
        axes: to draw on.
        followed: who is followed, in each frame that has a row.
        frames: int64 [T], their numbers, from 1.
        drawn: int64 [n], which objects.
        pair: whose labels the numbers are of.
    """
    objects = np.concatenate([each.objects for each in followed])
    tracks = np.concatenate([each.predictions for each in followed])
    at = np.repeat(frames, [len(each.objects) for each in followed])
    for row, number in enumerate(drawn):
        own = objects == number
        ids, times = tracks[own], at[own]
        begins = np.flatnonzero((np.diff(ids) != 0) | (np.diff(times) > 1)) + 1
        shown: int | None = None
        for part in np.split(np.arange(len(ids)), begins):
            track = int(ids[part[0]])
            label = 0 if track == MISSED else pair.found.labels[track]
            colour = _MISSED_COLOUR if track == MISSED else _colour(label)
            begin, length = times[part[0]] - 0.5, times[part[-1]] - times[part[0]] + 1
            axes.broken_barh([(begin, length)], (row - 0.5, 1), color=colour, lw=0)
            if track not in (MISSED, shown):
                axes.text(begin + 0.5, row, f" {label}", va="center", fontsize=7)  # as in the file
            shown = track
    axes.set_yticks(range(len(drawn)), [str(pair.known.labels[n]) for n in drawn])
    axes.set(
        xlim=(frames[0] - 0.5, frames[-1] + 0.5),
        ylim=(len(drawn) - 0.5, -0.5),
        xlabel="frame, from 1",
        ylabel="true object",
    )
