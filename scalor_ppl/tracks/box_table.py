"""Boxes of objects as rows, one an object and frame: what files of tracks and of truth hold."""

from dataclasses import dataclass, replace

import numpy as np

from scalor_ppl.tracks.table import Tracks

_LARGEST = 2**63 - 1  # of an id that fits into int64


@dataclass(frozen=True)
class BoxTable:
    """R rows of N objects. Memory goes with the rows, however far apart their frames and ids are.

    Attributes:
        frames: int64 [R], counted from 0, ascending.
        objects: int64 [R] in 0..N-1, which of the labels; at most once a frame.
        boxes: float64 [R, 4], left, top, width, height in pixels.
        confidence: float64 [R], as whoever made the rows says, 1 where nothing is said. In ground
            truth 0 marks what is to be ignored: neither to be found nor wrong to be found.
        labels: [N] the ids, as they stand in the file, ascending, exact whatever their size.
        counted_from: the number that the file gives to frame 0: 0 or 1.
    """

    frames: np.ndarray
    objects: np.ndarray
    boxes: np.ndarray
    confidence: np.ndarray
    labels: tuple[int, ...]
    counted_from: int = 1

    def __len__(self) -> int:
        return len(self.frames)

    @classmethod
    def of(cls, tracks: Tracks, threshold: float = 0.0) -> "BoxTable":
        """The objects of tracks whose presence is at least `threshold`; a label is the id plus 1,
        as in files."""
        t, k = np.nonzero(tracks.present(threshold))
        ids, objects = np.unique(tracks.ids[t, k], return_inverse=True)
        return cls(
            frames=t,
            objects=objects,
            boxes=tracks.boxes[t, k].astype(np.float64),
            confidence=tracks.presence[t, k].astype(np.float64),
            labels=tuple(number + 1 for number in ids.tolist()),
        )

    @property
    def ignored(self) -> np.ndarray:
        """Bool [R]: rows of ground truth that do not count."""
        return self.confidence == 0

    @property
    def object_size(self) -> float:
        """Mean side of the boxes that are not ignored, in pixels; NaN where there are none."""
        sides = self.boxes[~self.ignored, 2:]
        return float(sides.mean()) if sides.size else float("nan")

    @property
    def ids(self) -> np.ndarray:
        """int64 [N]: the labels where all of them are 0 or more and fit, else 0..N-1."""
        if self.labels and (self.labels[0] < 0 or self.labels[-1] > _LARGEST):
            return np.arange(len(self.labels))
        return np.array(self.labels, dtype=np.int64)

    def kept(self, rows: np.ndarray) -> "BoxTable":
        """Some of the rows, bool [R]; the labels stay."""
        return replace(
            self,
            frames=self.frames[rows],
            objects=self.objects[rows],
            boxes=self.boxes[rows],
            confidence=self.confidence[rows],
        )

    def during(self, first: int, stop: int) -> "BoxTable":
        """The rows of the frames from `first` to before `stop`, which becomes frame 0."""
        begin, end = np.searchsorted(self.frames, (first, stop))
        rows = slice(int(begin), int(end))
        return BoxTable(
            frames=self.frames[rows] - first,
            objects=self.objects[rows],
            boxes=self.boxes[rows],
            confidence=self.confidence[rows],
            labels=self.labels,
            counted_from=self.counted_from,
        )

    def at(self, frames: np.ndarray) -> "BoxTable":
        """The rows of some frames; the first of these becomes frame 0, the next frame 1.

        Args:
            frames: int64 [T], ascending, each once.
        """
        place = np.searchsorted(frames, self.frames)
        there = place < len(frames)
        there[there] = frames[place[there]] == self.frames[there]
        return replace(self.kept(there), frames=place[there])

    def first_rows(self) -> np.ndarray:
        """Bool [R]: the first row of each object."""
        first = np.zeros(len(self), dtype=bool)
        first[np.unique(self.objects, return_index=True)[1]] = True
        return first

    def dense(self, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Arrays by frame and object, of the objects that occur.

        Only for tables of few frames: of a clip whose pixels are in memory, too.

        Args:
            frames: T, beyond the last frame that has a row.

        Returns:
            Which objects occur, int64 [n]; boxes float64 [T, n, 4], NaN where there is none;
            ignored, bool [T, n].
        """
        occur, column = np.unique(self.objects, return_inverse=True)
        boxes = np.full((frames, len(occur), 4), np.nan)
        ignored = np.zeros((frames, len(occur)), dtype=bool)
        boxes[self.frames, column] = self.boxes
        ignored[self.frames, column] = self.ignored
        return occur, boxes, ignored
