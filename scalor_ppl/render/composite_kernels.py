"""Compiled loops that render frames: glimpses written together, and laid over a background (numba).

Like :mod:`scalor_ppl.render.write_kernels`, every kernel handles frames `first` to `last` alone.
"""

# numba's functions are untyped to mypy.
# mypy: disable-error-code="misc,no-untyped-call,untyped-decorator"

import numpy as np
from numba import float32, int64, void

from scalor_ppl.render.kernel_basics import A2, A3, A4, A5, ACTIVE, kept, kernel
from scalor_ppl.render.write_kernels import scratch_back, scratch_for, stamp, unstamp


@kernel()
def _weigh(colour, mask, presence, weight, glimpse):  # type: ignore[no-untyped-def]
    """Fill a bordered glimpse with colour x weight, weight, and mask x presence."""
    channels, rows, columns = colour.shape
    for a in range(rows):
        for b in range(columns):
            gamma = mask[a, b] * weight
            glimpse[channels, a, b + 1] = gamma
            glimpse[channels + 1, a, b + 1] = mask[a, b] * presence
    for c in range(channels):
        for a in range(rows):
            for b in range(columns):
                glimpse[c, a, b + 1] = colour[c, a, b] * glimpse[channels, a, b + 1]


@kernel(void(A5, A4, A2, A2, A3, ACTIVE, A4, float32, A4, A4, A4, A4, int64, int64))
def composite_forward(  # type: ignore[no-untyped-def]
    colour,
    mask,
    presence,
    weight,
    where,
    active,
    background,
    eps,
    sums,
    image,
    covered,
    foreground,
    first,
    last,
):
    """Render frames and keep the sums [F, C + 2, H, W]; a background of no frames means none."""
    _, slots, channels, rows, columns = colour.shape
    _, planes, height, width = sums.shape
    scratch = scratch_for(planes, rows, height, width)
    glimpse = np.zeros((planes, rows, columns + 2), np.float32)
    behind = background.shape[0] > 0
    for f in range(first, last):
        sums[f] = 0.0
        for k in range(slots):
            if kept(where, active, f, k):
                _weigh(colour[f, k], mask[f, k], presence[f, k], weight[f, k], glimpse)
                stamp(glimpse, where[f, k], sums[f], scratch)
        for y in range(height):
            for x in range(width):
                covered[f, 0, y, x] = min(sums[f, channels + 1, y, x], float32(1.0))
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    m = covered[f, 0, y, x]
                    foreground[f, c, y, x] = sums[f, c, y, x] * (
                        m / (sums[f, channels, y, x] + eps)
                    )
            if behind:
                for y in range(height):
                    for x in range(width):
                        m = covered[f, 0, y, x]
                        image[f, c, y, x] = (
                            foreground[f, c, y, x] + (float32(1.0) - m) * background[f, c, y, x]
                        )


@kernel()
def _unblend(  # type: ignore[no-untyped-def]
    sums, background, behind, eps, grad_image, grad_covered, grad_foreground, grad_sums, grad_behind
):
    """Fill the gradient of one frame's sums, and of its background, from those of its pictures."""
    planes, height, width = sums.shape
    channels = planes - 2
    one = float32(1.0)
    from_image = behind and grad_image.shape[1] > 0
    from_covered = grad_covered.shape[1] > 0
    from_foreground = grad_foreground.shape[1] > 0
    for y in range(height):
        for x in range(width):
            total = sums[channels, y, x] + eps
            mass = sums[channels + 1, y, x]
            m = min(mass, one)
            to_ratio = float32(0.0)
            to_covered = grad_covered[0, y, x] if from_covered else float32(0.0)
            for c in range(channels):
                g = grad_foreground[c, y, x] if from_foreground else float32(0.0)
                h = grad_image[c, y, x] if from_image else float32(0.0)
                if behind:
                    to_covered -= h * background[c, y, x]
                    grad_behind[c, y, x] = h * (one - m)
                g += h
                grad_sums[c, y, x] = g * (m / total)
                to_ratio += g * sums[c, y, x]
            grad_sums[channels, y, x] = -to_ratio * (m / total) / total
            # As `clamp` has it: no gradient above the limit, all of it at the limit.
            grad_sums[channels + 1, y, x] = (
                to_covered + to_ratio / total if mass <= one else float32(0.0)
            )


@kernel(
    void(
        *(A5, A4, A2, A2, A3, ACTIVE, A4, float32, A4),
        *(A4, A4, A4),
        *(A5, A4, A2, A2, A3, A4),
        *(int64, int64),
    )
)
def composite_backward(  # type: ignore[no-untyped-def]
    colour,
    mask,
    presence,
    weight,
    where,
    active,
    background,
    eps,
    sums,
    grad_image,
    grad_covered,
    grad_foreground,
    grad_colour,
    grad_mask,
    grad_presence,
    grad_weight,
    grad_where,
    grad_background,
    first,
    last,
):
    """Fill the gradients of `composite_forward`."""
    _, slots, channels, rows, columns = colour.shape
    _, planes, height, width = sums.shape
    scratch = scratch_back(planes, rows, height, width)
    lines = np.zeros((columns + 2, rows, planes), np.float32)
    grad_lines = np.empty_like(lines)
    glimpse, grad_glimpse = lines.transpose(2, 1, 0), grad_lines.transpose(2, 1, 0)
    grad_sums = np.empty((planes, height, width), np.float32)
    behind = background.shape[0] > 0
    none = np.empty((channels, 0, 0), np.float32)
    for f in range(first, last):
        _unblend(
            sums[f],
            background[f] if behind else none,
            behind,
            eps,
            grad_image[f] if grad_image.shape[0] > 0 else none,
            grad_covered[f] if grad_covered.shape[0] > 0 else none,
            grad_foreground[f] if grad_foreground.shape[0] > 0 else none,
            grad_sums,
            grad_background[f] if behind else none,
        )
        for k in range(slots):
            if not kept(where, active, f, k):
                grad_colour[f, k] = 0.0
                grad_mask[f, k] = 0.0
                grad_where[f, k] = 0.0
                grad_presence[f, k] = 0.0
                grad_weight[f, k] = 0.0
                continue
            here, heft = presence[f, k], weight[f, k]
            _weigh(colour[f, k], mask[f, k], here, heft, glimpse)
            unstamp(lines, where[f, k], grad_sums, grad_lines, grad_where[f, k], scratch)
            to_weight = float32(0.0)
            to_presence = float32(0.0)
            for a in range(rows):
                for b in range(columns):
                    m = mask[f, k, a, b]
                    to_gamma = grad_glimpse[channels, a, b + 1]
                    for c in range(channels):
                        g = grad_glimpse[c, a, b + 1]
                        to_gamma += g * colour[f, k, c, a, b]
                        grad_colour[f, k, c, a, b] = g * glimpse[channels, a, b + 1]
                    to_mass = grad_glimpse[channels + 1, a, b + 1]
                    grad_mask[f, k, a, b] = to_gamma * heft + to_mass * here
                    to_weight += to_gamma * m
                    to_presence += to_mass * m
            grad_weight[f, k] = to_weight
            grad_presence[f, k] = to_presence
