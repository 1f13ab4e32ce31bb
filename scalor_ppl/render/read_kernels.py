"""Compiled loops that read glimpses out of images (numba).

Every kernel handles frames `first` to `last` and touches no other, so that threads can share the
work by frames without locks; all release the interpreter's lock. Images are copied into scratch
memory with a border of zeros first: taps outside then need no test. Pictures of few channels are
read along glimpse rows; feature maps are read along their channels, which come last.
"""

# numba's functions are untyped to mypy.
# mypy: disable-error-code="misc,no-untyped-call,untyped-decorator"

import numpy as np
from numba import float32, int64, uintp, void

from scalor_ppl.render.kernel_basics import A3, A4, A5, kept, kernel


@kernel()
def _glimpse_taps(centre, extent, pixels, count, tap, share):  # type: ignore[no-untyped-def]
    """Taps in an image axis of `pixels` (one zero in front, two behind) for each glimpse pixel."""
    for i in range(count):
        u = (2.0 * i + 1.0) / count - 1.0
        position = ((centre + extent * u + 1.0) * pixels - 1.0) * 0.5
        if -1.0 < position < pixels:
            left = np.floor(position)
            tap[i] = int(left) + 1
            share[i] = position - left
        else:  # two taps of the border: value and derivative are zero
            tap[i] = pixels + 1
            share[i] = 0.0


@kernel(void(A4, A3, A5, int64, int64))
def read_forward(images, where, glimpses, first, last):  # type: ignore[no-untyped-def]
    """Read glimpses [F, K, C, gh, gw] from images [F, C, H, W]."""
    _, channels, height, width = images.shape
    _, slots, _, rows, columns = glimpses.shape
    tap_x, share_x = np.empty(columns, np.int64), np.empty(columns, np.float32)
    tap_y, share_y = np.empty(rows, np.int64), np.empty(rows, np.float32)
    image = np.zeros((channels, height + 3, width + 3), np.float32)
    nobody = np.empty((0, 0), np.bool_)
    for f in range(first, last):
        image[:, 1 : height + 1, 1 : width + 1] = images[f]
        for k in range(slots):
            if not kept(where, nobody, f, k):
                glimpses[f, k] = 0.0
                continue
            box = where[f, k]
            _glimpse_taps(float(box[0]), float(box[2]), width, columns, tap_x, share_x)
            _glimpse_taps(float(box[1]), float(box[3]), height, rows, tap_y, share_y)
            for c in range(channels):
                for a in range(rows):
                    above = image[c, tap_y[a]]
                    below = image[c, tap_y[a] + 1]
                    t = share_y[a]
                    line = glimpses[f, k, c, a]
                    for b in range(columns):
                        i = tap_x[b]
                        left = above[i] + t * (below[i] - above[i])
                        right = above[i + 1] + t * (below[i + 1] - above[i + 1])
                        line[b] = left + share_x[b] * (right - left)


@kernel(void(A4, A3, A5, A4, A3, int64, int64))
def read_backward(  # type: ignore[no-untyped-def]
    images, where, grad_glimpses, grad_images, grad_where, first, last
):
    """Fill the gradients of `read_forward`; grad_images with no frames is not wanted."""
    _, channels, height, width = images.shape
    _, slots, _, rows, columns = grad_glimpses.shape
    tap_x, share_x = np.empty(columns, np.int64), np.empty(columns, np.float32)
    tap_y, share_y = np.empty(rows, np.int64), np.empty(rows, np.float32)
    image = np.zeros((channels, height + 3, width + 3), np.float32)
    wanted = grad_images.shape[0] > 0
    grad_image = np.empty_like(image)
    nobody = np.empty((0, 0), np.bool_)
    one = float32(1.0)
    for f in range(first, last):
        image[:, 1 : height + 1, 1 : width + 1] = images[f]
        if wanted:
            grad_image[:] = 0.0
        for k in range(slots):
            grad_where[f, k] = 0.0
            if not kept(where, nobody, f, k):
                continue
            box = where[f, k]
            _glimpse_taps(float(box[0]), float(box[2]), width, columns, tap_x, share_x)
            _glimpse_taps(float(box[1]), float(box[3]), height, rows, tap_y, share_y)
            to_x = float32(0.0)
            to_y = float32(0.0)
            to_width = float32(0.0)
            to_height = float32(0.0)
            for a in range(rows):
                t = share_y[a]
                u = float32((2.0 * a + 1.0) / rows - 1.0)
                slope_y = float32(0.0)
                for c in range(channels):
                    above = image[c, tap_y[a]]
                    below = image[c, tap_y[a] + 1]
                    line = grad_glimpses[f, k, c, a]
                    for b in range(columns):
                        i = tap_x[b]
                        s = share_x[b]
                        down_left = below[i] - above[i]
                        down_right = below[i + 1] - above[i + 1]
                        right = above[i + 1] - above[i] + t * (down_right - down_left)
                        slope_y += line[b] * (down_left + s * (down_right - down_left))
                        slope_x = line[b] * right
                        to_x += slope_x
                        to_width += slope_x * float32((2.0 * b + 1.0) / columns - 1.0)
                    if wanted:
                        grad_above = grad_image[c, tap_y[a]]
                        grad_below = grad_image[c, tap_y[a] + 1]
                        for b in range(columns):
                            i = tap_x[b]
                            s = share_x[b]
                            left = line[b] * (one - s)
                            right = line[b] * s
                            grad_above[i] += (one - t) * left
                            grad_above[i + 1] += (one - t) * right
                            grad_below[i] += t * left
                            grad_below[i + 1] += t * right
                to_y += slope_y
                to_height += slope_y * u
            grad_where[f, k, 0] = to_x * 0.5 * width
            grad_where[f, k, 1] = to_y * 0.5 * height
            grad_where[f, k, 2] = to_width * 0.5 * width
            grad_where[f, k, 3] = to_height * 0.5 * height
        if wanted:
            grad_images[f] = grad_image[:, 1 : height + 1, 1 : width + 1]


