"""A discovery prior that has learned how many objects enter, where, and what they look like."""

from typing import NamedTuple

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from scalor_ppl.nn.chained import ChainedPresence, LogitsOf
from scalor_ppl.nn.distributions import Presence
from scalor_ppl.nn.kernels import KernelNormals
from scalor_ppl.nn.layers import mlp, positive, starting_small
from scalor_ppl.nn.mixtures import Product
from scalor_ppl.render.boxes import cell_centres
from scalor_ppl.scalor.priors.absence import PresentObjects
from scalor_ppl.scalor.priors.base import (
    DiscoveryPrior,
    JointDistribution,
    Site,
    density_of,
    log_odds,
)
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import Latents, Objects

# Components: of size, depth and what together; of the offset from the cell.
COMPONENTS, OFFSETS = 768, 6
# Objects seen whole from which on kernels stand on these alone.
FEWEST = 32
WIDTH = 64
# Radii, in cells, within which a cell sees the objects that are there already.
RADII = (0.7, 1.5, 3.0)
# Figures about a cell: where it is; the frame; tracked objects near it and in all; cells before.
PLACE, FRAME, TRACKED, BEFORE = 6, 2, len(RADII) + 2, len(RADII) + 3
CIRCUMSTANCES = 3


class Discovered(NamedTuple):
    """R objects that a posterior has discovered.

    Attributes:
        rest: size (before it is bounded), depth and z_what as they were discovered ``[R, 3 + D]``.
        settled: the same, on average over the first frames of their tracks ``[R, 3 + D]``.
        whole: whether it was seen whole in any of those, bool ``[R]``.
        cell: that proposed each, int64 ``[R]``.
        first: whether it was in the first frame, bool ``[R]``.
    """

    rest: Tensor
    settled: Tensor
    whole: Tensor
    cell: Tensor
    first: Tensor


