"""How the objects of a generated clip look, and painting them."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from scalor_ppl.data import shapes


class Painted(NamedTuple):
    """What is seen of N objects in T frames.

    Attributes:
        masks: [T, H, W] int32, number of the object at each pixel; -1 for none.
        visible: [T, N] float32, share of each object's area in view and not covered.
        masses: [T, N, 2] centres of mass, x and y in pixels; NaN before birth and out of view.
    """

    masks: np.ndarray
    visible: np.ndarray
    masses: np.ndarray


@dataclass(frozen=True)
class Looks:
    """How N objects look, as `shapes.paint` wants it, and their boxes.

    Attributes:
        kinds: [N] SQUARE, ELLIPSE, HEART, GLYPH or DISC of `shapes`.
        glyphs: [N, G, G] pictures in 0..1, or [1, 1, 1] where no object is one.
        angles: [N] in radians.
        scales: [N] the shape's own units per pixel.
        reach: [N, 4] least x, least y, greatest x, greatest y painted, from the centre, in pixels.
        colours: [N, C] in 0..1.
        boxes: [N, 4] of the objects, likewise.
        threshold: coverage from which a pixel is the object's.
        labels: [N] what each is.
    """

    kinds: np.ndarray
    glyphs: np.ndarray
    angles: np.ndarray
    scales: np.ndarray
    reach: np.ndarray
    colours: np.ndarray
    boxes: np.ndarray
    threshold: float
    labels: np.ndarray

    def only(self, n: int) -> Self:
        """The looks of one of the objects."""
        one = slice(n, n + 1)
        return replace(
            self,
            kinds=self.kinds[one],
            glyphs=self.glyphs[one] if len(self.glyphs) == len(self.kinds) else self.glyphs,
            angles=self.angles[one],
            scales=self.scales[one],
            reach=self.reach[one],
            colours=self.colours[one],
            boxes=self.boxes[one],
            labels=self.labels[one],
        )

    def paint(self, canvas: np.ndarray, centres: np.ndarray, births: np.ndarray) -> Painted:
        """Paint them, later ones in front.

        Args:
            canvas: [T, H, W, C] float32 in 0..1, painted upon.
            centres: [T, N, 2] x, y in pixels.
            births: [N] the frame, of these, in which each first exists.
        """
        frames, count = centres.shape[:2]
        painted = Painted(
            np.full(canvas.shape[:3], -1, dtype=np.int32),
            np.zeros((frames, count), dtype=np.float32),
            np.full((frames, count, 2), np.nan),
        )
        shapes.paint(
            canvas,
            *painted,
            centres,
            births,
            self.kinds,
            self.glyphs,
            self.angles,
            self.scales,
            self.reach,
            self.colours,
            self.threshold,
        )
        return painted
