"""Layers of any program: small MLPs, image encoders and decoders of any size, ConvLSTM. No Pyro."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalor_ppl.nn.gathered import Celu, GatheredLinear, GatheredMlp, gathers
from scalor_ppl.nn.recurrence import recurrence
from scalor_ppl.nn.smooth import has_loops

Size = tuple[int, int]
"""Height and width."""

# Of the smallest map of an image encoder or decoder: at most this many pixels a side.
BASE = 4
# Rows and columns of the coarse map of an image.
COARSE = 4


def mlp(*widths: int) -> GatheredMlp:
    """Linear layers with CELU between them; ``widths`` are input, hidden..., output."""
    return GatheredMlp(*widths)


@torch.no_grad()
def starting_small(layers: nn.Sequential) -> nn.Sequential:
    """An MLP whose output is small before training: a tenth of the usual weights, no bias."""
    last = layers[-1]
    assert isinstance(last, nn.Linear)
    last.weight.mul_(0.1)
    last.bias.zero_()
    return layers


def silent(layer: nn.Linear) -> nn.Linear:
    """A layer that says nothing before it has learned something."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def starting_silent(layers: nn.Sequential) -> nn.Sequential:
    """An MLP whose output is 0 before training."""
    last = layers[-1]
    assert isinstance(last, nn.Linear)
    silent(last)
    return layers


def positive(raw: Tensor, shift: float = 0.0) -> Tensor:
    """A standard deviation from an unbounded number: ``softplus(raw + shift) + 0.001``."""
    return F.softplus(raw + shift) + 1e-3


def inverse_softplus(value: Tensor) -> Tensor:
    """What softplus makes a positive value of: ``positive`` gives it, and .001."""
    return torch.log(torch.expm1(value))


def kept_in_scale(layers: nn.Sequential) -> nn.Sequential:
    """He's initialisation (He et al. 2015) for all layers, so that deep networks pass signals on.

    PyTorch's own shrinks a signal more than twofold a layer: over the eight layers from a
    background's code to its pixels neither the code nor its encoder gets a gradient to speak of.
    """
    for layer in layers:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layers


