"""Networks that only SCALOR has: of glimpses, and of a fixed camera's background. No Pyro here."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalor_ppl.code import chosen_class
from scalor_ppl.errors import UserError
from scalor_ppl.nn.gathered import GatheredLinear
from scalor_ppl.nn.layers import COARSE, Size, SubPixelDecoder, mlp


def run_mixed(network: nn.Module, inputs: Tensor, mixed: bool) -> Tensor:
    """A network's result in float32, computed in bfloat16 where ``mixed`` says so.

    Only the networks that cost most run so: positions and log-densities need float32's digits.
    """
    if not mixed:
        return network(inputs)
    with torch.autocast(inputs.device.type, torch.bfloat16):
        return network(inputs).float()


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
            GatheredLinear(narrow * size[0] * size[1], 256),
            nn.CELU(),
            GatheredLinear(256, out),
        )

    def forward(self, glimpses: Tensor) -> Tensor:
        """Glimpses ``[N, C, h, w]`` to encodings ``[N, out]``."""
        return self.out(self.convolutions(glimpses).flatten(1))


class FcGlimpseDecoder(nn.Module):
    """Small fully connected glimpse decoder, for toy objects."""

    widths: tuple[int, ...] = (96,)

    def __init__(self, what: int, channels: int, glimpse: Size) -> None:
        super().__init__()
        self.shape = (channels, *glimpse)
        self.layers = mlp(what, *self.widths, math.prod(self.shape))

    def forward(self, what: Tensor) -> Tensor:
        """z_what ``[N, D]`` to unbounded pixels ``[N, channels, h, w]``."""
        return self.layers(what).unflatten(-1, self.shape)


class WideGlimpseDecoder(FcGlimpseDecoder):
    """One of two wide layers, whose objects keep their corners in every orientation.

    One layer of 96 is too few for a shape that turns. Costs some five times as much, which hardly
    counts where a decoder is trained alone (:mod:`.decoder_training`).
    """

    widths = (384, 384)


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
        # By index, so that no place has to travel to the host.
        rows = corner[:, :1] + torch.arange(size[0], device=corner.device)
        across = torch.arange(size[1], device=corner.device)
        columns = corner[:, 1:2] + across
        if corner.shape[1] > 2:
            columns = torch.where(corner[:, 2:] > 0, columns.flip(-1), columns)
        return self.image[:, rows[:, :, None], columns[:, None]].transpose(0, 1)

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


ENCODERS: dict[str, type[nn.Module]] = {"fc": FcGlimpseEncoder, "conv": ConvGlimpseEncoder}
DECODERS: dict[str, type[nn.Module]] = {
    "fc": FcGlimpseDecoder,
    "wide": WideGlimpseDecoder,
    "conv": SubPixelDecoder,
}


def glimpse_encoder(kind: str, channels: int, glimpse: Size, out: int) -> nn.Module:
    """A glimpse encoder: ``[N, C, h, w]`` to ``[N, out]``.

    Args:
        kind: of ``ENCODERS``, or a class of one's own as ``file.py:Class``, made from the other
            arguments.
        channels: C.
        glimpse: h and w.
        out: width of the code.

    Raises:
        UserError: there is none of that name, or it does not give the shape that is wanted.
    """
    encoder = chosen_class("guide.encoder", kind, ENCODERS, nn.Module, "torch.nn.Module")(
        channels, glimpse, out
    )
    if kind not in ENCODERS:
        _try("guide.encoder", kind, encoder, (2, channels, *glimpse), (2, out))
    return encoder


def glimpse_decoder(
    kind: str, what: int, channels: int, glimpse: Size, outline: int | None = None
) -> nn.Module:
    """A glimpse decoder: ``[N, D]`` to logits ``[N, C + 1, h, w]``, colour and mask.

    Args:
        kind: of ``DECODERS``, or a class of one's own as ``file.py:Class``, made from the width of
            its codes, its channels and ``glimpse``.
        what: D.
        channels: C.
        glimpse: h and w.
        outline: how many of the codes' numbers, the first, the mask is decoded from, by a decoder
            of its own; none decodes both from all of them.

    Raises:
        UserError: there is none of that name, or it does not give the shape that is wanted.
    """
    cls = chosen_class("model.decoder", kind, DECODERS, nn.Module, "torch.nn.Module")

    def made(width: int, planes: int) -> nn.Module:
        decoder = cls(width, planes, glimpse)
        if kind not in DECODERS:
            _try("model.decoder", kind, decoder, (2, width), (2, planes, *glimpse))
        return decoder

    if outline is None:
        return made(what, channels + 1)
    return OutlinedDecoder(made(outline, 1), made(what, channels), outline)


def _try(
    setting: str, kind: str, network: nn.Module, given: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    """Look whether a network of somebody's own gives the shape that is wanted.

    Raises:
        UserError: it does not, or it fails.
    """
    try:
        with torch.no_grad():
            shape = tuple(network(torch.zeros(given)).shape)
    except Exception as error:  # whatever a class of somebody's own does
        raise UserError(f"{setting}: {kind} fails: {type(error).__name__}: {error}") from error
    if shape != wanted:
        raise UserError(f"{setting}: {kind} makes {shape} of {given}, and {wanted} is wanted")