@kernel(void(A4, A3, A5, int64, int64))
def read_deep_forward(images, where, glimpses, first, last):  # type: ignore[no-untyped-def]
    """Do as `read_forward` for many channels: [F, K, gh, gw, C] from [F, H, W, C]."""
    _, height, width, channels = images.shape
    _, slots, rows, columns, _ = glimpses.shape
    tap_x, share_x = np.empty(columns, np.int64), np.empty(columns, np.float32)
    tap_y, share_y = np.empty(rows, np.int64), np.empty(rows, np.float32)
    image = np.zeros((height + 3, width + 3, channels), np.float32)
    nobody = np.empty((0, 0), np.bool_)
    one = float32(1.0)
    for f in range(first, last):
        image[1 : height + 1, 1 : width + 1] = images[f]
        for k in range(slots):
            if not kept(where, nobody, f, k):
                glimpses[f, k] = 0.0
                continue
            box = where[f, k]
            _glimpse_taps(float(box[0]), float(box[2]), width, columns, tap_x, share_x)
            _glimpse_taps(float(box[1]), float(box[3]), height, rows, tap_y, share_y)
            for a in range(rows):
                y, t = tap_y[a], share_y[a]
                for b in range(columns):
                    x, s = tap_x[b], share_x[b]
                    i00, i01 = image[y, x], image[y, x + 1]
                    i10, i11 = image[y + 1, x], image[y + 1, x + 1]
                    w00, w01 = (one - t) * (one - s), (one - t) * s
                    w10, w11 = t * (one - s), t * s
                    pixel = glimpses[f, k, a, b]
                    for c in range(uintp(channels)):
                        pixel[c] = w00 * i00[c] + w01 * i01[c] + w10 * i10[c] + w11 * i11[c]


@kernel(void(A4, A3, A5, A4, A3, int64, int64))
def read_deep_backward(  # type: ignore[no-untyped-def]
    images, where, grad_glimpses, grad_images, grad_where, first, last
):
    """Do as `read_backward`, of the arrays of `read_deep_forward`."""
    _, height, width, channels = images.shape
    _, slots, rows, columns, _ = grad_glimpses.shape
    tap_x, share_x = np.empty(columns, np.int64), np.empty(columns, np.float32)
    tap_y, share_y = np.empty(rows, np.int64), np.empty(rows, np.float32)
    image = np.zeros((height + 3, width + 3, channels), np.float32)
    wanted = grad_images.shape[0] > 0
    grad_image = np.empty_like(image)
    nobody = np.empty((0, 0), np.bool_)
    one = float32(1.0)
    for f in range(first, last):
        image[1 : height + 1, 1 : width + 1] = images[f]
        grad_image[:] = 0.0
        for k in range(slots):
            grad_where[f, k] = 0.0
            if not kept(where, nobody, f, k):
                continue
            box = where[f, k]
            _glimpse_taps(float(box[0]), float(box[2]), width, columns, tap_x, share_x)
            _glimpse_taps(float(box[1]), float(box[3]), height, rows, tap_y, share_y)
            for a in range(rows):
                y, t = tap_y[a], share_y[a]
                for b in range(columns):
                    x, s = tap_x[b], share_x[b]
                    i00, i01 = image[y, x], image[y, x + 1]
                    i10, i11 = image[y + 1, x], image[y + 1, x + 1]
                    pixel = grad_glimpses[f, k, a, b]
                    # The pixel is bilinear in the two shares: four sums give both derivatives.
                    g00, g01, g10, g11 = float32(0), float32(0), float32(0), float32(0)
                    for c in range(uintp(channels)):
                        g00 += pixel[c] * i00[c]
                        g01 += pixel[c] * i01[c]
                        g10 += pixel[c] * i10[c]
                        g11 += pixel[c] * i11[c]
                    to_x = (one - t) * (g01 - g00) + t * (g11 - g10)
                    to_y = (one - s) * (g10 - g00) + s * (g11 - g01)
                    grad_where[f, k, 0] += to_x
                    grad_where[f, k, 1] += to_y
                    grad_where[f, k, 2] += to_x * float32((2.0 * b + 1.0) / columns - 1.0)
                    grad_where[f, k, 3] += to_y * float32((2.0 * a + 1.0) / rows - 1.0)
                    if wanted:
                        w00, w01 = (one - t) * (one - s), (one - t) * s
                        w10, w11 = t * (one - s), t * s
                        d00, d01 = grad_image[y, x], grad_image[y, x + 1]
                        d10, d11 = grad_image[y + 1, x], grad_image[y + 1, x + 1]
                        for c in range(uintp(channels)):
                            d00[c] += w00 * pixel[c]
                        for c in range(uintp(channels)):
                            d01[c] += w01 * pixel[c]
                        for c in range(uintp(channels)):
                            d10[c] += w10 * pixel[c]
                        for c in range(uintp(channels)):
                            d11[c] += w11 * pixel[c]
            grad_where[f, k, 0] *= 0.5 * width
            grad_where[f, k, 1] *= 0.5 * height
            grad_where[f, k, 2] *= 0.5 * width
            grad_where[f, k, 3] *= 0.5 * height
        if wanted:
            grad_images[f] = grad_image[1 : height + 1, 1 : width + 1]
