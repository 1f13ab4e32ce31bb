"""Tracks by object: where each one was, from its first frame to its last."""

from dataclasses import dataclass

import numpy as np

from scalor_ppl.tracks.table import Tracks


@dataclass(frozen=True)
class Life:
    """One object's track.

    Attributes:
        identity: its id.
        frames: int64 [n], the frames in which it is present, from 0, rising; n is at least 1.
        boxes: float32 [n, 4], left, top, width, height in pixels of the view.
    """

    identity: int
    frames: np.ndarray
    boxes: np.ndarray

    @property
    def centres(self) -> np.ndarray:
        """Middle of the boxes, x and y, ``[n, 2]``."""
        return self.boxes[:, :2] + self.boxes[:, 2:] / 2

    @property
    def speed(self) -> float:
        """Median way of the centre in pixels a frame; NaN for an object of one frame."""
        if len(self.frames) < 2:
            return float("nan")
        ways = np.linalg.norm(np.diff(self.centres, axis=0), axis=1)
        return float(np.median(ways / np.diff(self.frames)))


def lives_of(tracks: Tracks) -> list[Life]:
    """The present objects of tracks, the longest-lived first."""
    frames, slots = np.nonzero(tracks.present())
    ids, boxes = tracks.ids[frames, slots], tracks.boxes[frames, slots]
    order = np.argsort(ids, kind="stable")  # frames stay in order within an id
    names, begins = np.unique(ids[order], return_index=True)
    if not len(names):
        return []
    lives = [
        Life(int(name), frames[rows], boxes[rows])
        for name, rows in zip(names, np.split(order, begins[1:]), strict=True)
    ]
    return sorted(lives, key=lambda life: (-len(life.frames), life.identity))