class MixtureDiscovery(DiscoveryPrior):
    """p(z^D | z^P), learned: how many and where, and then what they are.

    z_pres of the cells is a chain, row by row: the log-odds of a cell are a network's of where it
    is, whether the frame is the first, the tracked objects near it and how many there are, and what
    the cells before it have proposed, near it and in all. So objects keep apart, their number has
    the distribution that it has in the data, and nothing enters where something is already.

    Of a proposal that is there, the offset from the cell's centre is a mixture of normals given the
    cell; size, depth and z_what together are a kernel density of what a posterior has found where
    edges are as near, in first frames or later ones. (Some dozens of normals with covariances of
    their own give draws a little more density, but their samples are blends: shapes and colours in
    between.) A proposal that is absent is standard normal: see :mod:`.absence`.

    To be trained at draws of a posterior with hard presence, after everything else
    (:mod:`scalor_ppl.scalor.prior_training`). A rate that is given takes the place of the chain.

    Args:
        config: of the model.
    """

    knows_rate = True
    centres: Tensor
    near: Tensor
    shape: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        rows, columns = config.grid
        rest = 3 + config.what
        self.chain = starting_small(mlp(PLACE + FRAME + TRACKED + BEFORE, WIDTH, WIDTH, 1))
        self.offset = mlp(PLACE + FRAME + TRACKED, WIDTH, OFFSETS * 5)
        self.rest = KernelNormals(COMPONENTS, rest, CIRCUMSTANCES)
        self.register_buffer("centres", cell_centres(config.grid), persistent=False)
        # How near the cells are to one another ``[N, N, R]``, those before only.
        shape = self.zero.new_tensor([columns, rows]) / 2
        apart = ((self.centres[:, None] - self.centres) * shape).norm(dim=-1)
        near = torch.stack([torch.exp(-0.5 * (apart / r) ** 2) for r in RADII], -1)
        before = torch.ones(len(near), len(near)).tril(-1)
        self.register_buffer("near", near * before[..., None], persistent=False)
        self.register_buffer("shape", shape, persistent=False)

    def forward(
        self,
        presence: Presence,
        shape: tuple[int, int],
        rate: float | None = None,
        frame: int = 0,
        tracked: Objects | None = None,
    ) -> JointDistribution:
        """The chain, and what the proposals are that it makes."""
        about = self.about(shape, frame, tracked)
        if rate is None:
            chain = ChainedPresence(presence, self._logits(about), shape, self.zero)
        else:
            level = torch.full_like(self.zero.expand(shape), log_odds(rate))
            chain = presence.distribution(level)
        return PresentObjects(presence, chain, lambda site: self.looks(about, site))

    def log_density(
        self, presence: Presence, latents: Latents, frame: int, tracked: Objects | None
    ) -> Tensor:
        """As of :class:`DiscoveryPrior`, from the proposals alone that are there."""
        shape = (latents.presence.shape[0], latents.presence.shape[1])
        about = self.about(shape, frame, tracked)
        chain = ChainedPresence(presence, self._logits(about), shape, self.zero)
        total = chain.log_prob(latents.presence).sum(-1)
        there = latents.presence > 0.5
        if not there.any():
            return total
        found = Latents(*(values[there] for values in latents))
        density = density_of(lambda site: self.looks(about[there], site), found)
        return total.index_add(0, there.nonzero()[:, 0], density)

    def about(self, shape: tuple[int, int], frame: int, tracked: Objects | None) -> Tensor:
        """What is known of each cell before anything is proposed, ``[B, N, n]``."""
        videos, cells = shape
        centre = self.centres
        edge = 1 - centre.abs()
        place = torch.cat((centre, edge, torch.exp(-edge * self.shape)), -1)
        if self.config.anywhere:
            place = torch.zeros_like(place)
        when = place.new_tensor([float(frame == 0), 1 / (1 + frame)]).expand(cells, FRAME)
        known = torch.cat((place, when), -1).expand(videos, cells, -1)
        return torch.cat((known, self._near_tracked(videos, tracked)), -1)

    def _near_tracked(self, videos: int, tracked: Objects | None) -> Tensor:
        if tracked is None:
            return self.zero.expand(videos, len(self.centres), TRACKED)
        offset = self.centres[:, None] - tracked.where[:, None, :, :2]
        apart = (offset * self.shape).square().sum(-1)
        weight = tracked.presence[:, None]
        near = [(torch.exp(-0.5 * apart / r**2) * weight).sum(-1) for r in RADII]
        count = weight.sum(-1).expand_as(near[0])
        return torch.stack((*near, *self._counts(count)), -1)

    def _counts(self, count: Tensor) -> tuple[Tensor, Tensor]:
        # Of frames of any size a number says nothing.
        if self.config.anywhere:
            count = torch.zeros_like(count)
        return count / 5, torch.log1p(count)

    def _logits(self, about: Tensor) -> LogitsOf:
        def of(weights: Tensor, part: slice) -> Tensor:
            near = torch.einsum("nmr,bm->bnr", self.near[part], weights)
            earlier = (weights.cumsum(-1) - weights)[:, part]
            share = torch.linspace(0, 1, weights.shape[1]).to(weights)[part].expand_as(earlier)
            if self.config.anywhere:
                share = torch.zeros_like(share)
            before = torch.stack((*self._counts(earlier), share), -1)
            seen = torch.cat((about[:, part], near, before), -1)
            return self.chain(seen).squeeze(-1) + log_odds(self.rate)

        return of

    def looks(self, about: Tensor, site: Site) -> tuple[Tensor, Tensor, Tensor]:
        """Where, depth and what of proposals that are there, from what is known of their cells."""
        weights, loc, scale = self.offset(about).split((OFFSETS, 2 * OFFSETS, 2 * OFFSETS), -1)
        normal = dist.Normal(
            loc.unflatten(-1, (OFFSETS, 2)), positive(scale.unflatten(-1, (OFFSETS, 2)))
        )
        offset = dist.MixtureSameFamily(dist.Categorical(logits=weights), normal.to_event(1))
        rest = self.rest(self.circumstances(about))
        where = site("where", Product((offset, rest.first(2))))
        rest = rest.given(where[..., 2:])
        depth = site("depth", rest.scalar())
        rest = rest.given(depth[..., None])
        what = site("what", rest.first(self.config.what))
        return where, depth, what

    def circumstances(self, about: Tensor) -> Tensor:
        """Of :meth:`about`, what the looks of what enters depend on, ``[..., 3]``.

        What is cut by an edge looks cut, and what enters later does so at an edge. So these are how
        near an edge is along x and y, negative on the left and at the top, and the first frame.
        """
        centre, near = about[..., :2], about[..., 4:PLACE]
        return torch.cat((near * centre.sign(), about[..., PLACE : PLACE + 1]), -1)

    @torch.no_grad()
    def begin(self, found: Discovered, rate: float | None) -> None:
        """Begin from what a posterior has found.

        Args:
            found: R >= 2 objects.
            rate: share of the cells that proposed one; none leaves the chain as it is.
        """
        if rate is not None:
            last = self.chain[-1]
            assert isinstance(last, nn.Linear)
            last.bias.fill_(log_odds(rate) - log_odds(self.rate))
        # Nobody can say of what was never seen whole what it is: in videos that are sampled slivers
        # of objects and halves of hidden ones would go about by themselves.
        if found.whole.sum() >= FEWEST:
            found = Discovered(*(values[found.whole] for values in found))
        about = self.about((1, len(self.centres)), 1, None)[0, :, : PLACE + FRAME]
        about = about[found.cell].clone()
        about[:, PLACE] = found.first.to(about)
        self.rest.begin(found.rest, found.settled, self.circumstances(about))
