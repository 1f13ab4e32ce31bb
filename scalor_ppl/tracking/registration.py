"""Where objects are, measured in the frames themselves: what was painted is laid upon what is seen.

A network says where an object is to a few tenths of a pixel, and what it paints is a little off the
frame in the same way. So each object's own light, mask times the difference of its colour from what
is behind it, is shifted until it lies upon the frame less all others: least squares over the
pixels of its box, by Gauss and Newton, its brightness and an offset free. For spots in white noise
that is the estimate of greatest likelihood, if what is painted has the right shape.

**Centre** is the centre of mass of the squared light: of what the object changes in the picture. A
mask alone does not say: before a dark floor a decoder may paint a bright spot in a wide mask.

**Standard deviations** are of the curvature at the optimum and of what is left over, pixel by pixel
(MacKinnon and White, J. Econometrics 29, 1985: HC3): noise that grows with brightness counts where
it is, and so does a shape that does not fit.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from scalor_ppl.programs.capabilities import ObjectArrays
from scalor_ppl.render.boxes import boxes_from_where
from scalor_ppl.tracks.table import EMPTY, Tracks

_ROUNDS = 4
_STEP = 1e-2  # of the differences by which light is derived, in pixels
_FARTHEST = 0.3  # of a box, that an object may be off; beyond, it is another one
_FAINTEST = 0.3  # of the brightness that was painted
_EXPLAINED = 0.5  # of the variance in the window, by what is laid upon it
_EDGE = 0.75  # of the window that must be in view
_COVERED = 0.3  # of a pixel by a mask, beyond which it does not show what is behind
_LEAST_LIGHT = 1e-5  # mean squared light of an object that can be laid upon anything


class Registered(NamedTuple):
    """Where N objects are.

    Attributes:
        centres: ``[N, 2]``, x and y in pixels: measured, or those of what was painted.
        spread: ``[N, 2]``, their standard deviations; NaN where nothing could be measured.
    """

    centres: Tensor
    spread: Tensor


@torch.no_grad()
def register(frames: Tensor, boxes: Tensor, glimpses: Tensor, of: Tensor) -> Registered:
    """Measure where objects are.

    Args:
        frames: ``[T, C, H, W]``.
        boxes: that objects are painted in, ``[N, 4]``, left, top, width, height in pixels.
        glimpses: colour and mask in these boxes, ``[N, C + 1, h, w]`` in [0, 1].
        of: int64 ``[N]``, the frame of each.
    """
    if not len(boxes):
        nothing = boxes.new_zeros(0, 2)
        return Registered(nothing, nothing)
    boxes = boxes.double()
    colour, mask = glimpses.double().split((glimpses.shape[1] - 1, 1), 1)
    middle = boxes[:, :2] + boxes[:, 2:] / 2
    about = _Window(middle, float(boxes[:, 2:].max()) + 2, frames.shape[-2:])
    light = mask * (colour - _behind(frames, about, mask, boxes, of))
    centre = _mass_centre(light, boxes)
    window = _Window(centre, float(boxes[:, 2:].max()), frames.shape[-2:])
    shift = torch.zeros_like(centre)
    brightness = torch.ones_like(centre[:, :1])
    for _ in range(_ROUNDS):
        own = _painted(light, boxes, window, shift) * brightness[..., None, None]
        rest = window.cut(frames.double() - window.added(own, of, frames), of)
        target = (rest + own) * window.inside
        columns = _columns(light, boxes, window, shift)
        normal = columns.transpose(1, 2) @ columns
        normal = normal + 1e-12 * torch.eye(4, dtype=normal.dtype, device=normal.device)
        fitted = torch.linalg.solve(normal, columns.transpose(1, 2) @ target.flatten(1)[..., None])
        brightness = fitted[:, 2].clamp(min=0)
        shift = shift + (fitted[:, :2, 0] / brightness.clamp(min=_FAINTEST)).clamp(-1, 1)
    left = target.flatten(1) - (columns @ fitted)[..., 0]
    inverse = torch.linalg.inv(normal)
    leverage = ((columns @ inverse) * columns).sum(2).clamp(max=0.9)
    loose = columns * (left / (1 - leverage))[..., None]
    covariance = inverse @ (loose.transpose(1, 2) @ loose) @ inverse
    spread = covariance.diagonal(dim1=1, dim2=2)[:, :2].sqrt() / brightness.clamp(min=_FAINTEST)
    varying = target.flatten(1) - target.flatten(1).mean(1, keepdim=True)
    explained = 1 - left.square().sum(1) / varying.square().sum(1).clamp(min=1e-12)
    measured = (
        (shift.abs() <= _FARTHEST * boxes[:, 2:]).all(1)
        & (brightness[:, 0] >= _FAINTEST)
        & (explained >= _EXPLAINED)
        & (window.inside.flatten(1).double().mean(1) >= _EDGE)
        & (light.square().mean((1, 2, 3)) > _LEAST_LIGHT)
    )[:, None]
    nowhere = torch.full_like(spread, float("nan"))
    return Registered(
        torch.where(measured, centre + shift, centre), torch.where(measured, spread, nowhere)
    )


def measured(tracks: Tracks, video: Tensor, objects: ObjectArrays) -> Tracks:
    """Tracks whose centres and deviations are measured in the frames.

    Args:
        tracks: of one video, in pixels of its frames.
        video: ``[T, C, H, W]``.
        objects: of that video alone, in the slots of the tracks.
    """
    t, k = np.nonzero(tracks.ids != EMPTY)
    size = video.shape[-2], video.shape[-1]
    where = torch.as_tensor(objects.where[0, t, k], device=video.device)
    glimpses = torch.as_tensor(objects.glimpse[0, t, k], device=video.device)
    of = torch.as_tensor(t, device=video.device)
    found = register(video, boxes_from_where(where, size), glimpses, of)
    centres, spread = (np.full((*tracks.ids.shape, 2), np.nan) for _ in range(2))
    centres[t, k], spread[t, k] = found.centres.cpu().numpy(), found.spread.cpu().numpy()
    return replace(tracks, centres=centres, spread=spread)


class _Window:
    """Square windows of pixels about N places.

    Attributes:
        x, y: ``[N, P, P]`` middles of the pixels.
        inside: bool ``[N, 1, P, P]``, which are in view.
    """

    def __init__(self, centre: Tensor, side: float, size: torch.Size) -> None:
        half = int(side / 2) + 1
        reach = torch.arange(-half, half + 1, device=centre.device)
        column = centre[:, :1].floor().long() + reach
        row = centre[:, 1:].floor().long() + reach
        height, width = size
        rows, columns = (row >= 0) & (row < height), (column >= 0) & (column < width)
        within = rows[:, :, None] & columns[:, None]
        self.inside = within[:, None]
        self._row, self._column = row.clamp(0, height - 1), column.clamp(0, width - 1)
        self.x = (column + 0.5)[:, None, :].expand_as(within)
        self.y = (row + 0.5)[:, :, None].expand_as(within)

    def cut(self, pictures: Tensor, of: Tensor) -> Tensor:
        """The windows ``[N, C, P, P]`` of pictures ``[T, C, H, W]``."""
        cut = pictures[of[:, None, None], :, self._row[:, :, None], self._column[:, None, :]]
        return cut.permute(0, 3, 1, 2)

    def added(self, parts: Tensor, of: Tensor, like: Tensor) -> Tensor:
        """The sum ``[T, C, H, W]`` of windows ``[N, C, P, P]`` at their places in pictures."""
        frames, channels, height, width = like.shape
        place = (of[:, None, None] * height + self._row[:, :, None]) * width
        place = (place + self._column[:, None, :]).flatten()
        values = (parts * self.inside).permute(0, 2, 3, 1).reshape(-1, channels)
        whole = values.new_zeros(frames * height * width, channels)
        whole = whole.index_add(0, place, values)
        return whole.view(frames, height, width, channels).permute(0, 3, 1, 2)


def _mass_centre(light: Tensor, boxes: Tensor) -> Tensor:
    """``[N, 2]`` centres of mass of squared light ``[N, C, h, w]``, in pixels."""
    weight = light.square().sum(1) + 1e-12
    total = weight.sum((1, 2))
    rows, columns = weight.shape[1:]
    x = (torch.arange(columns, device=light.device) + 0.5) / columns
    y = (torch.arange(rows, device=light.device) + 0.5) / rows
    inside = torch.stack((weight.sum(1) @ x.double(), weight.sum(2) @ y.double()), 1)
    return boxes[:, :2] + boxes[:, 2:] * inside / total[:, None]


def _behind(frames: Tensor, window: _Window, mask: Tensor, boxes: Tensor, of: Tensor) -> Tensor:
    """What objects stand before, ``[N, C, 1, 1]``: the median of the frame about their masks.

    The program's own background does not say: where an object stands for long nothing keeps it
    from showing what it likes.
    """
    own = _painted(mask, boxes, window, torch.zeros_like(boxes[:, :2]))
    seen = window.cut(frames.double(), of)
    around = torch.where(window.inside & (own < _COVERED), seen, torch.nan).flatten(2)
    everywhere = torch.where(window.inside, seen, torch.nan).flatten(2)
    median = around.nanmedian(2).values
    return torch.where(median.isnan(), everywhere.nanmedian(2).values, median)[..., None, None]


def _painted(light: Tensor, boxes: Tensor, window: _Window, shift: Tensor) -> Tensor:
    """Light ``[N, C, h, w]`` in windows ``[N, C, P, P]``, shifted by ``[N, 2]`` pixels."""
    x = (window.x - (boxes[:, 0] + shift[:, 0])[:, None, None]) / boxes[:, 2, None, None]
    y = (window.y - (boxes[:, 1] + shift[:, 1])[:, None, None]) / boxes[:, 3, None, None]
    grid = torch.stack((2 * x - 1, 2 * y - 1), -1)
    return F.grid_sample(light, grid, align_corners=False)


def _columns(light: Tensor, boxes: Tensor, window: _Window, shift: Tensor) -> Tensor:
    """Derivatives of the window by shift, brightness and offset ``[N, C P P, 4]``."""
    there = _painted(light, boxes, window, shift)
    by = []
    for axis in range(2):
        step = torch.zeros_like(shift)
        step[:, axis] = _STEP
        ahead = _painted(light, boxes, window, shift + step)
        back = _painted(light, boxes, window, shift - step)
        by.append((ahead - back) / (2 * _STEP))
    columns = torch.stack((*by, there, torch.ones_like(there)), -1) * window.inside[..., None]
    return columns.flatten(1, 3)
