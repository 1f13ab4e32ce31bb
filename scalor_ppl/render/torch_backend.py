"""Reading and writing glimpses as matrix products: the pure torch path, right for a GPU.

Bilinear interpolation on an axis-parallel box is separable, so a glimpse is `Y @ image @ X^T` with
two small matrices of tap weights, and writing is the transpose of such a product. The sum over
objects happens inside the last product: no canvas per object is ever made. Works in float32 and
float64 and is differentiable any number of times.
"""

from __future__ import annotations

import torch
from torch import Tensor

# A box with a coordinate beyond these limits is no box (a diverged or NaN one); it is skipped.
# Below the smallest extent the derivative of the taps overflows float32.
SMALLEST_EXTENT = 1e-6
LARGEST_COORDINATE = 1e6


def usable(where: Tensor, active: Tensor | None = None) -> Tensor:
    """Which boxes can be read or written: finite, not empty, and active. [..., 4] -> [...] bool."""
    fits = (where.abs() < LARGEST_COORDINATE).all(-1)
    fits = fits & (where[..., 2:] > SMALLEST_EXTENT).all(-1)
    return fits if active is None else fits & active


def safe_where(where: Tensor, kept: Tensor) -> Tensor:
    """Put a harmless box in place of those not kept, so that no NaN reaches a gradient."""
    return torch.where(kept.unsqueeze(-1), where, torch.ones_like(where))


def pixel_centres(count: int, like: Tensor) -> Tensor:
    """Centres of `count` pixels along an axis that reaches from -1 to 1: [count]."""
    end = 1 - 1 / count
    return torch.linspace(-end, end, count, dtype=like.dtype, device=like.device)


def tap_weights(position: Tensor, count: int) -> Tensor:
    """Bilinear weights of `count` pixels at positions on an axis from -1 to 1.

    A tap outside the axis has no column, which is the same as a pixel of value zero there.

    Args:
        position: [..., n] coordinates; -1 is the outer edge of the first pixel.
        count: number of pixels along the axis.

    Returns:
        [..., n, count] weights, at most two of each row not zero.
    """
    in_pixels = ((position + 1) * count - 1) / 2
    pixel = torch.arange(count, dtype=position.dtype, device=position.device)
    return torch.relu(1 - (in_pixels.unsqueeze(-1) - pixel).abs())


def read(images: Tensor, where: Tensor, size: tuple[int, int]) -> Tensor:
    """Read glimpses; see `scalor_ppl.render.glimpses.read_glimpses` for shapes and meaning."""
    frames, channels, height, width = images.shape
    slots = where.shape[1]
    rows, columns = size
    kept = usable(where)
    centre_x, centre_y, wide, high = safe_where(where, kept).unsqueeze(-1).unbind(2)
    on = kept.to(images.dtype)[..., None, None]
    by_row = on * tap_weights(centre_y + high * pixel_centres(rows, where), height)
    by_column = on * tap_weights(centre_x + wide * pixel_centres(columns, where), width)
    lines = images.transpose(1, 2).reshape(frames, height, channels * width)
    strips = by_row.reshape(frames, slots * rows, height) @ lines
    strips = strips.reshape(frames, slots, rows * channels, width)
    glimpses = (strips @ by_column.transpose(-1, -2)).reshape(
        frames, slots, rows, channels, columns
    )
    return glimpses.transpose(2, 3)


def write(planes: Tensor, where: Tensor, size: tuple[int, int], active: Tensor | None) -> Tensor:
    """Write and sum glimpses; see `scalor_ppl.render.glimpses.write_glimpses`."""
    frames, slots, depth, rows, columns = planes.shape
    height, width = size
    kept = usable(where, active)
    # Selected, not multiplied: a NaN in a slot that is skipped must stay there.
    planes = torch.where(kept[..., None, None, None], planes, torch.zeros_like(planes))
    centre_x, centre_y, wide, high = safe_where(where, kept).unsqueeze(-1).unbind(2)
    by_row = tap_weights((pixel_centres(height, where) - centre_y) / high, rows)
    by_column = tap_weights((pixel_centres(width, where) - centre_x) / wide, columns)
    strips = planes.transpose(2, 3).reshape(frames, slots, rows * depth, columns)
    strips = strips @ by_column.transpose(-1, -2)
    strips = strips.reshape(frames, slots * rows, depth * width)
    by_row = by_row.permute(0, 2, 1, 3).reshape(frames, height, slots * rows)
    return (by_row @ strips).reshape(frames, height, depth, width).transpose(1, 2)


def weighted_planes(colour: Tensor, mask: Tensor, presence: Tensor, weight: Tensor) -> Tensor:
    """What an object adds to the canvas: colour x weight, weight, and mask x presence.

    Args:
        colour: [F, K, C, gh, gw] in [0, 1].
        mask: [F, K, 1, gh, gw] in [0, 1].
        presence: [F, K] in [0, 1].
        weight: [F, K], presence x importance by depth, in [0, 1].

    Returns:
        [F, K, C + 2, gh, gw].
    """
    gamma = mask * weight[..., None, None, None]
    return torch.cat((colour * gamma, gamma, mask * presence[..., None, None, None]), 2)


def composite(
    colour: Tensor,
    mask: Tensor,
    presence: Tensor,
    weight: Tensor,
    where: Tensor,
    background: Tensor | None,
    size: tuple[int, int],
    active: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Render frames; see `glimpses.composite`. Returns image, mask and foreground."""
    # A NaN in a slot that is skipped must not reach a gradient through its planes either.
    kept = usable(where, active)
    presence = torch.where(kept, presence, torch.zeros_like(presence))
    weight = torch.where(kept, weight, torch.zeros_like(weight))
    slots = kept[..., None, None, None]
    colour = torch.where(slots, colour, torch.zeros_like(colour))
    mask = torch.where(slots, mask, torch.zeros_like(mask))
    sums = write(weighted_planes(colour, mask, presence, weight), where, size, active)
    channels = colour.shape[2]
    covered = sums[:, channels + 1 :].clamp(max=1)
    # Mask over weight is bounded (by one over the smallest importance) where both go to zero, and
    # so are the gradients; colour alone, divided by the weight, would not be.
    foreground = sums[:, :channels] * (covered / (sums[:, channels : channels + 1] + eps))
    if background is None:
        return foreground, covered, foreground
    return foreground + (1 - covered) * background, covered, foreground
