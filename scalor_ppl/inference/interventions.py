"""What if: take an object away, put it elsewhere, hold it still, and imagine the rest.

An intervention names an object by its identity, as the pictures label it, and frames as the
contact sheets count them, from 1: frame f is index f - 1 in the names of the program's sites.

======================  ============================================================================
``remove 3@7``          object 3 is gone in frame 7
``move 3@7 20,40``      its centre is at x 20, y 40 in frame 7, in pixels of the view from its upper
                        left corner; how it goes on from there is imagined. An object moves by less
                        than ``model.max_step`` a frame, so a longer way takes several frames:
``move 3@7-10 20,40``   it goes there in a straight line and arrives in frame 10
``freeze 3@7``          from frame 7 on all its latents stay what they were in frame 6
``freeze 3@7-10``       the same until frame 10, then it is imagined again
======================  ============================================================================

Of several interventions on an object in a frame, the one that began last is in force.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from scalor_ppl.errors import UserError

FORMS = "remove ID@FRAME, move ID@FRAME X,Y, freeze ID@FRAME; or FRAME-FRAME in the last two"

_NUMBER = r"-?\d+(?:\.\d+)?"
_FORM = re.compile(
    rf"(?P<verb>\w+)\s+(?P<identity>\d+)@(?P<frame>\d+)(?:-(?P<last>\d+))?"
    rf"(?:\s+(?P<x>{_NUMBER})\s*,\s*(?P<y>{_NUMBER}))?"
)


@dataclass(frozen=True)
class Remove:
    """The object is gone in ``frame``: z_pres is 0, and it dies.

    Attributes:
        identity: of the object.
        frame: from 1, as contact sheets count; the same in all interventions.
    """

    identity: int
    frame: int

    kinds: ClassVar[frozenset[str]] = frozenset({"pres"})

    @property
    def end(self) -> int:
        """The last frame acted on: an object that is gone does not come back."""
        return self.frame

    def __str__(self) -> str:
        return f"remove {self.identity}@{self.frame}"


@dataclass(frozen=True)
class Freeze:
    """From ``frame`` on all latents of the object stay what they were in the frame before.

    Attributes:
        identity: of the object.
        frame: the first in which it does not move.
        last: the last one; none for ever.
    """

    identity: int
    frame: int
    last: int | None = None

    kinds: ClassVar[frozenset[str]] = frozenset({"pres", "where", "depth", "what"})

    @property
    def end(self) -> int | None:
        """The last frame acted on; none for ever."""
        return self.last

    def __str__(self) -> str:
        until = "" if self.last is None else f"-{self.last}"
        return f"freeze {self.identity}@{self.frame}{until}"


@dataclass(frozen=True)
class Move:
    """The object's centre is at ``to`` in frame ``last``; it goes there in equal steps.

    Its presence is kept, so that it does not die on the way; size, depth and look are imagined.

    Attributes:
        identity: of the object.
        frame: of the first step.
        to: x and y in pixels of the view; 0, 0 is its upper left corner.
        last: the frame of arrival; by default ``frame``, a single step.
    """

    identity: int
    frame: int
    to: tuple[float, float]
    last: int | None = None

    kinds: ClassVar[frozenset[str]] = frozenset({"pres", "where"})

    @property
    def end(self) -> int:
        """The frame of arrival."""
        return self.frame if self.last is None else self.last

    def __str__(self) -> str:
        until = "" if self.end == self.frame else f"-{self.end}"
        return f"move {self.identity}@{self.frame}{until} {self.to[0]:g},{self.to[1]:g}"


Intervention = Remove | Move | Freeze


def parse_intervention(text: str) -> Intervention:
    """An intervention from its words, e.g. ``move 3@7 20,40``.

    Raises:
        UserError: it has none of the forms.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise UserError(f"--do {text!r}: give one of: {FORMS}")
    identity, frame = int(match["identity"]), int(match["frame"])
    last = None if match["last"] is None else int(match["last"])
    place = None if match["x"] is None else (float(match["x"]), float(match["y"]))
    made: Intervention
    if match["verb"] == "remove" and last is None and place is None:
        made = Remove(identity, frame)
    elif match["verb"] == "move" and place is not None:
        made = Move(identity, frame, place, frame if last is None else last)
    elif match["verb"] == "freeze" and place is None:
        made = Freeze(identity, frame, last)
    else:
        raise UserError(f"--do {text!r}: give one of: {FORMS}")
    return made


def check_imagined(interventions: Sequence[Intervention], observed: int, frames: int) -> None:
    """Complain about interventions on frames that are seen, or that there are not.

    Args:
        interventions: what is to be done.
        observed: frames that are seen.
        frames: frames in all.

    Raises:
        UserError: there are such. What is seen is explained by the guide, whose latents of the
            later frames would contradict the intervention.
    """
    for each in interventions:
        end = each.frame if each.end is None else max(each.frame, each.end)
        if each.frame <= observed or end > frames:
            raise UserError(
                f"{each}: frames {observed + 1} to {frames} are imagined and can be acted on "
                f"({observed} are observed)"
            )


def check_order(interventions: Sequence[Intervention]) -> None:
    """Complain about two that begin on one object in one frame, and about frames that cannot be.

    Raises:
        UserError: there are such.
    """
    begun: dict[tuple[int, int], Intervention] = {}
    for each in interventions:
        if each.frame < 2:
            raise UserError(f"{each}: the first frame that can be acted on is 2")
        if each.end is not None and each.end < each.frame:
            raise UserError(f"{each}: the last frame comes before the first")
        other = begun.setdefault((each.identity, each.frame), each)
        if other is not each:
            raise UserError(f'"{other}" and "{each}" begin in the same frame: leave one out')
