"""A rectangle of the frame."""

from dataclasses import dataclass

import numpy as np

from scalor_ppl.errors import UserError


@dataclass(frozen=True)
class Region:
    """A rectangle of the frame, in pixels.

    Attributes:
        left, top, width, height: of the rectangle.
    """

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def parse(cls, option: str, text: str) -> "Region":
        """The region that an option of the command line gives, ``LEFT,TOP,WIDTH,HEIGHT``.

        Raises:
            UserError: it is something else.
        """
        try:
            left, top, width, height = (int(part) for part in text.split(","))
        except ValueError:
            raise UserError(
                f"{option} {text}: give left, top, width, height in pixels, as in 0,0,200,70"
            ) from None
        return cls(left, top, width, height)

    def cut(self, frame: np.ndarray) -> np.ndarray:
        """The part of a frame ``[H, W, C]``.

        Raises:
            UserError: the region does not lie in the frame.
        """
        rows, columns = self.top + self.height, self.left + self.width
        if min(self.left, self.top) < 0 or rows > frame.shape[0] or columns > frame.shape[1]:
            raise UserError(
                f"a region of {self.width} x {self.height} pixels at {self.left},{self.top} does "
                f"not lie in frames of {frame.shape[1]} x {frame.shape[0]}"
            )
        return frame[self.top : rows, self.left : columns]

    def holds(self, boxes: np.ndarray) -> np.ndarray:
        """Whether the centres of boxes ``[..., 4]`` lie inside; false of NaN."""
        offset = boxes[..., :2] + boxes[..., 2:] / 2 - [self.left, self.top]
        with np.errstate(invalid="ignore"):
            inside: np.ndarray = (offset >= 0) & (offset < [self.width, self.height])
        return np.all(inside, axis=-1)