class GridEncoder(nn.Module):
    """Images to one feature vector per grid cell, for any image and grid size.

    Strided convolutions halve the image while it stays at least as large as the grid; where that
    does not end on the grid exactly, average pooling does.

    Args:
        channels: channels of the images.
        features: channels of the result.
        size: height and width of the images.
        grid: rows and columns of cells.
        width: channels after the first convolution; doubles with each halving up to ``features``.
    """

    def __init__(
        self, channels: int, features: int, size: Size, grid: Size, width: int = 16
    ) -> None:
        super().__init__()
        self.grid = grid
        halvings = max(0, int(math.log2(min(size[0] / grid[0], size[1] / grid[1]))))
        layers: list[nn.Module] = []
        narrow = channels
        for _ in range(halvings):
            wide = min(features, width)
            layers += [nn.Conv2d(narrow, wide, 4, 2, 1), Celu()]
            narrow, width = wide, 2 * width
        layers += [nn.Conv2d(narrow, features, 3, 1, 1), Celu()]
        self.layers = kept_in_scale(nn.Sequential(*layers))

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` to features ``[N, F, Gh, Gw]``."""
        return self.on_grid(self.layers(images))

    def on_grid(self, features: Tensor) -> Tensor:
        """Features ``[N, F, h, w]`` averaged to one vector a cell, ``[N, F, Gh, Gw]``."""
        if features.shape[-2:] != self.grid:
            features = F.adaptive_avg_pool2d(features, self.grid)
        return features


class ImageEncoder(nn.Module):
    """A whole image to one vector: a grid of features, flattened, and a linear layer.

    Args:
        channels: channels of the images.
        size: height and width of the images, any.
        out: dimension of the vector.
        width: channels of the grid's features.
    """

    def __init__(self, channels: int, size: Size, out: int, width: int = 64) -> None:
        super().__init__()
        grid = (min(BASE, size[0]), min(BASE, size[1]))
        self.layers = kept_in_scale(
            nn.Sequential(
                GridEncoder(channels, width, size, grid),
                nn.Flatten(),
                nn.Linear(width * grid[0] * grid[1], out),
            )
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` to vectors ``[N, out]``, unbounded."""
        return self.layers(images)


class ConvLSTM(nn.Module):
    """A convolutional LSTM over a sequence of feature maps (Shi et al. 2015)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.from_input = nn.Conv2d(features, 4 * hidden, 3, 1, 1)
        self.from_state = nn.Conv2d(hidden, 4 * hidden, 3, 1, 1, bias=False)

    def forward(
        self, features: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over time.

        Args:
            features: ``[B, T, F, h, w]``.
            state: hidden and cell ``[B, hidden, h, w]`` from an earlier chunk; none starts at zero.

        Returns:
            The hidden states ``[B, T, hidden, h, w]`` and the last state.
        """
        videos, frames = features.shape[:2]
        # What comes from the input does not wait for the recurrence: all frames at once.
        inputs = self.from_input(features.flatten(0, 1)).unflatten(0, (videos, frames))
        # Of a single frame without a state the weights for one get no gradient.
        if gathers() and has_loops(inputs) and (frames > 1 or state is not None):
            return recurrence(inputs, self.from_state.weight, state)
        outputs = []
        for gates in inputs.unbind(1):
            if state is not None:
                gates = gates + self.from_state(state[0])
            enter, forget, leave, new = gates.chunk(4, 1)
            cell = torch.sigmoid(enter) * torch.tanh(new)
            if state is not None:
                cell = cell + torch.sigmoid(forget + 1.0) * state[1]
            hidden = torch.sigmoid(leave) * torch.tanh(cell)
            state = (hidden, cell)
            outputs.append(hidden)
        assert state is not None
        return torch.stack(outputs, 1), state


class SubPixelDecoder(nn.Module):
    """Convolutional decoder with sub-pixel upsampling (Shi et al. 2016), the paper's appendix E.

    Pointwise convolutions before each doubling and one 3 x 3 before the last: no activation of
    many channels ever has the full resolution, where it would cost most.

    Args:
        code: its dimension.
        channels: channels of the result.
        size: height and width of the result, any.
        width: channels of the smallest map; halves with each doubling, down to 16.
        hidden: width of the fully connected layer before it.
    """

    def __init__(
        self, code: int, channels: int, size: Size, width: int = 128, hidden: int = 256
    ) -> None:
        super().__init__()
        self.size = size
        doublings = max(1, math.ceil(math.log2(max(size) / BASE)))
        scale = 2**doublings
        self.start = (-(-size[0] // scale), -(-size[1] // scale))
        widths = [max(16, width >> i) for i in range(doublings)]
        self.width = widths[0]
        self.first = kept_in_scale(
            nn.Sequential(
                GatheredLinear(code, hidden),
                nn.CELU(),
                GatheredLinear(hidden, self.width * self.start[0] * self.start[1]),
                nn.CELU(),
            )
        )
        layers: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            layers += [nn.Conv2d(wide, 4 * narrow, 1), nn.PixelShuffle(2), nn.CELU()]
        layers += [nn.Conv2d(widths[-1], 4 * channels, 3, 1, 1), nn.PixelShuffle(2)]
        self.layers = kept_in_scale(nn.Sequential(*layers))

    def forward(self, code: Tensor) -> Tensor:
        """Codes ``[N, D]`` to unbounded pixels ``[N, channels, H, W]``."""
        image = self.layers(self.first(code).unflatten(-1, (self.width, *self.start)))
        return image[..., : self.size[0], : self.size[1]]


class ImageDecoder(nn.Module):
    """A whole image from a code: a coarse map, linear in the code, and sub-pixel detail.

    The coarse map learns the scene's colours in a few hundred steps (in SCALOR before objects are
    used to explain the background); the deep path alone takes several times as long.

    Args:
        code: its dimension.
        channels: channels of the image.
        size: height and width of the image, any.
        width, hidden: of the detail, see ``SubPixelDecoder``.
    """

    def __init__(
        self, code: int, channels: int, size: Size, width: int = 128, hidden: int = 256
    ) -> None:
        super().__init__()
        self.detail = SubPixelDecoder(code, channels, size, width, hidden)
        self.coarse = nn.Linear(code, channels * COARSE * COARSE)
        nn.init.normal_(self.coarse.weight, std=0.3 * code**-0.5)

    def forward(self, code: Tensor) -> Tensor:
        """Codes ``[N, E]`` to unbounded pixels ``[N, C, H, W]``."""
        detail = self.detail(code)
        coarse = self.coarse(code).unflatten(-1, (detail.shape[1], COARSE, COARSE))
        return detail + F.interpolate(coarse, detail.shape[-2:], mode="bilinear")
