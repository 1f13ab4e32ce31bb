"""The compiled loops of CELU and of the cells of a GRU and a ConvLSTM (numba).

Of a library every activation is a pass over memory of its own, and tanh and CELU take six to ten
times as long as here, where exponentials are a few multiplications on whole vectors. Results agree
with the library's to rounding.
"""

# numba's functions are untyped to mypy.
# mypy: disable-error-code="misc,no-untyped-call,untyped-decorator"

from typing import Any

import numpy as np
from numba import float32, int64, uintp, void

from scalor_ppl.compiled import compiled

# Not "reassoc": of p (e - 1) + (p - 1) it would make p e - 1, which is nothing where x is small.
FAST = {"nsz", "arcp", "contract"}
F = np.float32
ZERO, ONE, TWO = F(0), F(1), F(2)
# exp(x) = 2^n exp(x - n ln 2); ln 2 in two parts, the first of few digits (Cody and Waite).
PER_LN2, LN2_HIGH, LN2_LOW = F(1.4426950408889634), F(0.693145751953125), F(1.4286068203094172e-06)
# Below this exp(x) - 1 is -1, and 2^n still a number.
LEAST = F(-87)
# Any values as a line; rows of equal width; videos, places, channels; videos, frames and those.
LINE, ROWS = float32[::1], float32[:, ::1]
MAPS, CLIPS = float32[:, :, ::1], float32[:, :, :, ::1]


def _loop(*signature: Any) -> Any:
    return compiled(*signature, fastmath=FAST, error_model="numpy")


