"""What is remembered of an identity: its way, and what it looked like."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from scalor_ppl.identity.motion import OVER
from scalor_ppl.identity.spread import LookHistory


class End(NamedTuple):
    """Where an object was when its tracker was on it for the last time.

    Attributes:
        frame: when.
        place: [2].
        velocity: [2] in sides a frame; NaN where it was seen too shortly.
    """

    frame: int
    place: np.ndarray
    velocity: np.ndarray


@dataclass
class IdentityHistory:
    """What is remembered of an identity.

    Attributes:
        places: [t, 2] of the frames since it came into sight, at most `HISTORY`.
        seen: the last frame.
        side: mean of its sides there.
        apart: the last frame in which nobody was near.
        zone: where it was then, see `Rates.zone`.
        history: what it looked like.
    """

    places: np.ndarray
    seen: int
    apart: int
    side: float
    zone: int
    history: LookHistory = field(default_factory=LookHistory)

    def ends(self) -> list[End]:
        """Where it may have been left: where it was last seen, and where it met the one beside.

        Who goes out of sight beside another was followed to the end, or its tracker has gone over
        to the other one.
        """
        met = self.seen - self.apart
        return [self._end(after) for after in {0, met} if after < len(self.places)]

    def _end(self, after: int) -> End:
        """So many frames before it was last seen."""
        places = self.places[: len(self.places) - after]
        velocity = np.full(2, np.nan)
        if len(places) > OVER:
            velocity = (places[-1] - places[-1 - OVER]) / OVER / self.side
        return End(self.seen - after, places[-1], velocity)

    def to_state(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        looks = [look.tolist() for look in self.history.looks]
        return vars(self) | {"places": self.places.tolist(), "history": looks}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "IdentityHistory":
        """The inverse of `to_state`."""
        history = LookHistory([np.array(look) for look in state["history"]])
        return cls(**state | {"places": np.array(state["places"]), "history": history})
