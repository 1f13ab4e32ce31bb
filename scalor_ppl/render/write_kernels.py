"""Compiled loops that write glimpses through the window that a box covers (numba).

Every kernel handles frames `first` to `last` and touches no other, so that threads can share the
work by frames without locks; all release the interpreter's lock. Glimpses are copied into scratch
memory with a border of zeros first: taps outside then need no test.

Writing resamples each glimpse row along x, then adds rows to the canvas along y; both inner loops
run along x. The derivative for the box comes out of the same two passes: where the forward pass
takes `a + t (b - a)`, the derivative for the tap position is `b - a`.
"""

# numba's functions are untyped to mypy.
# mypy: disable-error-code="misc,no-untyped-call,untyped-decorator"

import numpy as np
from numba import float32, int64, void

from scalor_ppl.render.kernel_basics import A3, A4, A5, ACTIVE, kept, kernel


@kernel()
def _canvas_taps(centre, extent, pixels, count, tap, share):  # type: ignore[no-untyped-def]
    """Taps in a glimpse of `count` pixels for the canvas pixels that a box covers on one axis.

    Fills, for the pixels of the window, the first tap (in a glimpse with one zero in front) and
    the share of the second. Returns the window's first pixel and its number of pixels.
    """
    scale = count / (extent * pixels)
    # Position in the glimpse is scale * pixel + offset, with taps inside for -1 < position < count.
    offset = ((1.0 / pixels - 1.0 - centre) / extent + 1.0) * count * 0.5 - 0.5
    low = min(max(np.floor((-1.0 - offset) / scale), 0.0), float(pixels))
    high = min(max(np.ceil((count - offset) / scale) + 1.0, 0.0), float(pixels))
    begin, end = int(low), int(high)
    while begin < end and scale * begin + offset <= -1.0:
        begin += 1
    while begin < end and scale * (end - 1) + offset >= count:
        end -= 1
    for i in range(end - begin):
        position = scale * (begin + i) + offset
        left = np.floor(position)
        tap[i] = int(left) + 1
        share[i] = position - left
    return begin, end - begin


@kernel()
def _resample(glimpse, tap, share, n, strips):  # type: ignore[no-untyped-def]
    """Resample the rows of a bordered glimpse along x: strips[p, 1 + row, :n]; border rows zero."""
    planes, rows = glimpse.shape[0], glimpse.shape[1]
    for p in range(planes):
        for i in range(n):
            strips[p, 0, i] = 0.0
            strips[p, rows + 1, i] = 0.0
        for a in range(rows):
            line = glimpse[p, a]
            strip = strips[p, a + 1]
            for i in range(n):
                left = line[tap[i]]
                strip[i] = left + share[i] * (line[tap[i] + 1] - left)


@kernel()
def stamp(glimpse, box, canvas, scratch):  # type: ignore[no-untyped-def]
    """Add one bordered glimpse [P, gh, gw + 2] to a canvas [P, H, W]."""
    tap_x, share_x, tap_y, share_y, strips = scratch
    planes, height, width = canvas.shape
    rows, columns = glimpse.shape[1], glimpse.shape[2] - 2
    left, n = _canvas_taps(float(box[0]), float(box[2]), width, columns, tap_x, share_x)
    top, m = _canvas_taps(float(box[1]), float(box[3]), height, rows, tap_y, share_y)
    if n == 0 or m == 0:
        return
    _resample(glimpse, tap_x, share_x, n, strips)
    for p in range(planes):
        for j in range(m):
            above = strips[p, tap_y[j]]
            below = strips[p, tap_y[j] + 1]
            t = share_y[j]
            s = float32(1.0) - t
            line = canvas[p, top + j, left : left + n]
            for i in range(n):
                line[i] += s * above[i] + t * below[i]


