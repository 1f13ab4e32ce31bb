"""The networks of SCALOR's guide: image features, glimpses, proposals, trackers, background."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalor_ppl.nn.columns import ColumnEncoder
from scalor_ppl.nn.gathered import GatheredGRUCell, GatheredLinear, GatheredMaps
from scalor_ppl.nn.layers import COARSE, ConvLSTM, GridEncoder, mlp, positive, silent
from scalor_ppl.render.glimpses import read_glimpses
from scalor_ppl.scalor.networks import glimpse_encoder, open_colours, open_means, run_mixed
from scalor_ppl.scalor.settings import GuideConfig
from scalor_ppl.scalor.slots import Trackers

# z_pres log-odds stay within this, so that no cell is ever lost to a saturated sigmoid.
LOGIT_LIMIT = 8.8
# A posterior starts with this standard deviation (before softplus): about 0.13.
SCALE_SHIFT = -2.0


class Normals(NamedTuple):
    """Locations and scales of one or more latents."""

    loc: Tensor
    scale: Tensor


class ImageFeatures(nn.Module):
    """e_img: features of each frame and of the frames before it (algorithm 1, first line)."""

    def __init__(self, config: GuideConfig, model: Any) -> None:
        super().__init__()
        grid = model.config.grid
        channels = model.channels if config.colour_blind else seen_channels(config, model)
        self.encoder = GridEncoder(channels, config.features, model.size, grid)
        self.lstm = ConvLSTM(config.features, config.lstm)
        self.width = config.features + config.lstm

    def forward(
        self, video: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Video ``[B, T, C, H, W]`` to features ``[B, T, width, Gh, Gw]`` and the ConvLSTM's state.

        Args:
            video: as the encoders see it.
            state: of the ConvLSTM after the frames before; none for the first.
        """
        features = self.encoder(video.flatten(0, 1)).unflatten(0, video.shape[:2])
        past, state = self.lstm(features, state)
        # Side by side where their channels lie last in memory, as convolutions want them.
        return torch.cat((features.movedim(2, -1), past.movedim(2, -1)), -1).movedim(-1, 2), state


