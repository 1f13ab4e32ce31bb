"""Whether looks tell the objects of a video apart, measured from its own tracks.

Of the objects in view at once, so that no two are one, each one's latest looks are compared with
those of all in the time before. Where they are nearest to its own, they have named it. Nearness
counts how looks of one object vary, parts together (Mahalanobis). Objects that look alike, such as
particles, are mostly taken for others: who is who by looks alone is then exchanged, and motion
tells more.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scalor_ppl.identity.identities import Sight

_LEAST, _MOST = 12, 30  # looks of an object
_EVERY = 8  # frames between two measurements
_NAMED = 0.6  # share of objects that looks name, above what chance does
_KEPT = 0.8  # of earlier measurements, in each
_CALM = 0.9  # share of the changes of looks from frame to frame that are an object's own
_RIDGE = 1e-3  # of the mean variance: parts of a grey object vary together


class Telling:
    """What looks have told of who is who so far.

    Attributes:
        objects: that were compared in the last measurement; 0 before there is one.
        named: of these, those whose own earlier looks were the nearest.
    """

    def __init__(self) -> None:
        self.frame = -1
        self.objects = self.named = 0
        self.sums = [0.0, 0.0, 0.0]  # of named, objects and measurements, of late
        self.looks: dict[int, list[np.ndarray]] = {}  # the last ones, of those in view

    @property
    def useful(self) -> bool:
        """Whether looks tell; True as long as nothing speaks clearly against it."""
        if self.objects < 2:
            return True
        named, objects, times = self.sums
        share, chance = named / objects, times / objects
        share += np.sqrt(share * (1 - share) * times / objects)  # one standard error
        return bool((share - chance) / (1 - chance) >= _NAMED)

    @property
    def words(self) -> str:
        """What was measured, and what follows, in a line; empty before anything was."""
        if self.objects < 2:
            return ""
        follows = "identities go by them, too" if self.useful else "identities go by motion alone"
        return f"looks name {self.named} of {self.objects} objects: {follows}"

    def step(self, sight: "Sight", ahead: "list[Sight]") -> None:
        """Learn from a frame, and of the frames after it what they show already."""
        self.frame += 1
        here = set(sight.ids.tolist())
        self.looks = {number: each for number, each in self.looks.items() if number in here}
        self._add(self.looks, sight)
        if self.frame % _EVERY:
            return
        known = dict(self.looks)
        for later in ahead:
            self._add(known, later)
        enough = [np.stack(each) for n, each in known.items() if n in here and len(each) >= _LEAST]
        if len(enough) > 1:
            self.objects, self.named = len(enough), _named(enough)
            new = (self.named, self.objects, 1)
            self.sums = [_KEPT * total + one for total, one in zip(self.sums, new, strict=True)]

    @staticmethod
    def _add(looks: dict[int, list[np.ndarray]], sight: "Sight") -> None:
        for number, look in sight.alone.items():
            if look is not None:
                looks[number] = [*looks.get(number, ()), look][-_MOST:]

    # ------------------------------------------------------------------ to go on after a break

    def to_state(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        looks = {number: np.stack(each).tolist() for number, each in self.looks.items()}
        return vars(self) | {"looks": looks, "sums": list(self.sums)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Telling":
        """The inverse of `to_state`."""
        made = cls()
        vars(made).update(state)
        made.sums = list(state["sums"])
        made.looks = {number: list(np.array(each)) for number, each in state["looks"].items()}
        return made


def _named(looks: list[np.ndarray]) -> int:
    """How many objects their looks [n, D] name."""
    halves = [(each[: len(each) // 2], each[len(each) // 2 :]) for each in looks]
    # A tracker that goes on with another object is no measure of how one object's looks vary.
    changes = np.concatenate([np.diff(each, axis=0) for each in looks])
    far = np.linalg.norm(changes, axis=1)
    changes = changes[far <= np.quantile(far, _CALM)]
    within = changes.T @ changes / len(changes)
    size = np.trace(within) / len(within)
    within += np.eye(len(within)) * max(_RIDGE * size, 1e-10)
    scale = np.linalg.cholesky(np.linalg.inv(within))
    before, after = (np.stack([half[n].mean(0) for half in halves]) @ scale for n in (0, 1))
    distance = np.square(after[:, None] - before).sum(-1)
    return int((distance.argmin(1) == np.arange(len(looks))).sum())
