"""The compiled loops of squared distances, and of their gradient (numba)."""

# numba's functions are untyped to mypy.
# mypy: disable-error-code="misc,no-untyped-call,untyped-decorator"

from numba import float32, uintp, void

from scalor_ppl.compiled import compiled

# Rows of any stride, and a number for each.
ROWS, LINE = float32[:, :], float32[::1]
# Summed up in float32 first: vectors of eight, and no more terms than its digits can bear.
RUN = 256


@compiled(
    void(ROWS, ROWS, LINE), fastmath={"nsz", "arcp", "contract", "reassoc"}, error_model="numpy"
)
def squares(first, second, sums):  # type: ignore[no-untyped-def]
    """Fill the sum of squared differences of each row."""
    count = first.shape[1]
    for row in range(first.shape[0]):
        total = 0.0
        for begin in range(0, count, RUN):
            one, other = first[row, begin : begin + RUN], second[row, begin : begin + RUN]
            part = float32(0.0)
            for i in range(uintp(one.shape[0])):
                off = one[i] - other[i]
                part += off * off
            total += part
        sums[row] = total


@compiled(void(ROWS, ROWS, LINE, ROWS), error_model="numpy")
def squares_backward(first, second, slope, by_second):  # type: ignore[no-untyped-def]
    """Fill the slope by the second rows, from that by each sum."""
    for row in range(first.shape[0]):
        one, other, into = first[row], second[row], by_second[row]
        twice = float32(2.0) * slope[row]
        for i in range(uintp(one.shape[0])):
            into[i] = twice * (other[i] - one[i])