@kernel()
def unstamp(lines, box, grad_canvas, grad_lines, grad_box, scratch):  # type: ignore[no-untyped-def]
    """Give the adjoint of `stamp`: fill grad_lines and grad_box [4].

    The glimpse comes as its columns, [gw + 2, gh, P] with a border of zero columns, and so does its
    gradient, whose border collects what fell outside and is to be ignored. Each inner loop then
    runs over a whole row of all planes, or a whole column of them.
    """
    tap_x, share_x, tap_y, share_y, window, strips, grad_strips, columns = scratch
    planes, height, width = grad_canvas.shape
    across, rows = lines.shape[0] - 2, lines.shape[1]
    grad_lines[:] = 0.0
    grad_box[:] = 0.0
    left, n = _canvas_taps(float(box[0]), float(box[2]), width, across, tap_x, share_x)
    top, m = _canvas_taps(float(box[1]), float(box[3]), height, rows, tap_y, share_y)
    if n == 0 or m == 0:
        return
    length = planes * n
    for a in range(rows):
        for p in range(planes):
            strip = strips[a + 1, p * n : (p + 1) * n]
            for i in range(n):
                k = tap_x[i]
                first = lines[k, a, p]
                strip[i] = first + share_x[i] * (lines[k + 1, a, p] - first)
    strips[0, :length] = 0.0
    strips[rows + 1, :length] = 0.0
    grad_strips[:, :length] = 0.0
    # Along y. A tap at position g = (u + 1) count / 2 - 1/2 moves with the centre by
    # -count / (2 extent), and with the extent by u times that.
    moved = 0.0
    stretched = 0.0
    for j in range(m):
        for p in range(planes):
            window[p * n : (p + 1) * n] = grad_canvas[p, top + j, left : left + n]
        k = tap_y[j]
        t = share_y[j]
        s = float32(1.0) - t
        above, below = strips[k], strips[k + 1]
        grad_above, grad_below = grad_strips[k], grad_strips[k + 1]
        slope = float32(0.0)
        for i in range(length):
            slope += window[i] * (below[i] - above[i])
        for i in range(length):
            grad_above[i] += s * window[i]
        for i in range(length):
            grad_below[i] += t * window[i]
        moved += slope
        stretched += slope * ((k + t - 0.5) * 2.0 / rows - 1.0)
    factor = -0.5 * rows / box[3]
    grad_box[1] = moved * factor
    grad_box[3] = stretched * factor
    # Along x, by columns of all rows and planes.
    depth = rows * planes
    for a in range(rows):
        for p in range(planes):
            strip = grad_strips[a + 1, p * n : (p + 1) * n]
            for i in range(n):
                columns[i, a * planes + p] = strip[i]
    flat = lines.reshape(across + 2, depth)
    grad_flat = grad_lines.reshape(across + 2, depth)
    moved = 0.0
    stretched = 0.0
    for i in range(n):
        k = tap_x[i]
        t = share_x[i]
        s = float32(1.0) - t
        column = columns[i]
        before, after = flat[k], flat[k + 1]
        grad_before, grad_after = grad_flat[k], grad_flat[k + 1]
        slope = float32(0.0)
        for j in range(depth):
            slope += column[j] * (after[j] - before[j])
        for j in range(depth):
            grad_before[j] += s * column[j]
        for j in range(depth):
            grad_after[j] += t * column[j]
        moved += slope
        stretched += slope * ((k + t - 0.5) * 2.0 / across - 1.0)
    factor = -0.5 * across / box[2]
    grad_box[0] = moved * factor
    grad_box[2] = stretched * factor


@kernel()
def scratch_for(planes, rows, height, width):  # type: ignore[no-untyped-def]
    """Memory for the taps and strips of one object, made once per kernel call."""
    return (
        np.empty(width, np.int64),
        np.empty(width, np.float32),
        np.empty(height, np.int64),
        np.empty(height, np.float32),
        np.empty((planes, rows + 2, width), np.float32),
    )


@kernel()
def scratch_back(planes, rows, height, width):  # type: ignore[no-untyped-def]
    """Memory for the adjoint of one object, made once per kernel call."""
    return (
        np.empty(width, np.int64),
        np.empty(width, np.float32),
        np.empty(height, np.int64),
        np.empty(height, np.float32),
        np.empty(planes * width, np.float32),
        np.empty((rows + 2, planes * width), np.float32),
        np.empty((rows + 2, planes * width), np.float32),
        np.empty((width, rows * planes), np.float32),
    )


@kernel(void(A5, A3, ACTIVE, A4, int64, int64))
def write_forward(planes, where, active, canvas, first, last):  # type: ignore[no-untyped-def]
    """Write planes [F, K, P, gh, gw] to canvas [F, P, H, W]."""
    _, slots, count, rows, columns = planes.shape
    scratch = scratch_for(count, rows, canvas.shape[2], canvas.shape[3])
    glimpse = np.zeros((count, rows, columns + 2), np.float32)
    for f in range(first, last):
        canvas[f] = 0.0
        for k in range(slots):
            if kept(where, active, f, k):
                glimpse[:, :, 1 : columns + 1] = planes[f, k]
                stamp(glimpse, where[f, k], canvas[f], scratch)


@kernel(void(A5, A3, ACTIVE, A4, A5, A3, int64, int64))
def write_backward(  # type: ignore[no-untyped-def]
    planes, where, active, grad_canvas, grad_planes, grad_where, first, last
):
    """Fill the gradients of `write_forward` for planes and boxes."""
    _, slots, count, rows, columns = planes.shape
    scratch = scratch_back(count, rows, grad_canvas.shape[2], grad_canvas.shape[3])
    lines = np.zeros((columns + 2, rows, count), np.float32)
    grad_lines = np.empty_like(lines)
    glimpse, grad_glimpse = lines.transpose(2, 1, 0), grad_lines.transpose(2, 1, 0)
    for f in range(first, last):
        for k in range(slots):
            if kept(where, active, f, k):
                glimpse[:, :, 1 : columns + 1] = planes[f, k]
                unstamp(lines, where[f, k], grad_canvas[f], grad_lines, grad_where[f, k], scratch)
                grad_planes[f, k] = grad_glimpse[:, :, 1 : columns + 1]
            else:
                grad_planes[f, k] = 0.0
                grad_where[f, k] = 0.0
