"""The compiled loops that make boxes of unbounded numbers, and their gradient (numba)."""

# numba's functions are untyped to mypy.
# mypy: disable-error-code="misc,no-untyped-call,untyped-decorator"

import numpy as np
from numba import float32, void

from scalor_ppl.compiled import compiled
from scalor_ppl.nn.smooth_kernels import FAST, tanh

ROWS, LINE = float32[:, ::1], float32[::1]
HALF, ONE = np.float32(0.5), np.float32(1)


@compiled(void(ROWS, ROWS, LINE, LINE, ROWS, ROWS), fastmath=FAST, error_model="numpy")
def place(raw, previous, middle, reach, shares, boxes):  # type: ignore[no-untyped-def]
    """Fill boxes ``[R, 4]``, and how far of its reach each number goes, likewise.

    Args:
        raw: movements and sizes ``[R, 4]``.
        previous: where movements begin ``[P, 2 or more]``; R is a multiple of P.
        middle: width and height that 0 stands for.
        reach: the largest movements, and half the range of sizes ``[4]``.
    """
    for row in range(raw.shape[0]):
        before = previous[row % previous.shape[0]]
        for i in range(2):
            share = tanh(raw[row, i])
            shares[row, i] = share
            boxes[row, i] = before[i] + reach[i] * share
        for i in range(2, 4):
            # Twice the sigmoid, less one.
            share = tanh(HALF * raw[row, i])
            shares[row, i] = share
            boxes[row, i] = middle[i - 2] + reach[i] * share


@compiled(void(ROWS, ROWS, LINE, ROWS), fastmath=FAST, error_model="numpy")
def place_backward(slope, shares, reach, by_raw):  # type: ignore[no-untyped-def]
    """Fill the slope by the raw numbers from that by the boxes."""
    for row in range(slope.shape[0]):
        for i in range(4):
            by_raw[row, i] = slope[row, i] * reach[i] * (ONE - shares[row, i] * shares[row, i])
        for i in range(2, 4):
            by_raw[row, i] *= HALF
