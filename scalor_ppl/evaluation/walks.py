"""Walks of tracked objects: places by object and frame, without common drift, and pairs of them.

Only frames that have rows are known. Others were not tracked (a start, a stride, frames that got
lost), or nothing was found in them: the file does not say. So drift is measured from each frame
that has rows to the next one.

**Drift** is the mean displacement of the objects that are in both frames. To take it out takes a
part of each object's own motion with it: of n objects that move independently, 1/n of the mean
square, for an object that is among them; one that was not seen meanwhile gains as much.
`Walks.share` says how much is left. It takes two objects to tell drift from motion: displacements
over steps that have fewer are left out; where no step has two, drift stays.
"""

from typing import NamedTuple

import numpy as np

from scalor_ppl.tracks.box_table import BoxTable


class Pairs(NamedTuple):
    """P pairs of rows of one object, a lag apart.

    Attributes:
        first: int64 [P], rows of `Walks`, ascending.
        last: int64 [P], likewise.
    """

    first: np.ndarray
    last: np.ndarray


class Walks:
    """Places of objects by object and frame, and the steps from frame to frame.

    Args:
        table: tracks of one video.
        drift: keep the motion that all objects have in common; by default it is taken out.
        measured: bool [R], rows of the table that tell the drift; all by default.

    Attributes:
        frames: int64 [F], those that have rows, from 0.
        counts: int64 [F], objects in each.
        stride: what all steps between them are multiples of; 0 of one frame.
        least: the shortest of these steps; 0 of one frame.
        drift_left: drift was to be taken out, but stayed: never were two objects in both frames.
        left_out: share of the steps between frames over which drift is not known.
        rows: int64 [R], which row of the table each is.
        objects: int64 [R], which object of the table each row is of, ascending.
        index: int64 [R], which of the frames it is in, ascending within an object.
        places: float64 [R, 2], x, y in pixels, less the drift since the first frame.
    """

    def __init__(
        self, table: BoxTable, *, drift: bool = False, measured: np.ndarray | None = None
    ) -> None:
        self.frames, index, self.counts = np.unique(
            table.frames, return_inverse=True, return_counts=True
        )
        gaps = np.diff(self.frames)
        self.stride = int(np.gcd.reduce(gaps)) if len(gaps) else 0
        self.least = int(gaps.min()) if len(gaps) else 0
        self.drift_left, self.left_out = False, 0.0
        self.rows = order = np.lexsort((table.frames, table.objects))
        self.objects, self.index = table.objects[order], index[order]
        self.places = table.boxes[order, :2] + table.boxes[order, 2:] / 2
        # How much of an object's own mean square is left in it, summed from its first frame on.
        self._left = (table.frames[order] - self.frames[:1]).astype(np.float64)
        self._unknown = np.zeros(len(order), dtype=np.int64)  # steps so far of unknown drift
        if not drift and len(gaps):
            self._take_out_drift(gaps, None if measured is None else measured[order])
        self._keys = self.objects * len(self.frames) + self.index  # rises from row to row

    def _take_out_drift(self, gaps: np.ndarray, measured: np.ndarray | None) -> None:
        """Take out the mean step of the objects in both frames.

        Args:
            gaps: int64 [F - 1], how long each step is.
            measured: bool [R], rows that tell it; None for all.
        """
        index = self.index
        own = (np.diff(self.objects) == 0) & (np.diff(index) == 1)
        if measured is not None:
            own &= measured[1:] & measured[:-1]
        step = index[:-1][own]
        moved = np.diff(self.places, axis=0)[own]
        number = np.bincount(step, minlength=len(gaps))
        enough = number >= 2
        common = np.stack([np.bincount(step, way, minlength=len(gaps)) for way in moved.T], 1)
        common = np.where(enough[:, None], common / np.maximum(number, 1)[:, None], 0)
        if not enough.any():
            self.drift_left = True
            return
        self.left_out = float(1 - enough.mean())
        self._unknown = np.concatenate(([0], (~enough).cumsum()))[index]
        self.places -= np.concatenate((np.zeros((1, 2)), common.cumsum(0)))[index]
        # Whoever is not in the mean has the mean's own motion on top; whoever is, loses its part.
        share = np.where(enough, gaps / np.maximum(number, 1), 0.0)
        self._left += np.concatenate(([0.0], share.cumsum()))[index]
        loss = np.zeros(len(index))
        loss[1:][own] = 2 * share[step]
        self._left -= loss.cumsum()

    def pairs(self, lag: int) -> Pairs:
        """All pairs of one object's rows that lie so many frames apart, drift known in between."""
        if not len(self.index):
            return Pairs(np.empty(0, np.int64), np.empty(0, np.int64))
        target = np.minimum(np.searchsorted(self.frames, self.frames + lag), len(self.frames) - 1)
        first = np.flatnonzero((self.frames[target] == self.frames + lag)[self.index])
        wanted = self._keys[first] + (target - np.arange(len(target)))[self.index[first]]
        last = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        there = (self._keys[last] == wanted) & (self._unknown[last] == self._unknown[first])
        return Pairs(first[there], last[there])

    def moved(self, pairs: Pairs) -> np.ndarray:
        """[P, 2] the displacement of each pair, in pixels."""
        return self.places[pairs.last] - self.places[pairs.first]

    def share(self, pairs: Pairs, lag: int) -> np.ndarray:
        """[P] share of an object's own mean square that is left in each displacement."""
        return (self._left[pairs.last] - self._left[pairs.first]) / lag

    def share_left(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """[P] the same of rows [P] of one object, over the frames between them; above 0."""
        frames = self.frames[self.index]
        apart = np.maximum(frames[last] - frames[first], 1)
        return np.maximum((self._left[last] - self._left[first]) / apart, np.finfo(float).tiny)

    def steps(self, unit: int = 1) -> "Steps":
        """The steps from one tracked frame to the next, each scaled by what drift took of it.

        Args:
            unit: frames from one tracked frame to the next.
        """
        pairs = self.pairs(unit)
        share = np.sqrt(np.maximum(self.share(pairs, unit), np.finfo(float).tiny))
        frames = self.frames[self.index[pairs.first]]
        return Steps(
            pairs.first, self.objects[pairs.first], frames, self.moved(pairs) / share[:, None], unit
        )


class Steps(NamedTuple):
    """S steps of objects.

    Attributes:
        rows: int64 [S], the row of `Walks` that each begins at, ascending.
        objects: int64 [S], ascending.
        frames: int64 [S], in which each begins, ascending within an object.
        moved: float64 [S, 2], in pixels.
        unit: frames that a step takes.
    """

    rows: np.ndarray
    objects: np.ndarray
    frames: np.ndarray
    moved: np.ndarray
    unit: int

    def apart(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of steps of one object, the second so many steps later: int64 [P] twice."""
        if not len(self.rows):
            return self.rows, self.rows
        frames, index = np.unique(self.frames, return_inverse=True)
        keys = self.objects * len(frames) + index
        wanted = self.frames + steps * self.unit
        place = np.minimum(np.searchsorted(frames, wanted), len(frames) - 1)
        there = frames[place] == wanted
        key = self.objects * len(frames) + place
        later = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
        there &= keys[later] == key
        return np.flatnonzero(there), later[there]
