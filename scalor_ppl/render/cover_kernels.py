"""Compiled loops that count what masks cover, for frames `first` to `last` (numba)."""

# numba's functions are untyped to mypy.
# mypy: disable-error-code="misc,no-untyped-call,untyped-decorator"

import numpy as np
from numba import float32, void

from scalor_ppl.render.kernel_basics import A2, A3, A4, kept, kernel


@kernel()
def _within(centre, extent, count, inside):  # type: ignore[no-untyped-def]
    """Which of `count` pixels along an axis of a box have their centre inside the view."""
    for i in range(count):
        inside[i] = abs(centre + extent * ((2 * i + 1) / count - 1)) < 1


@kernel(void(A4, A3, float32, A2))
def visible(mask, where, pixels, covered):  # type: ignore[no-untyped-def]
    """Pixels of the view that masks [F, K, gh, gw] cover, [F, K]; `pixels` are in the view."""
    rows, columns = mask.shape[2:]
    by_row, by_column = np.empty(rows, np.bool_), np.empty(columns, np.bool_)
    everyone = np.empty((0, 0), np.bool_)
    for frame in range(mask.shape[0]):
        for slot in range(mask.shape[1]):
            covered[frame, slot] = 0
            if not kept(where, everyone, frame, slot):
                continue
            x, y, wide, high = where[frame, slot]
            _within(y, high, rows, by_row)
            _within(x, wide, columns, by_column)
            total = float32(0)
            for row in range(rows):
                if by_row[row]:
                    for column in range(columns):
                        if by_column[column]:
                            total += mask[frame, slot, row, column]
            covered[frame, slot] = total * wide * high * (pixels / (rows * columns))


@kernel(void(A4, A4, A3, float32, float32, A2))
def overlap(mask, read, where, own_level, other_level, share):  # type: ignore[no-untyped-def]
    """Share of each mask [F, N, gh, gw] above a level where `read`, likewise, is above another."""
    rows, columns = mask.shape[2:]
    by_row, by_column = np.empty(rows, np.bool_), np.empty(columns, np.bool_)
    for frame in range(mask.shape[0]):
        for slot in range(mask.shape[1]):
            x, y, wide, high = where[frame, slot]
            _within(y, high, rows, by_row)
            _within(x, wide, columns, by_column)
            own, both = 0, 0
            for row in range(rows):
                for column in range(columns):
                    inside = by_row[row] and by_column[column]
                    if inside and mask[frame, slot, row, column] > own_level:
                        own += 1
                        both += read[frame, slot, row, column] > other_level
            share[frame, slot] = both / max(own, 1)
