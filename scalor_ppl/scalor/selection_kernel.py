"""The compiled loops that select rows out of two tensors, and add slopes back (numba)."""

# numba's functions are untyped to mypy.
# mypy: disable-error-code="misc,no-untyped-call,untyped-decorator"

from numba import float32, int64, void

from scalor_ppl.compiled import compiled

ROWS = float32[:, :, ::1]


@compiled(void(ROWS, ROWS, int64[::1], ROWS))
def select(first, second, origin, out):  # type: ignore[no-untyped-def]
    """Rows of ``[B, K, W]`` and ``[B, N, W]``, counted through, into ``[B, M, W]``."""
    ahead, count = first.shape[1], first.shape[1] + second.shape[1]
    for video in range(out.shape[0]):
        for slot in range(out.shape[1]):
            row = origin[video * out.shape[1] + slot] - video * count
            if row < ahead:
                out[video, slot] = first[video, row]
            else:
                out[video, slot] = second[video, row - ahead]


@compiled(void(ROWS, int64[::1], ROWS, ROWS))
def add_back(slope, origin, first, second):  # type: ignore[no-untyped-def]
    """Slopes of the selection, added to those of the rows."""
    ahead, count = first.shape[1], first.shape[1] + second.shape[1]
    for video in range(slope.shape[0]):
        for slot in range(slope.shape[1]):
            row = origin[video * slope.shape[1] + slot] - video * count
            if row < ahead:
                for i in range(slope.shape[2]):
                    first[video, row, i] += slope[video, slot, i]
            else:
                for i in range(slope.shape[2]):
                    second[video, row - ahead, i] += slope[video, slot, i]
