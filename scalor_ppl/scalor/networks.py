"""Networks of the model and the guide: encoders, decoders, ConvLSTM, small MLPs. No Pyro here."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Size = tuple[int, int]

# A sub-pixel decoder starts from at most this many pixels a side.
BASE = 4
# Rows and columns of the coarse map of a background.
COARSE = 4


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers with CELU between them; ``widths`` are input, hidden..., output."""
    layers: list[nn.Module] = []
    for i, (wide, narrow) in enumerate(pairwise(widths)):
        layers.append(nn.Linear(wide, narrow))
        if i < len(widths) - 2:
            layers.append(nn.CELU())
    return nn.Sequential(*layers)


def positive(raw: Tensor, shift: float = 0.0) -> Tensor:
    """A standard deviation from an unbounded number: ``softplus(raw + shift) + 0.001``."""
    return F.softplus(raw + shift) + 1e-3


def run_mixed(network: nn.Module, inputs: Tensor, mixed: bool) -> Tensor:
    """A network's result in float32, computed in bfloat16 where ``mixed`` says so.

    Only the networks that cost most run so: positions and log-densities need float32's digits.
    """
    if not mixed:
        return network(inputs)
    with torch.autocast(inputs.device.type, torch.bfloat16):
        return network(inputs).float()


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
            layers += [nn.Conv2d(narrow, wide, 4, 2, 1), nn.CELU()]
            narrow, width = wide, 2 * width
        layers += [nn.Conv2d(narrow, features, 3, 1, 1), nn.CELU()]
        self.layers = kept_in_scale(nn.Sequential(*layers))

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` to features ``[N, F, Gh, Gw]``."""
        features = self.layers(images)
        if features.shape[-2:] != self.grid:
            features = F.adaptive_avg_pool2d(features, self.grid)
        return features


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
        inputs = self.from_input(features.flatten(0, 1)).unflatten(0, (videos, frames)).unbind(1)
        outputs = []
        for gates in inputs:
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


class FcGlimpseEncoder(nn.Module):
    """Small fully connected glimpse encoder, for toy objects."""

    def __init__(self, channels: int, glimpse: Size, out: int, hidden: int = 96) -> None:
        super().__init__()
        self.layers = mlp(channels * glimpse[0] * glimpse[1], hidden, out)

    def forward(self, glimpses: Tensor) -> Tensor:
        """Glimpses ``[N, C, h, w]`` to encodings ``[N, out]``."""
        return self.layers(glimpses.flatten(1))


class ConvGlimpseEncoder(nn.Module):
    """The paper's glimpse encoder (appendix E): strided convolutions and one linear layer."""

    def __init__(
        self, channels: int, glimpse: Size, out: int, widths: Sequence[int] = (16, 32, 64, 128)
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        size, narrow = glimpse, channels
        for wide in widths:
            if min(size) < 4:
                break
            layers += [nn.Conv2d(narrow, wide, 4, 2, 1), nn.CELU(inplace=True)]
            size, narrow = (size[0] // 2, size[1] // 2), wide
        self.convolutions = nn.Sequential(*layers)
        self.out = nn.Sequential(
            nn.Linear(narrow * size[0] * size[1], 256), nn.CELU(), nn.Linear(256, out)
        )

    def forward(self, glimpses: Tensor) -> Tensor:
        """Glimpses ``[N, C, h, w]`` to encodings ``[N, out]``."""
        return self.out(self.convolutions(glimpses).flatten(1))


class FcGlimpseDecoder(nn.Module):
    """Small fully connected glimpse decoder, for toy objects."""

    def __init__(self, what: int, channels: int, glimpse: Size, hidden: int = 96) -> None:
        super().__init__()
        self.shape = (channels, *glimpse)
        self.layers = mlp(what, hidden, math.prod(self.shape))

    def forward(self, what: Tensor) -> Tensor:
        """z_what ``[N, D]`` to unbounded pixels ``[N, channels, h, w]``."""
        return self.layers(what).unflatten(-1, self.shape)


class OutlinedDecoder(nn.Module):
    """Two decoders: of the mask, from the first dimensions of z_what, and of colours, from all.

    Args:
        mask: ``[N, outline]`` to logits ``[N, 1, h, w]``.
        colours: ``[N, D]`` to logits ``[N, C, h, w]``.
        outline: dimensions that the mask is decoded from.
    """

    def __init__(self, mask: nn.Module, colours: nn.Module, outline: int) -> None:
        super().__init__()
        self.mask = mask
        self.colours = colours
        self.outline = outline

    def forward(self, what: Tensor) -> Tensor:
        """z_what ``[N, D]`` to logits of colour and mask ``[N, C + 1, h, w]``."""
        return torch.cat((self.colours(what), self.mask(what[:, : self.outline])), 1)


class SubPixelDecoder(nn.Module):
    """Convolutional decoder with sub-pixel upsampling (Shi et al. 2016), the paper's appendix E.

    Pointwise convolutions before each doubling and one 3 x 3 before the last: no activation of
    many channels ever has the full resolution, where it would cost most.

    Args:
        what: dimension of the code.
        channels: channels of the result.
        size: height and width of the result, any.
    """

    def __init__(self, what: int, channels: int, size: Size) -> None:
        super().__init__()
        self.size = size
        doublings = max(1, math.ceil(math.log2(max(size) / BASE)))
        scale = 2**doublings
        self.start = (-(-size[0] // scale), -(-size[1] // scale))
        widths = [max(16, 128 >> i) for i in range(doublings)]
        self.width = widths[0]
        self.first = kept_in_scale(
            nn.Sequential(
                nn.Linear(what, 256),
                nn.CELU(),
                nn.Linear(256, self.width * self.start[0] * self.start[1]),
                nn.CELU(),
            )
        )
        layers: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            layers += [nn.Conv2d(wide, 4 * narrow, 1), nn.PixelShuffle(2), nn.CELU()]
        layers += [nn.Conv2d(widths[-1], 4 * channels, 3, 1, 1), nn.PixelShuffle(2)]
        self.layers = kept_in_scale(nn.Sequential(*layers))

    def forward(self, what: Tensor) -> Tensor:
        """Codes ``[N, D]`` to unbounded pixels ``[N, channels, H, W]``."""
        image = self.layers(self.first(what).unflatten(-1, (self.width, *self.start)))
        return image[..., : self.size[0], : self.size[1]]


class BackgroundDecoder(nn.Module):
    """Background pixels from z_bg: a coarse map, linear in the code, and sub-pixel detail.

    The coarse map learns the scene's colours in a few hundred steps, before objects are used to
    explain them; the deep path alone takes several times as long.

    Args:
        background: dimension of z_bg.
        channels: channels of the result.
        size: height and width of the result.
    """

    def __init__(self, background: int, channels: int, size: Size) -> None:
        super().__init__()
        self.detail = SubPixelDecoder(background, channels, size)
        self.coarse = nn.Linear(background, channels * COARSE * COARSE)
        nn.init.normal_(self.coarse.weight, std=0.3 * background**-0.5)

    def forward(self, z_bg: Tensor) -> Tensor:
        """Codes ``[N, E]`` to unbounded pixels ``[N, C, H, W]``."""
        detail = self.detail(z_bg)
        coarse = self.coarse(z_bg).unflatten(-1, (detail.shape[1], COARSE, COARSE))
        return detail + F.interpolate(coarse, detail.shape[-2:], mode="bilinear")


class Template(nn.Module):
    """The background of a fixed camera: an image of the scene, learned, and how it is lit.

        background = sigmoid(image + light(z_bg)),    light on COARSE x COARSE cells, bilinear

    Light belongs to the view: it is inferred from what is seen, and is not mirrored with the image.

    Args:
        background: dimension of z_bg.
        channels: channels of the image.
        frame: height and width of the whole frames.
    """

    def __init__(self, background: int, channels: int, frame: Size) -> None:
        super().__init__()
        self.image = nn.Parameter(torch.zeros(channels, *frame))
        self.light = nn.Linear(background, channels * COARSE * COARSE)
        # At first hardly any: what the image explains needs no light.
        nn.init.normal_(self.light.weight, std=0.03 * background**-0.5)
        nn.init.zeros_(self.light.bias)

    @torch.no_grad()
    def begin(self, image: Tensor) -> None:
        """Start from an image ``[C, H, W]`` in [0, 1]."""
        self.image.copy_(torch.logit(image, eps=0.01))

    def logits(self, corner: Tensor | None, size: Size) -> Tensor:
        """The part of the image that crops ``size`` show, ``[B, C, h, w]``; B is 1 for the whole.

        Args:
            corner: top and left pixel of each crop ``[B, 2]``, or ``[B, 3]`` with 1 where it is
                mirrored; none for whole frames, or for the upper left part of them where crops are
                made up that lie nowhere.
            size: height and width of the crops.
        """
        if corner is None:
            return self.image[None, :, : size[0], : size[1]]
        crops = []
        for top, left, *mirrored in corner.tolist():
            crop = self.image[:, top : top + size[0], left : left + size[1]]
            crops.append(crop.flip(-1) if any(mirrored) else crop)
        return torch.stack(crops)

    def forward(self, z_bg: Tensor, corner: Tensor | None, size: Size) -> Tensor:
        """Codes ``[B, T, E]`` to backgrounds ``[B, T, C, h, w]`` in [0, 1]."""
        image = self.logits(corner, size)
        light = self.light(z_bg).unflatten(-1, (image.shape[1], COARSE, COARSE))
        smooth = F.interpolate(light.flatten(0, 1), image.shape[-2:], mode="bilinear")
        return torch.sigmoid(image[:, None] + smooth.unflatten(0, light.shape[:2]))


def open_means(images: Tensor, mask: Tensor) -> Tensor:
    """Means over what objects leave open, per coarse cell ``[N, C, COARSE, COARSE]``.

    Args:
        images: ``[N, C, H, W]``.
        mask: ``[N, 1, H, W]``, how far objects cover the pixels.
    """
    left = F.adaptive_avg_pool2d(1 - mask, COARSE).clamp(min=0.05)
    return F.adaptive_avg_pool2d(images * (1 - mask), COARSE) / left


def open_colours(images: Tensor, mask: Tensor) -> Tensor:
    """Mean colours of what objects leave open, per coarse cell, centred ``[N, C * COARSE ** 2]``.

    Args:
        images: ``[N, C, H, W]`` in [0, 1].
        mask: ``[N, 1, H, W]``, how far objects cover the pixels.
    """
    # Scaled so that the spread of a background's colours, about a tenth, comes near to 1.
    return ((open_means(images, mask) - 0.3) * 8).flatten(1)


def glimpse_encoder(kind: str, channels: int, glimpse: Size, out: int) -> nn.Module:
    """The glimpse encoder of that kind (``fc`` or ``conv``): ``[N, C, h, w]`` to ``[N, out]``."""
    cls = {"fc": FcGlimpseEncoder, "conv": ConvGlimpseEncoder}[kind]
    return cls(channels, glimpse, out)


def glimpse_decoder(
    kind: str, what: int, channels: int, glimpse: Size, outline: int | None = None
) -> nn.Module:
    """The glimpse decoder of that kind: ``[N, D]`` to logits ``[N, C + 1, h, w]``."""
    cls = {"fc": FcGlimpseDecoder, "conv": SubPixelDecoder}[kind]
    if outline is None:
        return cls(what, channels + 1, glimpse)
    return OutlinedDecoder(cls(outline, 1, glimpse), cls(what, channels, glimpse), outline)
