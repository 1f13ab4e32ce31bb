"""Where the objects in view have been in the last frames."""

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

KEPT = 30
"""Centres of an object that are remembered."""

Point = tuple[float, float]


class Trails:
    """The last centres of the objects that are present, by id.

    Args:
        state: the trails to go on with.
    """

    def __init__(self, state: Mapping[int, Sequence[Point]] | None = None) -> None:
        self._points = {i: deque(points, KEPT) for i, points in (state or {}).items()}

    def move(self, ids: np.ndarray, boxes: np.ndarray) -> None:
        """The next frame; whoever is not in it is forgotten.

        Args:
            ids: int [N], of the objects that are present.
            boxes: [N, 4] left, top, width, height in pixels.
        """
        centres = (boxes[:, :2] + boxes[:, 2:] / 2).tolist()
        before = self._points
        self._points = {i: before.get(i, deque(maxlen=KEPT)) for i in ids.tolist()}
        for i, (x, y) in zip(ids.tolist(), centres, strict=True):
            self._points[i].append((x, y))

    def points(self) -> dict[int, list[Point]]:
        """Centres (x, y) in pixels by id, the oldest first."""
        return {i: list(points) for i, points in self._points.items()}
