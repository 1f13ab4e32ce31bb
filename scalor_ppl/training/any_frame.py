"""The number of a frame in a graph that serves many frames."""

from typing import Any

from scalor_ppl.graphs import GraphError


class AnyFrame:
    """A number that is known to be at least something, and no more.

    What does not depend on more (``frame == 0``, ``min(frame, 1)``) is answered; whatever does is
    refused, so that no graph is made of one frame that would be wrong for another.

    Args:
        least: the smallest number it may be.
    """

    def __init__(self, least: int) -> None:
        self.least = least

    def _at_least(self, other: Any) -> bool:
        if not isinstance(other, int) or other > self.least:
            raise GraphError("what a frame computes depends on the frame's number")
        return True

    def __eq__(self, other: object) -> bool:
        return not self._at_least(other + 1 if isinstance(other, int) else other)

    def __ge__(self, other: Any) -> bool:
        return self._at_least(other)

    def __gt__(self, other: Any) -> bool:
        return self._at_least(other + 1)

    def __lt__(self, other: Any) -> bool:
        return not self._at_least(other)

    def __le__(self, other: Any) -> bool:
        return not self._at_least(other + 1)

    def __bool__(self) -> bool:
        return self.__gt__(0)

    def __add__(self, other: int) -> "AnyFrame":
        return AnyFrame(self.least + other)

    __radd__ = __add__

    def __sub__(self, other: int) -> "AnyFrame":
        return AnyFrame(self.least - other)

    def _refused(self, *_: Any) -> Any:
        raise GraphError("what a frame computes depends on the frame's number")

    __float__ = __int__ = __index__ = __hash__ = __rsub__ = _refused
    __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __floordiv__ = __mod__ = __neg__ = _refused
