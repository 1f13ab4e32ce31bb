"""What the networks of SQAIR's posterior see: whole frames, places in them, and glimpses."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalor_ppl.nn.layers import (
    GridEncoder,
    Size,
    kept_in_scale,
    mlp,
    positive,
)
from scalor_ppl.render.boxes import cell_centres
from scalor_ppl.render.glimpses import read_glimpses

# Standard deviation of z_what before anything is learned (before softplus): 0.3.
WHAT_SHIFT = -1.0
# Pixels of a frame for each of its features, along each axis.
STRIDE = 8


def biased(layers: nn.Sequential, *bias: float) -> nn.Sequential:
    """Layers whose last one has these biases, before anything is learned."""
    last = layers[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.bias.copy_(torch.tensor(bias))
    return layers


class FrameFeatures(NamedTuple):
    """What is seen of a frame.

    Attributes:
        cells: features by place, row by row ``[B, cells, maps]``.
        salience: how far something is seen there ``[B, 1, cells]``, unbounded.
    """

    cells: Tensor
    salience: Tensor


class FrameEncoder(nn.Module):
    """A whole frame, at half its resolution: a glimpse will show the rest.

    Args:
        channels: of the frame.
        size: height and width of the frame.
        maps: channels of the features.
        hidden: dimension of the vector.
    """

    def __init__(self, channels: int, size: Size, maps: int, hidden: int) -> None:
        super().__init__()
        half = (size[0] // 2, size[1] // 2)
        self.grid = (max(1, size[0] // STRIDE), max(1, size[1] // STRIDE))
        self.features = GridEncoder(channels, maps, half, self.grid, width=max(1, maps // 4))
        self.salience = nn.Linear(maps, 1)
        cells = self.grid[0] * self.grid[1]
        self.head = kept_in_scale(nn.Sequential(nn.Linear(maps * cells, hidden)))

    def forward(self, frames: Tensor) -> FrameFeatures:
        """What is seen of frames ``[B, C, H, W]``."""
        cells = self.features(F.avg_pool2d(frames, 2)).flatten(2).transpose(1, 2)
        return FrameFeatures(cells, self.salience(cells).transpose(1, 2))

    def whole(self, features: FrameFeatures) -> Tensor:
        """One vector ``[B, hidden]`` of each frame."""
        return F.celu(self.head(features.cells.flatten(1)))


class PlaceAttention(nn.Module):
    """A place in a frame, chosen by a recurrent state.

    Where an object lies is then told as a distance from there, by what is seen there: what is
    learned of one place holds for all. (In the authors' code the recurrent state alone tells it.)

    Args:
        grid: rows and columns of cells.
        maps: channels of the features.
        hidden: of the state.
    """

    centres: Tensor

    def __init__(self, grid: Size, maps: int, hidden: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden, maps)
        self.register_buffer("centres", cell_centres(grid), persistent=False)

    def forward(
        self, seen: FrameFeatures, state: Tensor, near: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Places for n states ``[B, n, hidden]``.

        Args:
            seen: of the frame.
            state: of who asks.
            near: what is added to the cells' log-weights ``[B, n, cells]``.

        Returns:
            Features there ``[B, n, maps]``, and the place ``[B, n, 2]`` before it is bounded.
        """
        heat = seen.salience + self.query(state) @ seen.cells.transpose(1, 2)
        weights = torch.softmax(heat if near is None else heat + near, -1)
        return weights @ seen.cells, torch.atanh(weights @ self.centres)

    def away(self, position: Tensor) -> Tensor:
        """Squared distances of cells from positions ``[B, n, 2]``, ``[B, n, cells]``."""
        return (position[:, :, None] - self.centres).square().sum(-1)


class GlimpseReader(nn.Module):
    """Glimpses of a frame, encoded; the same network wherever one is read.

    Args:
        channels: of the frame.
        glimpse: height and width of a glimpse.
        what: dimension of z_what.
        hidden: width.
    """

    def __init__(self, channels: int, glimpse: Size, what: int, hidden: int) -> None:
        super().__init__()
        self.glimpse = glimpse
        self.layers = kept_in_scale(mlp(channels * glimpse[0] * glimpse[1], hidden, hidden))
        self.head = nn.Linear(hidden, 2 * what)

    def forward(self, frame: Tensor, where: Tensor, attention: Tensor | None = None) -> Tensor:
        """What is in boxes, ``[B, n, hidden]``.

        Args:
            frame: ``[B, C, H, W]``.
            where: boxes ``[B, n, 4]``.
            attention: how far each glimpse pixel counts ``[B, n, h * w]``; none counts all.
        """
        seen = read_glimpses(frame, where, self.glimpse).flatten(3)
        if attention is not None:
            seen = seen * attention[:, :, None]
        return F.celu(self.layers(seen.flatten(2)))

    def what(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation for z_what, ``[B, n, D]`` each, from what is in the boxes."""
        loc, scale = self.head(seen).chunk(2, -1)
        return loc, positive(scale, WHAT_SHIFT)
