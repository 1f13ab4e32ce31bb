"""Tracks: the plain table of what was found in one clip, that scores, files and pictures share."""

from dataclasses import dataclass

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

    Raises:
        ValueError: where the shapes disagree.
    """

    ids: np.ndarray
    boxes: np.ndarray
    presence: np.ndarray
    discovered: np.ndarray

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

    @property
    def frames(self) -> int:
        """The number of frames T."""
        return self.ids.shape[0]

    def present(self, threshold: float = 0.5) -> np.ndarray:
        """Bool [T, K]: slots that hold an object whose presence is at least `threshold`."""
        return (self.ids != EMPTY) & (self.presence >= threshold)
