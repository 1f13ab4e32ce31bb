"""Stretches of tracks: runs of rows of one object that a likelihood takes as one.

A track is cut where nothing was found in two tracked frames or more, where the common drift is not
known, and at a row whose position has no stated error while others have: it could not be measured,
as where two objects cross, and who goes on behind it is a guess. A single frame without a row is
bridged. Long runs are cut as well, for the work grows with the square of their length: no stretch
has more than `_LONGEST` rows, fewer where there are very many rows.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scalor_ppl.evaluation.walks import Walks

MANY = 20
"""Tracks from which on they, and not their stretches, are what is independent."""

_BRIDGED = 2  # units from row to row, at most
_LONGEST, _SHORTEST = 100, 16  # rows of a stretch, at most
_LONGEST_OF_FEW = 30  # where stretches are what is independent
_LEAST = 3  # rows of a stretch
_WORK = 1e8  # rows times the square of the length of a stretch
_MOST = 400_000  # rows; of more, evenly chosen stretches
_BLOCK = 2e6  # numbers in the matrices of a block


class Stretches(NamedTuple):
    """S stretches of at most L rows, short ones first; what is behind their ends is 0.

    Attributes:
        times: int64 [S, L], units since the first row; rising behind the end, too.
        moved: float64 [S, L - 1, 2], from row to row, in pixels, scaled for what drift took of it.
        variances: float64 [S, L, 2], stated of the rows, in pixels squared; 0 where none are.
        rows: int64 [S], how many.
        groups: int64 [S] in 0..G-1, what is independent: tracks, or stretches where tracks are few.
        share: float64 [S], of the object's own mean square that drift has left.
        stated: variances are stated.
        unit: frames.
    """

    times: np.ndarray
    moved: np.ndarray
    variances: np.ndarray
    rows: np.ndarray
    groups: np.ndarray
    share: np.ndarray
    stated: bool
    unit: int

    @property
    def number(self) -> int:
        """G, how many groups there are."""
        return int(self.groups.max(initial=-1)) + 1

    @property
    def variance(self) -> float:
        """Mean of the stated variances, in pixels squared; 0 where none are stated."""
        there = np.arange(self.times.shape[1]) < self.rows[:, None]
        return float(self.variances[there].mean()) if self.stated and there.any() else 0.0

    def blocks(self) -> Iterator["Stretches"]:
        """A few at a time, no longer than they must be."""
        begin = 0
        while begin < len(self.rows):
            longest, end = int(self.rows[begin]), begin
            while end < len(self.rows):
                longest = int(self.rows[end])
                if end > begin and (end + 1 - begin) * longest**2 > _BLOCK:
                    break
                end += 1
            some = slice(begin, end)
            longest = int(self.rows[end - 1])
            yield self._replace(
                times=self.times[some, :longest],
                moved=self.moved[some, : longest - 1],
                variances=self.variances[some, :longest],
                rows=self.rows[some],
                groups=self.groups[some],
                share=self.share[some],
            )
            begin = end


def stretches(walks: Walks, *, unit: int = 1, spread: np.ndarray | None = None) -> Stretches:
    """Cut tracks into stretches.

    Args:
        walks: of one video.
        unit: frames from one tracked frame to the next.
        spread: float64 [R, 2], stated standard deviations of the rows of the table that the walks
            are of, in pixels; NaN where nothing is stated.
    """
    stated = spread is not None and bool(np.isfinite(spread).all(1).any())
    deviations = np.zeros((len(walks.rows), 2)) if spread is None else spread[walks.rows]
    measured = np.ones(len(walks.rows), dtype=bool)
    if stated:
        measured &= np.isfinite(deviations).all(1)
    variances = np.where(measured[:, None], np.square(deviations), 0.0)
    tied = _tied(walks, unit, measured)
    tracks = len(np.unique(walks.objects[measured]))
    longest = np.clip(np.sqrt(_WORK / max(len(tied), 1)), _SHORTEST, _LONGEST)
    begins, rows = _runs(tied, int(longest) if tracks >= MANY else _LONGEST_OF_FEW)
    enough = rows >= _LEAST
    enough &= measured[begins]
    begins, rows = begins[enough], rows[enough]
    thinned = np.arange(0, len(rows), max(1, -(-int(rows.sum()) // _MOST)))
    order = thinned[np.argsort(rows[thinned], kind="stable")]
    begins, rows = begins[order], rows[order]
    width = int(rows.max(initial=_LEAST))
    there = np.arange(width) < rows[:, None]
    index = np.where(there, begins[:, None] + np.arange(width), 0)
    frames = walks.frames[walks.index[index]] if len(rows) else np.zeros_like(index)
    times = (frames - frames[:, :1]) // unit
    last = np.take_along_axis(times, rows[:, None] - 1, axis=1)
    times = np.where(there, times, last + np.arange(width) + 1 - rows[:, None])
    share = walks.share_left(begins, begins + rows - 1)
    moved = np.diff(walks.places[index], axis=1) if len(rows) else np.zeros((0, width - 1, 2))
    moved = moved / np.sqrt(share)[:, None, None]
    who = walks.objects[begins] if tracks >= MANY else np.arange(len(begins))
    return Stretches(
        times=times,
        moved=np.where(there[:, 1:, None], moved, 0.0),
        variances=np.where(there[..., None], variances[index], 0.0) if len(rows) else moved[:, :0],
        rows=rows,
        groups=np.unique(who, return_inverse=True)[1],
        share=share,
        stated=stated,
        unit=unit,
    )


def _tied(walks: Walks, unit: int, measured: np.ndarray) -> np.ndarray:
    """Bool [R]: a row goes on with the stretch of the row before it."""
    tied = np.zeros(len(walks.rows), dtype=bool)
    for gap in range(1, _BRIDGED + 1):
        pairs = walks.pairs(gap * unit)
        successive = pairs.last == pairs.first + 1
        first, last = pairs.first[successive], pairs.last[successive]
        tied[last] = measured[first] & measured[last]
    return tied


def _runs(tied: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """First rows of the runs, none longer than that, and how many rows each has."""
    begins = np.flatnonzero(~tied)
    lengths = np.diff(begins, append=len(tied))
    pieces = -(-lengths // longest)
    run = np.repeat(np.arange(len(begins)), pieces)
    number = np.arange(len(run)) - np.repeat(pieces.cumsum() - pieces, pieces)
    # Of about the same length, so that no short end is lost.
    first = number * lengths[run] // pieces[run]
    after = (number + 1) * lengths[run] // pieces[run]
    return begins[run] + first, after - first
