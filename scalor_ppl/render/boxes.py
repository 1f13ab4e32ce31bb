"""Where an object is: boxes in image coordinates, in pixels, and the real numbers behind them.

`where` is [..., 4]: (centre x, centre y, width, height). Centres are in image coordinates, -1 the
left (top) edge of the image and 1 its right (bottom) edge, and may lie outside. Width and height
are fractions of the image's: 1 covers it. In these coordinates a box reaches from centre - width
to centre + width, because the image itself is 2 wide.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Inverses stay this far from the ends of an open interval: atanh is then at most 7.3, so that a
# float32 round trip moves a value by no more than a millionth of the interval.
INVERSE_MARGIN = 1e-6


def boxes_from_where(where: Tensor, size: tuple[int, int]) -> Tensor:
    """Turn boxes in image coordinates into pixels.

    Args:
        where: [..., 4] centre x, centre y, width, height in image coordinates.
        size: height and width of the image in pixels.

    Returns:
        [..., 4] left, top, width, height in pixels; 0 is the outer edge of the first pixel.
    """
    height, width = size
    centre_x, centre_y, box_width, box_height = where.unbind(-1)
    wide, high = box_width * width, box_height * height
    left = (centre_x + 1) * (width / 2) - wide / 2
    top = (centre_y + 1) * (height / 2) - high / 2
    return torch.stack((left, top, wide, high), -1)


def where_from_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Turn boxes in pixels into image coordinates; the inverse of `boxes_from_where`.

    Args:
        boxes: [..., 4] left, top, width, height in pixels.
        size: height and width of the image in pixels.

    Returns:
        [..., 4] centre x, centre y, width, height in image coordinates.
    """
    height, width = size
    left, top, wide, high = boxes.unbind(-1)
    centre_x = (2 * left + wide) / width - 1
    centre_y = (2 * top + high) / height - 1
    return torch.stack((centre_x, centre_y, wide / width, high / height), -1)


def cell_size(grid: tuple[int, int]) -> Tensor:
    """Width and height of one grid cell in image coordinates: [2], each in (0, 2].

    Args:
        grid: rows and columns of cells.
    """
    rows, columns = grid
    return torch.tensor((2 / columns, 2 / rows))


def cell_centres(grid: tuple[int, int]) -> Tensor:
    """Centres of the grid's cells: [rows * columns, 2] (x, y) in (-1, 1), row by row."""
    rows, columns = grid
    y = (torch.arange(rows) * 2 + 1) / rows - 1
    x = (torch.arange(columns) * 2 + 1) / columns - 1
    return torch.stack((x.repeat(rows), y.repeat_interleave(columns)), -1)


def bounded(raw: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """Map any real number smoothly and one to one into (low, high); 0 becomes the middle.

    Used for the scale of an object: its posterior and prior are normal in `raw`.
    """
    if isinstance(low, Tensor) and isinstance(high, Tensor):
        return torch.addcmul(low, high - low, torch.sigmoid(raw))
    return low + (high - low) * torch.sigmoid(raw)


def unbounded(value: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """Undo `bounded`; values at or beyond an end give a large finite number."""
    share = (value - low) / (high - low)
    return torch.logit(share, eps=INVERSE_MARGIN)


class CellPositions(NamedTuple):
    """Positions of objects discovered on a grid: each cell proposes one near its own centre.

    position = cell centre + reach * tanh(raw) * cell size (paper, Appendix A and algorithm 3).

    Attributes:
        centres: [cells, 2] (x, y) cell centres in image coordinates.
        cell: [2] width and height of a cell in image coordinates.
        reach: how far from the centre a position may lie, in cells; 0.5 ends at the cell's edge.
    """

    centres: Tensor
    cell: Tensor
    reach: float = 1.0

    @classmethod
    def on_grid(
        cls, grid: tuple[int, int], reach: float = 1.0, like: Tensor | None = None
    ) -> CellPositions:
        """Lay out a grid of (rows, columns) cells, typed and placed as the tensor `like`."""
        centres = cell_centres(grid)
        cell = cell_size(grid)
        if like is not None:
            centres, cell = centres.to(like), cell.to(like)
        return cls(centres, cell, reach)

    def position(self, raw: Tensor) -> Tensor:
        """Positions [..., cells, 2] in image coordinates from real numbers of the same shape."""
        return moved(self.centres, raw, self.reach * self.cell)

    def raw(self, position: Tensor) -> Tensor:
        """Undo `position`; positions out of a cell's reach give its limit, a finite number."""
        return movement(self.centres, position, self.reach * self.cell)


def moved(previous: Tensor, raw: Tensor, max_step: float | Tensor) -> Tensor:
    """Move a position by at most `max_step`: previous + max_step * tanh(raw) (paper, Appendix A).

    Args:
        previous: [..., 2] (x, y) in image coordinates.
        raw: [..., 2] real numbers.
        max_step: largest move along each axis in image coordinates; a number or [2].
    """
    if isinstance(max_step, Tensor):
        return torch.addcmul(previous, max_step, torch.tanh(raw))
    return previous + max_step * torch.tanh(raw)


def movement(previous: Tensor, position: Tensor, max_step: float | Tensor) -> Tensor:
    """Undo `moved`: the `raw` that leads from `previous` to `position`.

    Moves of `max_step` and more give a large finite number.
    """
    limit = 1 - INVERSE_MARGIN
    return torch.atanh(((position - previous) / max_step).clamp(-limit, limit))
