"""How far off the centres of objects are that the edge of the view cuts.

What is seen of such an object does not say where its centre is; what was seen of it before does, or
what objects of its kind are like. Who takes the part for the whole places it too far inside.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from scalor_ppl.evaluation.assignment import match_within
from scalor_ppl.tracks.table import Tracks

if TYPE_CHECKING:
    from scalor_ppl.data.records import Truth

WHOLE = 0.9999  # share of an object's area in view from which nothing cuts it
SHARES = (0.08, 0.25, 0.5, 0.75, WHOLE, np.inf)


@dataclass(frozen=True)
class EdgeErrors:
    """Errors of the centres of objects of which a certain share is in view.

    Attributes:
        low, high: the share, from and below; both 1 for objects wholly in view.
        objects: object-frames that were found, and in the frame before, too.
        error: root mean square of the distance, in pixels.
        inwards: mean distance towards the inside of the view, across the edges that cut it, in
            pixels; none for what is whole.
        speed: mean length of a step as it was found, over the true one.
    """

    low: float
    high: float
    objects: int
    error: float
    inwards: float | None
    speed: float

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return asdict(self)


def edge_errors(
    tracks: Sequence[Tracks], truths: "Sequence[Truth]", size: tuple[int, int]
) -> list[EdgeErrors]:
    """The errors by share in view, of classes that have any objects.

    An object is found by the track that lies within half the object size, frame by frame.

    Args:
        tracks: predictions, one a clip.
        truths: ground truth, one a clip, in the same order.
        size: height and width of the view, in pixels.
    """
    rows = [_rows(*pair, size) for pair in zip(tracks, truths, strict=True)]
    share, off, inside, found, true = np.concatenate(rows, axis=0).T
    errors = []
    for low, high in pairwise(SHARES):
        some = (share >= low) & (share < high)
        if some.any():
            whole = low == WHOLE
            errors.append(
                EdgeErrors(
                    low=1.0 if whole else low,
                    high=min(round(high, 2), 1.0),
                    objects=int(some.sum()),
                    error=float(np.sqrt(np.square(off[some]).mean())),
                    inwards=None if whole else float(inside[some].mean()),
                    speed=float(found[some].mean() / max(true[some].mean(), 1e-9)),
                )
            )
    return errors


def _rows(tracks: Tracks, truth: "Truth", size: tuple[int, int]) -> np.ndarray:
    """Of each step of an object that was found: share in view, error, its part inwards, and lengths
    of the step as found and in truth; ``[n, 5]``."""
    there, known = tracks.present(), truth.counted(SHARES[0])
    centres, true = tracks.middles(), truth.middles()
    rows = []
    before: dict[int, tuple[int, int]] = {}
    for t in range(len(centres)):
        slots, objects = np.flatnonzero(there[t]), np.flatnonzero(known[t])
        apart = np.linalg.norm(true[t, objects, None] - centres[t, slots], axis=-1)
        n, k = np.indices(apart.shape).reshape(2, -1)
        pairs = match_within(n, k, apart.ravel(), truth.object_size / 2)
        now = {}
        for pair in pairs:
            slot, number = slots[k[pair]], objects[n[pair]]
            now[number] = int(tracks.ids[t, slot]), int(slot)
            identity, last = before.get(number, (None, 0))
            if identity != tracks.ids[t, slot]:
                continue
            off = centres[t, slot] - true[t, number]
            rows.append(
                (
                    truth.visible[t, number],
                    np.linalg.norm(off),
                    off @ _inwards(truth.boxes[t, number], size),
                    np.linalg.norm(centres[t, slot] - centres[t - 1, last]),
                    np.linalg.norm(true[t, number] - true[t - 1, number]),
                )
            )
        before = now
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def _inwards(box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The direction (x, y) of length 1 from the edges that cut a box; 0 where none does."""
    high, wide = size
    left, top, width, height = box
    x = float(left < 0) - float(left + width > wide)
    y = float(top < 0) - float(top + height > high)
    return np.array((x, y)) / max(np.hypot(x, y), 1.0)
