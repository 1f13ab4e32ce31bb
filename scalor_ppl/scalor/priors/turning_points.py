"""Where tracked objects have turned round: what is known of walls before any training."""

from typing import NamedTuple

import torch
from torch import Tensor

# How much slower or faster an object may be after a turn, and how far it moves at least, in steps.
ALIKE, LEAST = 1.5, 0.1
# Turns that a wall is told by, at least; how far they lie about it, in steps, at most.
ENOUGH, ABOUT = 12, 0.3
# What share of the turns lies at the outermost wall at least; rounds of finding those.
SHARE, ROUNDS = 0.1, 4
# How sure it is before that an object's own box touches a wall, as so many turns.
TIMES = 20.0


class TrackedStretches(NamedTuple):
    """R times that an object was tracked over four successive frames.

    Attributes:
        places: its centres ``[4, R, 2]``, in image coordinates.
        sizes: half the sides of its box in the second of them ``[R, 2]``, likewise.
        rest: its size, depth and z_what there ``[R, 3 + D]``.
    """

    places: Tensor
    sizes: Tensor
    rest: Tensor


class TurningPoints(NamedTuple):
    """R times that an object came from inside and went back, along x or y.

    Attributes:
        rest: of the object, as in `TrackedStretches` ``[R, 3 + D]``.
        axis: 0 for x, 1 for y ``[R]``.
        side: 0 where what turned it lies to the left or above, 1 for the right or below ``[R]``.
        distance: of its centre, where it turned, from the frame's edge ``[R]``.
        size: half of its side along the axis ``[R]``.
        kept: its speed along the axis after the turn, over that before ``[R]``.
    """

    rest: Tensor
    axis: Tensor
    side: Tensor
    distance: Tensor
    size: Tensor
    kept: Tensor

    def at(self, side: int, axis: int) -> "TurningPoints":
        """Those at one side of the frame."""
        those = (self.side == side) & (self.axis == axis)
        return TurningPoints(*(each[those] for each in self))


class Wall(NamedTuple):
    """A wall that objects turn round at.

    Attributes:
        inside: how far inside the frame's edge it lies, in steps.
        reach: how far objects reach towards it, as a share of their boxes.
        kept: the share of its speed that an object keeps, about 1 where it is elastic.
    """

    inside: float
    reach: float
    kept: float


WallsBySide = dict[tuple[int, int], Wall]
"""Walls by side and axis, as `TurningPoints` has these."""


class Deviations(NamedTuple):
    """R times that a wall turned an object round, and how far from where it does on average.

    Attributes:
        rest: of the object, as in `TrackedStretches` ``[R, 3 + D]``.
        axis: 0 for x, 1 for y ``[R]``.
        size: half of its side along the axis ``[R]``.
        offset: of what touched the wall, from the object's centre along the axis ``[R]``.
    """

    rest: Tensor
    axis: Tensor
    size: Tensor
    offset: Tensor


def turning_points(stretches: TrackedStretches, edge: Tensor) -> TurningPoints:
    """Where objects turned in the middle one of three steps.

    Args:
        stretches: of them.
        edge: of the frame from its centre ``[2]``, in steps; of the turning points lengths are so.
    """
    places, sizes = stretches.places * edge, stretches.sizes * edge
    before, _, after = places.diff(dim=0)
    speeds = torch.stack((before.abs(), after.abs()))
    slow, fast = speeds.amin(0), speeds.amax(0)
    turned = (before * after < 0) & (slow > LEAST) & (fast < ALIKE * slow)
    row, axis = turned.nonzero(as_tuple=True)
    # It went on as fast as it came: to where it turned, and back from there.
    way = places[1] + places[2] + before.sign() * (before.abs() + after.abs()) / 2
    out = (before.sign() * way / 2)[row, axis]
    kept = (after / before).abs()[row, axis]
    side = (before[row, axis] > 0).long()
    return TurningPoints(stretches.rest[row], axis, side, edge[axis] - out, sizes[row, axis], kept)


def outermost(turns: TurningPoints) -> Wall | None:
    """The wall farthest out that objects turn at, or none where they turn anywhere.

    Args:
        turns: at one side of the frame.
    """
    distance, size = turns.distance, turns.size
    if len(distance) < ENOUGH:
        return None
    reach = 1.0
    inside = float((distance - size).quantile(SHARE))
    for _ in range(ROUNDS):
        near = (distance - inside - reach * size).abs() < ABOUT
        if near.sum() < ENOUGH:
            return None
        far, side = distance[near], size[near]
        spread = side - side.mean()
        noise = (far - inside - reach * side).square().mean()
        slope = ((far - far.mean()) * spread).sum() + TIMES * noise
        reach = float(slope / (spread.square().sum() + TIMES * noise).clamp(min=1e-9))
        reach = min(max(reach, 0.0), 1.0)
        inside = float(far.mean() - reach * side.mean())
    return Wall(inside, reach, float(turns.kept[near].median()))


def deviations(turns: TurningPoints, walls: WallsBySide) -> Deviations:
    """How far from where its wall turns objects on average each has turned."""
    found = [
        Deviations(*(each[:0] for each in (turns.rest, turns.axis, turns.size, turns.distance)))
    ]
    for (side, axis), wall in walls.items():
        these = turns.at(side, axis)
        early = these.distance - wall.inside - wall.reach * these.size
        near = early.abs() < ABOUT
        offset = early if side else -early
        those = Deviations(these.rest, these.axis, these.size, offset)
        found.append(Deviations(*(each[near] for each in those)))
    return Deviations(*(torch.cat(each) for each in zip(*found, strict=True)))