class GlimpsePosterior(nn.Module):
    """z_what from a glimpse; shared by discovery and propagation (appendix E)."""

    def __init__(self, config: GuideConfig, model: Any) -> None:
        super().__init__()
        shape = model.config
        self.glimpse = config.glimpse or shape.glimpse
        channels = seen_channels(config, model)
        self.encoder = glimpse_encoder(config.encoder, channels, self.glimpse, config.hidden)
        # Colours are not what an outline is told from, where the features are blind to them.
        self.outline = shape.outline if config.colour_blind else None
        self.channels = shape.channels
        if self.outline is not None:
            self.outlines = glimpse_encoder(
                config.encoder, shape.channels, self.glimpse, config.hidden
            )
            self.mask = GatheredLinear(config.hidden, 2 * self.outline)
        self.what = GatheredLinear(config.hidden, 2 * (shape.what - (self.outline or 0)))

    def forward(
        self, images: Tensor, where: Tensor, mixed: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Look at images ``[F, C, H, W]`` through boxes ``[F, n, 4]``; in bfloat16 if ``mixed``.

        Returns:
            The encoding ``[F, n, hidden]``, location and raw scale of z_what ``[F, n, D]``.
        """
        glimpses = read_glimpses(images, where, self.glimpse)
        encoding = run_mixed(self.encoder, glimpses.flatten(0, 1), mixed)
        encoding = F.celu(encoding).unflatten(0, where.shape[:2])
        loc, scale = self.what(encoding).chunk(2, -1)
        if self.outline is not None:
            distances = glimpses.flatten(0, 1)[:, self.channels :].abs()
            outlines = F.celu(run_mixed(self.outlines, distances, mixed))
            first, spread = self.mask(outlines).unflatten(0, where.shape[:2]).chunk(2, -1)
            loc, scale = torch.cat((first, loc), -1), torch.cat((spread, scale), -1)
        return encoding, loc, scale


class ProposalPosterior(nn.Module):
    """q(z^D | z^P, x): proposals of all cells, in parallel (algorithm 1)."""

    def __init__(self, config: GuideConfig, model: Any, features: int) -> None:
        super().__init__()
        self.everywhere = config.mask == "everywhere"
        self.grid = model.config.grid
        masks = 16
        self.mask_encoder = ColumnEncoder(1, masks, model.size, self.grid, width=8)
        seen = features + masks if self.everywhere else features
        self.trunk = mlp(seen, config.hidden, config.hidden)
        self.where_depth = nn.Linear(config.hidden, 10)
        heads = config.hidden if self.everywhere else config.hidden + masks
        self.presence = mlp(heads, config.hidden, 1)
        if config.correct:
            self.correction = silent(GatheredLinear(config.hidden, 8))

    def encode_mask(self, canvas: Tensor) -> Tensor:
        """e_mask: the propagation mask ``[B, 1, H, W]`` to ``[B, N, masks]``."""
        return self.mask_encoder(canvas).flatten(2).transpose(1, 2)

    def aggregate(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """e_agg: what a cell knows, from ``[B, N, features]`` to ``[B, N, hidden]``."""
        seen = features if mask is None else torch.cat((features, mask), -1)
        return self.trunk.celu(seen)

    def propose(self, aggregated: Tensor) -> Normals:
        """Where and depth of proposals ``[..., N, 5]``, from what the cells know."""
        loc, scale = self.where_depth(aggregated).chunk(2, -1)
        return Normals(loc, positive(scale, SCALE_SHIFT))

    def presence_logits(self, aggregated: Tensor, mask: Tensor) -> Tensor:
        """Log-odds of z_pres ``[B, N]``."""
        seen = aggregated if self.everywhere else torch.cat((aggregated, mask), -1)
        return limited(self.presence(seen).squeeze(-1))


class PropagationPosterior(nn.Module):
    """q(z^P_t | z_<t, x_<=t): all trackers in parallel (algorithm 2)."""

    extent: Tensor

    def __init__(self, config: GuideConfig, model: Any, features: int) -> None:
        super().__init__()
        shape = model.config
        hidden, what, grid = config.hidden, shape.what, shape.grid
        self.attention = config.attention
        self.anywhere = shape.anywhere
        self.window = tuple(-(-n // 2) for n in grid) if config.attention else grid
        # Half the frame (the paper's), or as much of it as so many cells are; or all of it.
        extent = (0.5, 0.5) if config.attention else (1.0, 1.0)
        if config.attention and config.window is not None:
            self.window = config.window
            extent = (config.window[1] / grid[1], config.window[0] / grid[0])
        self.register_buffer("extent", torch.tensor(extent), persistent=False)
        # Fewer channels before the window is cut: K windows are read, but one map is projected.
        seen = max(1, hidden // 2)
        self.project = nn.Conv2d(features, seen, 1)
        self.look = GatheredMaps(seen, self.window[0] * self.window[1], hidden)
        self.embed = GatheredLinear(hidden + 6 + what, hidden)
        self.cell = GatheredGRUCell(hidden, hidden)
        self.newborn = nn.Parameter(torch.zeros(hidden))
        self.where = mlp(2 * hidden, hidden, 8)
        self.what = GatheredLinear(2 * hidden, what)
        self.depth = GatheredLinear(2 * hidden, 2)
        self.presence = mlp(2 * hidden + 4 + what, hidden, 1)
        if config.correct:
            self.correction = silent(GatheredLinear(2 * hidden, 8))
        with torch.no_grad():
            for head in (self.where[-1], self.depth, self.presence[-1]):
                assert isinstance(head, nn.Linear)
                head.weight.mul_(0.1)
                head.bias.zero_()

    def look_around(self, features: Tensor, trackers: Trackers) -> Tensor:
        """e_att: the feature map about the last position, bilinear ``[B, K, hidden]``.

        Args:
            features: a frame's map after ``project``, ``[B, hidden / 2, Gh, Gw]``.
            trackers: after the frame before.
        """
        position = trackers.objects.where[..., :2]
        if not self.attention:
            position = torch.zeros_like(position)
        where = torch.cat((position, self.extent.expand_as(position)), -1)
        window = read_glimpses(features, where, self.window)
        return self.look.celu(window)

    def update(self, state: Tensor, attended: Tensor, trackers: Trackers) -> Tensor:
        """The tracker GRU ``[B, K, hidden]``."""
        seen = torch.cat((attended, trackers.objects.code(self.anywhere)), -1)
        seen = self.embed.celu(seen).flatten(0, 1)
        return self.cell(seen, state.flatten(0, 1)).unflatten(0, state.shape[:2])


class BackgroundPosterior(nn.Module):
    """q(z_bg | z_fg, x): an encoder of the frame and of 1 - M (algorithm 3)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        grid = tuple(min(4, n) for n in model.size)
        self.encoder = GridEncoder(model.channels + 1, 64, model.size, grid)
        dim = model.config.background_dim
        self.head = mlp(64 * grid[0] * grid[1], 128, 2 * dim)
        self.coarse = nn.Linear(model.channels * COARSE * COARSE, dim, bias=False)
        nn.init.normal_(self.coarse.weight, std=self.coarse.in_features**-0.5)

    def forward(
        self, images: Tensor, difference: Tensor | None, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Location and scale of z_bg ``[F, E]``, from the images and masks.

        Args:
            images: the frames ``[F, C, H, W]``.
            difference: of them to the template; there is none here.
            mask: how far objects cover the pixels, ``[F, 1, H, W]``.
        """
        seen = self.encoder(torch.cat((images, 1 - mask), 1))
        loc, scale = self.head(seen.flatten(1)).chunk(2, -1)
        loc = loc + self.coarse(open_colours(images, mask))
        return loc, positive(scale, SCALE_SHIFT)


class LightPosterior(nn.Module):
    """q(z_bg | z_fg, x) where the background is a template: how it is lit, from what it misses.

    It sees the mean difference of the frame to the template in coarse cells, as far as objects
    leave them open; so it has the same weights for frames of any size.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.head = mlp(model.channels * COARSE * COARSE, 64, 2 * model.config.background_dim)

    def forward(
        self, images: Tensor, difference: Tensor | None, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Location and scale of z_bg ``[F, E]``, from the differences and masks.

        Args:
            images: the frames ``[F, C, H, W]``; not looked at.
            difference: of them to the template, likewise.
            mask: how far objects cover the pixels, ``[F, 1, H, W]``.
        """
        assert difference is not None
        # Light changes by hundredths: scaled to come near to 1.
        means = open_means(difference, mask) * 20
        loc, scale = self.head(means.flatten(1)).chunk(2, -1)
        return loc, positive(scale, SCALE_SHIFT)


def seen_channels(config: GuideConfig, model: Any) -> int:
    """Channels of what the encoders see."""
    return model.channels * (2 if config.difference else 1)


def limited(logits: Tensor) -> Tensor:
    """Log-odds kept softly within ``LOGIT_LIMIT``."""
    return LOGIT_LIMIT * torch.tanh(logits / LOGIT_LIMIT)
