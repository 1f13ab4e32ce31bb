"""Tracks: the plain table of what was found in one clip, that scores, files and pictures share."""

from dataclasses import dataclass, replace

import numpy as np

EMPTY = -1
"""The id of a slot that holds nothing."""


@dataclass(frozen=True)
class Tracks:
    """What the guide found in one clip, in pixels of the view, K slots a frame.

    The origin is the upper left corner of the view; a box may reach beyond the view, because it is
    the box of the whole object.

    Attributes:
        ids: int64 [T, K], unique within the video for ever; -1 marks an empty slot.
        boxes: float32 [T, K, 4], left, top, width, height in pixels.
        presence: float32 [T, K] in 0..1, z_pres; where somebody was asked how sure it is that the
            object is there (`track`, files of tracks) the answer, which is a confidence.
        discovered: bool [T, K], true in the frame where the object was found, not propagated.
        centres: float [T, K, 2], x and y of the objects' centres of mass in pixels; None where
            nobody knows better than the middle of the box.
        spread: float [T, K, 2], standard deviations of the centres in pixels, NaN where nobody
            knows; None where nobody was asked.

    Raises:
        ValueError: where the shapes disagree.
    """

    ids: np.ndarray
    boxes: np.ndarray
    presence: np.ndarray
    discovered: np.ndarray
    centres: np.ndarray | None = None
    spread: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.ids.ndim != 2:
            raise ValueError(f"ids are [T, K], not {self.ids.shape}")
        if self.boxes.shape != (*self.ids.shape, 4):
            raise ValueError(
                f"boxes are [T, K, 4] = {(*self.ids.shape, 4)}, not {self.boxes.shape}"
            )
        for name, array in (("presence", self.presence), ("discovered", self.discovered)):
            if array.shape != self.ids.shape:
                raise ValueError(f"{name} is [T, K] = {self.ids.shape}, not {array.shape}")
        for name in ("centres", "spread"):
            array = getattr(self, name)
            if array is not None and array.shape != (*self.ids.shape, 2):
                shape = (*self.ids.shape, 2)
                raise ValueError(f"{name} are [T, K, 2] = {shape}, not {array.shape}")

    @property
    def frames(self) -> int:
        """The number of frames T."""
        return self.ids.shape[0]

    def middles(self) -> np.ndarray:
        """Float64 [T, K, 2]: `centres`, or the middles of the boxes where nobody knows better."""
        if self.centres is not None:
            return self.centres.astype(np.float64)
        return self.boxes[..., :2].astype(np.float64) + 0.5 * self.boxes[..., 2:]

    def scaled(self, factor: np.ndarray) -> "Tracks":
        """The same in other pixels, which are `factor` [2] (x, y) times as many."""

        def times(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else (array * factor).astype(np.float32)

        boxes = (self.boxes * np.tile(factor, 2)).astype(np.float32)
        return replace(self, boxes=boxes, centres=times(self.centres), spread=times(self.spread))

    def present(self, threshold: float = 0.5) -> np.ndarray:
        """Bool [T, K]: slots that hold an object whose presence is at least `threshold`."""
        return (self.ids != EMPTY) & (self.presence >= threshold)
