"""The compiled loop that suppresses duplicates among proposals (numba), for the CPU.

Proposals are sorted into square bins that are as large as the largest ellipse reaches, so that each
is compared with those of nine bins only: the work grows with the proposals, not with their square.
"""

# numba's functions are untyped to mypy.
# mypy: disable-error-code="misc,no-untyped-call,untyped-decorator"

import numpy as np
from numba import boolean, float32, int64, void

from scalor_ppl.compiled import compiled

# Bins are wider than the reach by this share: rounding must not push a neighbour out of sight.
MARGIN = 1e-3

# No fastmath: a comparison has to fall as it does in torch, and NaN compares false.
PRECISE = {"error_model": "numpy"}


@compiled(**PRECISE)
def _bin_sides(centre, extent, eligible, radius, sides):  # type: ignore[no-untyped-def]
    """Lower corner and number of the bins along x and y; false where one bin has to do.

    That is where a box is not finite, or all are in one place.
    """
    corner = np.zeros(2)
    count = np.ones(2, np.int64)
    for axis in range(2):
        low, high, reach = np.inf, -np.inf, 0.0
        for i in range(centre.shape[0]):
            if eligible[i]:
                if not (np.isfinite(centre[i, axis]) and np.isfinite(extent[i, axis])):
                    return corner, count, False
                low, high = min(low, centre[i, axis]), max(high, centre[i, axis])
                reach = max(reach, abs(extent[i, axis]))
        corner[axis] = low
        spread = high - low
        # Where the ellipses are tiny, more bins than proposals would only be empty.
        side = max(reach * radius * (1 + MARGIN), spread / (1 + np.sqrt(centre.shape[0])))
        sides[axis] = side
        if not side > 0 or not np.isfinite(spread):  # all in one place; none is eligible
            return corner, count, False
        count[axis] = np.int64(spread / side) + 1
    return corner, count, True


@compiled(**PRECISE)
def _beats(centre, extent, strength, square, i, j):  # type: ignore[no-untyped-def]
    """Whether i lies inside the ellipse of a stronger j; of two as strong, the first."""
    if not (strength[j] > strength[i] or (strength[j] == strength[i] and j < i)):
        return False
    x = (centre[i, 0] - centre[j, 0]) / extent[j, 0]
    y = (centre[i, 1] - centre[j, 1]) / extent[j, 1]
    return x * x + y * y < square


@compiled(**PRECISE)
def _suppress_one(centre, extent, strength, eligible, radius, square, rounds, kept):  # type: ignore[no-untyped-def]
    """One video of `suppress`."""
    proposals = centre.shape[0]
    sides = np.ones(2)
    corner, count, binned = _bin_sides(centre, extent, eligible, radius, sides)
    place = np.zeros((proposals, 2), np.int64)
    if binned:
        for i in range(proposals):
            if eligible[i]:
                for axis in range(2):
                    bin_ = np.int64((centre[i, axis] - corner[axis]) / sides[axis])
                    place[i, axis] = min(max(bin_, 0), count[axis] - 1)
    else:
        count[:] = 1
    # Sorted by bin: those of bin b are members[first[b] : first[b + 1]].
    first = np.zeros(count[0] * count[1] + 1, np.int64)
    for i in range(proposals):
        if eligible[i]:
            first[place[i, 0] * count[1] + place[i, 1] + 1] += 1
    for b in range(1, first.shape[0]):
        first[b] += first[b - 1]
    members = np.empty(first[-1], np.int64)
    filled = first.copy()
    for i in range(proposals):
        if eligible[i]:
            b = place[i, 0] * count[1] + place[i, 1]
            members[filled[b]] = i
            filled[b] += 1
    kept[:] = eligible
    before = np.empty(proposals, np.bool_)
    # What nothing eligible beats is kept in every round.
    open_ = eligible.copy()
    for number in range(rounds):
        before[:] = kept
        for i in range(proposals):
            if not open_[i]:
                continue
            beaten = False
            for column in range(max(place[i, 0] - 1, 0), min(place[i, 0] + 2, count[0])):
                row = column * count[1]
                begin = first[row + max(place[i, 1] - 1, 0)]
                end = first[row + min(place[i, 1] + 2, count[1])]
                for at in range(begin, end):
                    j = members[at]
                    if before[j] and _beats(centre, extent, strength, square, i, j):
                        beaten = True
                        break
                if beaten:
                    break
            kept[i] = not beaten
            if number == 0:
                open_[i] = beaten


@compiled(
    void(
        float32[:, :, ::1],
        float32[:, :, ::1],
        float32[:, ::1],
        boolean[:, ::1],
        float32,
        float32,
        int64,
        boolean[:, ::1],
    ),
    **PRECISE,
)
def suppress(centre, extent, strength, eligible, radius, square, rounds, kept):  # type: ignore[no-untyped-def]
    """Suppress what lies near something stronger that is kept itself; B videos of N proposals.

    Args:
        centre: ``[B, N, 2]``, in any units along x and y.
        extent: width and height of the boxes, likewise.
        strength: ``[B, N]``.
        eligible: ``[B, N]``; the others are neither kept nor suppress anything.
        radius: of the ellipses, in boxes.
        square: its square.
        rounds: how often the rule is applied to its own result.
        kept: ``[B, N]``, filled.
    """
    for video in range(centre.shape[0]):
        _suppress_one(
            centre[video],
            extent[video],
            strength[video],
            eligible[video],
            radius,
            square,
            rounds,
            kept[video],
        )