@_loop()
def _less_one(x):  # type: ignore[no-untyped-def]
    """exp(x) - 1 for x <= 0, to a unit or two in the last place."""
    x = max(x, LEAST)
    n = np.floor(x * PER_LN2 + F(0.5))
    r = x - n * LN2_HIGH - n * LN2_LOW
    series = F(1 / 5040) * r + F(1 / 720)
    series = series * r + F(1 / 120)
    series = series * r + F(1 / 24)
    series = series * r + F(1 / 6)
    series = series * r + F(0.5)
    series = series * r * r + r
    power = np.int32(np.int32(np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return power * series + (power - ONE)


@_loop()
def _sigmoid(x):  # type: ignore[no-untyped-def]
    power = _less_one(-abs(x)) + ONE
    share = power if x < ZERO else ONE
    return share / (ONE + power)


@_loop()
def tanh(x):  # type: ignore[no-untyped-def]
    """Of any number, to a few units in the last place."""
    less = _less_one(-TWO * abs(x))
    size = -less / (less + TWO)
    return -size if x < ZERO else size


@_loop(void(LINE))
def celu(values):  # type: ignore[no-untyped-def]
    """CELU in place, of one array: of two that are the same there would be no vectors."""
    for i in range(uintp(values.shape[0])):
        value = values[i]
        values[i] = max(value, ZERO) + _less_one(min(value, ZERO))


@_loop(void(LINE, LINE))
def celu_backward(slope, found):  # type: ignore[no-untyped-def]
    """The slope by the input in the place of that by the result, `found`."""
    for i in range(uintp(slope.shape[0])):
        slope[i] *= min(found[i], ZERO) + ONE


# From here on several short loops in place of one: of more than a few arrays the compiler cannot
# tell that none overlaps another, and makes no vectors.


@_loop(void(ROWS, ROWS, ROWS, ROWS))
def gru(given, past, state, result):  # type: ignore[no-untyped-def]
    """A GRU's step; reset, keep and new stay in the place of `given`.

    Args:
        given, past: what input and state say to reset, keep and new, side by side ``[n, 3 w]``.
        state: ``[n, w]``.
        result: the next state, likewise.
    """
    wide = state.shape[1]
    for row in range(state.shape[0]):
        gates, other = given[row, : 2 * wide], past[row, : 2 * wide]
        reset, keep = given[row, :wide], given[row, wide : 2 * wide]
        new, own = given[row, 2 * wide :], past[row, 2 * wide :]
        before, after = state[row], result[row]
        for i in range(uintp(2 * wide)):
            gates[i] = _sigmoid(gates[i] + other[i])
        for i in range(uintp(wide)):
            new[i] = tanh(new[i] + reset[i] * own[i])
        for i in range(uintp(wide)):
            after[i] = new[i] + keep[i] * (before[i] - new[i])


@_loop(void(ROWS, ROWS, ROWS, ROWS, ROWS, ROWS, ROWS))
def gru_backward(  # type: ignore[no-untyped-def]
    slope, gates, past, state, by_given, by_past, by_state
):
    """Fill the slopes by the arguments of :func:`gru`, the state's without what passes `past`.

    Args:
        slope: by the result ``[n, w]``.
        gates: what the step left in the place of `given`.
        past, state: as they were given.
        by_given, by_past, by_state: of the same shapes.
    """
    wide = state.shape[1]
    for row in range(state.shape[0]):
        to, before, straight = slope[row], state[row], by_state[row]
        reset, keep = gates[row, :wide], gates[row, wide : 2 * wide]
        new, own = gates[row, 2 * wide :], past[row, 2 * wide :]
        first, second = by_given[row, : 2 * wide], by_past[row, : 2 * wide]
        by_reset, by_keep = by_given[row, :wide], by_given[row, wide : 2 * wide]
        by_new, by_own = by_given[row, 2 * wide :], by_past[row, 2 * wide :]
        for i in range(uintp(wide)):
            by_keep[i] = to[i] * (before[i] - new[i]) * keep[i] * (ONE - keep[i])
        for i in range(uintp(wide)):
            straight[i] = to[i] * keep[i]
        for i in range(uintp(wide)):
            by_new[i] = (to[i] - straight[i]) * (ONE - new[i] * new[i])
        for i in range(uintp(wide)):
            by_reset[i] = by_new[i] * own[i] * reset[i] * (ONE - reset[i])
        for i in range(uintp(wide)):
            by_own[i] = by_new[i] * reset[i]
        for i in range(uintp(2 * wide)):
            second[i] = first[i]


@_loop(void(CLIPS, MAPS, MAPS, int64, CLIPS, CLIPS, CLIPS))
def lstm(inputs, past, before, t, gates, cells, hidden):  # type: ignore[no-untyped-def]
    """Fill frame t of the last three: a ConvLSTM's step, its convolutions done.

    Args:
        inputs: what the input says to enter, forget, leave and new ``[B, T, P, 4 h]``, P places.
        past: what the last hidden state says to them ``[B, P, 4 h]``.
        before: the last cell ``[B, P, h]``.
        t: number of the frame.
        gates: enter, forget, leave and new ``[B, T, P, 4 h]``.
        cells, hidden: ``[B, T, P, h]``.
    """
    deep = before.shape[2]
    begun = np.zeros(3 * deep, np.float32)
    begun[deep : 2 * deep] = ONE  # the forget gate begins open
    for video in range(before.shape[0]):
        for place in range(before.shape[1]):
            own, given, said = gates[video, t, place], inputs[video, t, place], past[video, place]
            cell, last, out = cells[video, t, place], before[video, place], hidden[video, t, place]
            enter, forget = own[:deep], own[deep : 2 * deep]
            leave, new = own[2 * deep : 3 * deep], own[3 * deep :]
            new_given, new_said = given[3 * deep :], said[3 * deep :]
            for i in range(uintp(3 * deep)):
                own[i] = _sigmoid(given[i] + said[i] + begun[i])
            for i in range(uintp(deep)):
                new[i] = tanh(new_given[i] + new_said[i])
            for i in range(uintp(deep)):
                cell[i] = enter[i] * new[i]
            for i in range(uintp(deep)):
                cell[i] += forget[i] * last[i]
            for i in range(uintp(deep)):
                out[i] = leave[i] * tanh(cell[i])


@_loop(void(CLIPS, MAPS, MAPS, MAPS, int64, CLIPS, CLIPS, CLIPS))
def lstm_backward(  # type: ignore[no-untyped-def]
    slope, back, by_cell, before, t, gates, cells, by_inputs
):
    """Fill frame t of the slope by the inputs of :func:`lstm`.

    Args:
        slope: by all hidden states ``[B, T, P, h]``.
        back: what later frames say to frame t's ``[B, P, h]``.
        by_cell: what they say to its cell, likewise; then what is said to the cell before.
        before: the cell before, likewise.
        t: number of the frame.
        gates, cells: of all frames.
        by_inputs: ``[B, T, P, 4 h]``.
    """
    deep = before.shape[2]
    shown, by_hidden = np.empty(deep, np.float32), np.empty(deep, np.float32)
    for video in range(before.shape[0]):
        for place in range(before.shape[1]):
            to, more, by_own = slope[video, t, place], back[video, place], by_cell[video, place]
            own, into = gates[video, t, place], by_inputs[video, t, place]
            last, cell = before[video, place], cells[video, t, place]
            enter, forget = own[:deep], own[deep : 2 * deep]
            leave, new = own[2 * deep : 3 * deep], own[3 * deep :]
            by_enter, by_forget = into[:deep], into[deep : 2 * deep]
            by_leave, by_new = into[2 * deep : 3 * deep], into[3 * deep :]
            for i in range(uintp(deep)):
                shown[i] = tanh(cell[i])
            for i in range(uintp(deep)):
                by_hidden[i] = to[i] + more[i]
            for i in range(uintp(deep)):
                by_own[i] += by_hidden[i] * leave[i] * (ONE - shown[i] * shown[i])
            for i in range(uintp(deep)):
                by_leave[i] = by_hidden[i] * shown[i] * leave[i] * (ONE - leave[i])
            for i in range(uintp(deep)):
                by_enter[i] = by_own[i] * new[i] * enter[i] * (ONE - enter[i])
            for i in range(uintp(deep)):
                by_new[i] = by_own[i] * enter[i] * (ONE - new[i] * new[i])
            for i in range(uintp(deep)):
                by_forget[i] = by_own[i] * last[i] * forget[i] * (ONE - forget[i])
            for i in range(uintp(deep)):
                by_own[i] *= forget[i]
