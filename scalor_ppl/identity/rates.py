"""How often objects come into view, and how often those out of sight come back."""

from typing import Any

import numpy as np

_BEGINNING = 4  # frames in which all are found that were there before
_NEW = (0.5, 50.0)  # guess: so many new objects in so many frames, all of the view
_BACK = ((1.0, 1.0), (0.5, 2.0))  # guesses: came back and did not, within the view and at its edge
_HIDDEN = 8.0  # guess: frames out of sight


class Rates:
    """Rates within the view (zone 0) and at its edge (zone 1), learned frame by frame.

    Args:
        size: height and width of the view, in the unit of places.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.new = [0.0, 0.0]
        self.exposure = [0.0, 0.0]  # area times frames
        self.back = [list(each) for each in _BACK]
        self.hidden = [_HIDDEN, 1.0]  # frames out of sight of those that came back, their number

    def zone(self, place: np.ndarray, side: float) -> int:
        """1 where an object of a size would reach beyond the view, or nearly; else 0."""
        height, width = self.size
        margin = min(place[0], place[1], width - place[0], height - place[1])
        return int(margin < side)

    def areas(self, side: float) -> tuple[float, float]:
        """Of the zones, for objects of a size."""
        height, width = self.size
        inner = max(0.0, height - 2 * side) * max(0.0, width - 2 * side)
        return inner, max(0.0, height * width - inner)

    def learn_frame(self, frame: int, side: float, new: list[tuple[int, float]]) -> None:
        """Learn from a frame.

        Args:
            frame: its number, from 0.
            side: mean of the objects.
            new: zone of each object that began, and how sure it is that it is new.
        """
        if frame < _BEGINNING:
            return
        for zone, area in enumerate(self.areas(side)):
            self.exposure[zone] += area
        for zone, probability in new:
            self.new[zone] += probability

    def learn_back(self, zone: int, probability: float, gap: int) -> None:
        """Learn that an object lost in a zone came back after a gap, as likely as that."""
        self.back[zone][0] += probability
        self.hidden[0] += probability * gap
        self.hidden[1] += probability

    def learn_gone(self, zone: int) -> None:
        """Learn that an object lost in a zone did not come back."""
        self.back[zone][1] += 1

    def births(self, zone: int) -> float:
        """New objects a frame and unit of area."""
        count, frames = _NEW
        height, width = self.size
        # The guess is of the whole view; it weighs as much in either zone.
        return (self.new[zone] + count) / (self.exposure[zone] + frames * height * width)

    def returning(self, zone: int, gap: int) -> float:
        """Chance that an object lost in a zone comes back after just so many frames."""
        back, gone = self.back[zone]
        every = self.hidden[1] / (self.hidden[0] + self.hidden[1])
        hidden = back / (back + gone) * (1 - every) ** (gap - 1)
        return every * hidden / (hidden + gone / (back + gone))

    def to_state(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {
            "size": list(self.size),
            "new": list(self.new),
            "exposure": list(self.exposure),
            "back": [list(each) for each in self.back],
            "hidden": list(self.hidden),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Rates":
        """The inverse of `to_state`."""
        height, width = state["size"]
        made = cls((height, width))
        made.new, made.exposure = list(state["new"]), list(state["exposure"])
        made.back, made.hidden = [list(each) for each in state["back"]], list(state["hidden"])
        return made
