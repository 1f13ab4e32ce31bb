"""The compiled loops that lay out what a convolution sees in rows, and add slopes back (numba).

Indices are unsigned: of signed ones each could count from the end, and no loop over them would be
vectorised.
"""

# numba's functions are untyped to mypy.
# mypy: disable-error-code="misc,no-untyped-call,untyped-decorator"

from numba import float32, int64, uintp, void

from scalor_ppl.compiled import compiled

# Images [B, H, W * C], and rows [B * h * w, k * k * C].
MAPS, ROWS = float32[:, :, ::1], float32[:, ::1]


@compiled(void(MAPS, int64, int64, int64, int64, ROWS), error_model="numpy")
def unfold(maps, channels, kernel, stride, padding, rows):  # type: ignore[no-untyped-def]
    """What a convolution sees of maps at each of its places, one after another, zeros outside."""
    height, line = maps.shape[1], maps.shape[2]
    high = (height + 2 * padding - kernel) // stride + 1
    wide = (line // channels + 2 * padding - kernel) // stride + 1
    run = kernel * channels
    row = 0
    for image in range(maps.shape[0]):
        for down in range(high):
            for across in range(wide):
                left = (across * stride - padding) * channels
                first, last = max(0, -left), min(run, line - left)
                into = rows[row]
                for k in range(kernel):
                    y = down * stride - padding + k
                    begin = k * run
                    if y < 0 or y >= height:
                        for i in range(uintp(run)):
                            into[uintp(begin) + i] = 0.0
                        continue
                    seen = maps[image, y]
                    for i in range(uintp(first)):
                        into[uintp(begin) + i] = 0.0
                    for i in range(uintp(last - first)):
                        into[uintp(begin + first) + i] = seen[uintp(left + first) + i]
                    for i in range(uintp(run - last)):
                        into[uintp(begin + last) + i] = 0.0
                row += 1


@compiled(void(ROWS, int64, int64, int64, int64, MAPS), error_model="numpy")
def fold(rows, channels, kernel, stride, padding, maps):  # type: ignore[no-untyped-def]
    """The sum of what rows say of each place of the maps: the gradient of :func:`unfold`."""
    height, line = maps.shape[1], maps.shape[2]
    high = (height + 2 * padding - kernel) // stride + 1
    wide = (line // channels + 2 * padding - kernel) // stride + 1
    run = kernel * channels
    row = 0
    for image in range(maps.shape[0]):
        maps[image] = 0.0
        for down in range(high):
            for across in range(wide):
                left = (across * stride - padding) * channels
                first, last = max(0, -left), min(run, line - left)
                said = rows[row]
                for k in range(kernel):
                    y = down * stride - padding + k
                    if y < 0 or y >= height:
                        continue
                    into = maps[image, y]
                    for i in range(uintp(last - first)):
                        into[uintp(left + first) + i] += said[uintp(k * run + first) + i]
                row += 1
