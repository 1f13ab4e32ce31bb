"""The networks of SQAIR's posterior: what is seen, how objects are found, how they are followed."""

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
    starting_small,
)
from scalor_ppl.render.boxes import cell_centres
from scalor_ppl.render.glimpses import read_glimpses

# Standard deviations before anything is learned (before softplus): z_where's 0.05 where an object
# is found and half that where it is followed, z_what's 0.3.
FOUND_SHIFT = -3.0
FOLLOWED_SHIFT = -4.0
WHAT_SHIFT = -1.0
# How far an object's own state counts in where to look for it; how fast places lose weight with the
# squared distance from there (a cell counts a tenth at 0.4 half-widths); how much wider, before it
# is bounded, the first look is.
AIM = 0.1
NEARNESS = 14.0
WIDER = 1.0
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


class Guess(NamedTuple):
    """Where a step of discovery supposes an object, before it is looked at closely.

    Attributes:
        raw: z_where ``[B, 4]``.
        known: the state and what is seen at that place ``[B, hidden + maps]``.
    """

    raw: Tensor
    known: Tensor


class DiscoveryCell(nn.Module):
    """The RNN over the steps of discovery, and what it says in each.

    A cell of the features is as wide as some strokes are apart: it tells where to look, and not to
    a pixel what is there. So a step looks twice: a glimpse at its guess says whether there is an
    object, and puts its box right. (In the authors' code the state alone says both.)

    Args:
        what: dimension of z_what.
        grid: rows and columns of the features.
        maps: channels of the features.
        hidden: width.
        odds: added to the log-odds of finding an object.
    """

    def __init__(self, what: int, grid: Size, maps: int, hidden: int, odds: float) -> None:
        super().__init__()
        self.beginning = nn.Parameter(torch.zeros(hidden))
        self.rnn = nn.GRUCell(2 * hidden + what + 4, hidden)
        self.attention = PlaceAttention(grid, maps, hidden)
        self.aim = mlp(hidden + maps, hidden, 4)
        self.presence = biased(mlp(2 * hidden + maps, hidden, 1), odds)
        self.where = starting_small(mlp(2 * hidden + maps + 4, hidden, 8))

    def guess(
        self, seen: FrameFeatures, whole: Tensor, summary: Tensor, last: Tensor, state: Tensor
    ) -> tuple[Guess, Tensor]:
        """Where a step looks.

        Args:
            seen: of the frame.
            whole: the same as one vector ``[B, hidden]``.
            summary: of the objects that went on ``[B, hidden]``.
            last: z_what and z_where found in the step before, zeros in the first, ``[B, D + 4]``.
            state: of the RNN ``[B, hidden]``.

        Returns:
            The guess, and the state.
        """
        state = self.rnn(torch.cat((whole, summary, last), -1), state)
        there, place = self.attention(seen, state[:, None])
        known = torch.cat((state, there[:, 0]), -1)
        offset, size = self.aim(known).split(2, -1)
        return Guess(torch.cat((place[:, 0] + offset, size), -1), known), state

    def decide(self, guess: Guess, extent: Tensor, look: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What a step finds.

        Args:
            guess: where it looked.
            extent: width and height of the box there, as shares of the frame's ``[B, 2]``.
            look: what is in the box ``[B, hidden]``.

        Returns:
            Log-odds ``[B, 1]``, mean and standard deviation of z_where ``[B, 1, 4]``.
        """
        known = torch.cat((guess.known, look), -1)
        change, scale = self.where(torch.cat((known, guess.raw), -1)).chunk(2, -1)
        # A glimpse shows how far off it is as a share of the box.
        change = torch.cat((change[:, :2] * extent, change[:, 2:]), -1)
        loc = (guess.raw + change)[:, None]
        return self.presence(known), loc, positive(scale, FOUND_SHIFT)[:, None]


class Expected(NamedTuple):
    """Where objects seem to be, before they are looked at closely.

    Attributes:
        raw: z_where: the place attended to, and a size somewhat larger than before ``[B, N, 4]``.
        there: features of that place ``[B, N, maps]``.
        attention: how far the pixels of a glimpse belong to the object ``[B, N, h * w]``.
    """

    raw: Tensor
    there: Tensor
    attention: Tensor


class PropagationCell(nn.Module):
    """How an object is followed: a recurrent state of its own, and one over the objects in order.

    Args:
        what: dimension of z_what.
        grid: rows and columns of the features.
        maps: channels of the features.
        glimpse: height and width of a glimpse.
        hidden: width.
        odds: added to the log-odds of going on.
    """

    def __init__(
        self, what: int, grid: Size, maps: int, glimpse: Size, hidden: int, odds: float
    ) -> None:
        super().__init__()
        self.newborn = nn.Parameter(torch.zeros(hidden))
        self.beginning = nn.Parameter(torch.zeros(hidden))
        self.aim = mlp(hidden, hidden // 2, 2)
        self.nearness = nn.Parameter(torch.tensor(NEARNESS))
        self.place = PlaceAttention(grid, maps, hidden)
        self.pixels = mlp(hidden, hidden // 2, glimpse[0] * glimpse[1])
        # What is seen, the object before in this frame, and the object itself a frame ago.
        self.relation = nn.GRUCell(hidden + maps + (what + 5) + (what + 8) + hidden, hidden)
        self.presence = biased(mlp(2 * hidden, hidden // 2, 1), odds)
        self.where = mlp(2 * hidden + 4, hidden, 8)
        self.time = nn.GRUCell(hidden + 4 + 2 * what, hidden)
        self.imagined = nn.Linear(hidden, 2 * what)
        self.gates = nn.Linear(hidden, 3 * what)
        nn.init.constant_(self.gates.bias, 1.0)

    def expected(self, seen: FrameFeatures, raw: Tensor, memory: Tensor) -> Expected:
        """Where to look for objects, and at which pixels of the glimpse.

        Args:
            seen: of the frame.
            raw: z_where a frame ago ``[B, N, 4]``.
            memory: the objects' own states ``[B, N, hidden]``.
        """
        position, size = raw.split(2, -1)
        ahead = torch.tanh(position + AIM * self.aim(memory))
        near = -self.nearness * self.place.away(ahead)
        there, place = self.place(seen, memory, near)
        # It may have gone anywhere: the first look is a little wider than the object.
        return Expected(torch.cat((place, size + WIDER), -1), there, self.attend(memory))

    def attend(self, memory: Tensor) -> Tensor:
        """How far the pixels of a glimpse belong to the object, ``[B, n, h * w]`` in [0, 1]."""
        return torch.sigmoid(self.pixels(memory) + 1)

    def relate(self, *seen: Tensor, state: Tensor) -> Tensor:
        """The state over the objects in order, one further; everything ``[B, .]``."""
        return self.relation(torch.cat(seen, -1), state)

    def moved(
        self, raw: Tensor, place: Tensor, relation: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of z_where ``[B, 1, 4]``.

        Args:
            raw: z_where a frame ago ``[B, 4]``.
            place: the position that was attended to ``[B, 2]``.
            relation, memory: states ``[B, hidden]``.
        """
        seen = torch.cat((relation, raw, memory), -1)
        loc, scale = self.where(seen)[:, None].chunk(2, -1)
        start = torch.cat((place, raw[:, 2:]), -1)
        return start[:, None] + loc, positive(scale, FOLLOWED_SHIFT)

    def changed(
        self,
        last: Tensor,
        look: tuple[Tensor, Tensor],
        raw: Tensor,
        relation: Tensor,
        memory: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What an object looks like: what it was, what is seen, and what its own state expects.

        Args:
            last: z_what a frame ago ``[B, 1, D]``.
            look: mean and standard deviation of what is seen ``[B, 1, D]``.
            raw: z_where now ``[B, 1, 4]``.
            relation, memory: states ``[B, hidden]``.

        Returns:
            Mean and standard deviation of z_what ``[B, 1, D]``, and the object's own new state.
        """
        loc, scale = look
        seen = torch.cat((relation, raw[:, 0], loc[:, 0], scale[:, 0]), -1)
        memory = self.time(seen, memory)
        own, own_scale = self.imagined(memory)[:, None].chunk(2, -1)
        # Not quite 1, so that no standard deviation comes to 0.
        keep, seen_gate, own_gate = (0.9999 * torch.sigmoid(self.gates(memory)))[:, None].chunk(
            3, -1
        )
        mean = keep * last + (1 - seen_gate) * loc + (1 - own_gate) * own
        deviation = (1 - seen_gate) * scale + (1 - own_gate) * positive(own_scale, WHAT_SHIFT)
        return mean, deviation, memory
