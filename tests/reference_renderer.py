"""The renderer written plainly, for tests: a full canvas per object through `grid_sample`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from scalor_ppl.render.glimpses import OCCLUSION_EPS, WEIGHT_EPS, Frame


def read(images: Tensor, where: Tensor, size: tuple[int, int]) -> Tensor:
    frames, slots = where.shape[:2]
    x, y, w, h = where.reshape(-1, 4).unbind(-1)
    zero = torch.zeros_like(x)
    theta = torch.stack((w, zero, x, zero, h, y), -1).reshape(-1, 2, 3)
    source = images.repeat_interleave(slots, 0)
    grid = affine_grid(theta, [frames * slots, images.shape[1], *size], align_corners=False)
    out = grid_sample(source, grid, padding_mode="zeros", align_corners=False)
    return out.reshape(frames, slots, images.shape[1], *size)


def canvases(planes: Tensor, where: Tensor, size: tuple[int, int]) -> Tensor:
    """[F, K, P, gh, gw] -> [F, K, P, H, W]: one canvas per object."""
    frames, slots, count = planes.shape[:3]
    x, y, w, h = where.reshape(-1, 4).unbind(-1)
    zero = torch.zeros_like(x)
    theta = torch.stack((1 / w, zero, -x / w, zero, 1 / h, -y / h), -1).reshape(-1, 2, 3)
    grid = affine_grid(theta, [frames * slots, count, *size], align_corners=False)
    flat = planes.reshape(frames * slots, count, *planes.shape[3:])
    out = grid_sample(flat, grid, padding_mode="zeros", align_corners=False)
    return out.reshape(frames, slots, count, *size)


def write(planes: Tensor, where: Tensor, size: tuple[int, int]) -> Tensor:
    return canvases(planes, where, size).sum(1)


def composite(
    colour: Tensor,
    mask: Tensor,
    presence: Tensor,
    depth: Tensor,
    where: Tensor,
    background: Tensor | None,
    size: tuple[int, int],
    occlusion: float | None = None,
) -> Frame:
    weight = torch.sigmoid(-depth) if occlusion is None else torch.exp(-occlusion * depth)
    eps = WEIGHT_EPS if occlusion is None else OCCLUSION_EPS
    presence = presence[..., None, None, None]
    gamma = mask * presence * weight[..., None, None, None]
    premultiplied = canvases(colour * gamma, where, size).sum(1)
    total = canvases(gamma, where, size).sum(1)
    covered = canvases(mask * presence, where, size).sum(1).clamp(max=1)
    foreground = covered * premultiplied / (total + eps)
    image = foreground if background is None else foreground + (1 - covered) * background
    return Frame(image, covered, foreground)
