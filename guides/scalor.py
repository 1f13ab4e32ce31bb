"""The amortized posterior of SCALOR: section 3.2, equations 7 and 8, algorithms 1 to 3.

    q(z_1:T | x_1:T) = prod_t  q(z_bg_t | z_fg_t, x_t)           background
                               q(z^D_t | z^P_t, x_<=t)           discovery
                               q(z^P_t | z_<t, x_<=t)            propagation

The guide has every latent site of the model, with the same name, shape and mask. It runs the same
recursion (through ``model.once``): masks, accept-reject and the joining of trackers are the model's
own functions, computed once for both.

The posterior of an absent proposal is the prior: its where, depth and what are drawn from
``z_pres * posterior + (1 - z_pres) * prior`` (locations and scales mixed), so that a cell without
an object costs nothing and the bound stays one. For the same reason only the proposals that the
model will decode are looked at: the posterior of the others' what is the prior.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pyro
import torch
from pyro import poutine
from torch import Tensor, nn

from scalor_ppl.models.scalor import Scalor
from scalor_ppl.nn.distributions import Gaussian, diagonal_normal
from scalor_ppl.nn.gathered import gathering
from scalor_ppl.nn.layers import positive
from scalor_ppl.nn.modes import MostLikely
from scalor_ppl.programs import FrameViews, Memory
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.scalor.correction import (
    Look,
    Proposals,
    corrected,
    drawn_from,
    posterior_of_all,
    proposals_of,
)
from scalor_ppl.scalor.descent import Descend, descend
from scalor_ppl.scalor.memory import Seen
from scalor_ppl.scalor.posterior_networks import (
    SCALE_SHIFT,
    BackgroundPosterior,
    GlimpsePosterior,
    ImageFeatures,
    LightPosterior,
    Normals,
    PropagationPosterior,
    ProposalPosterior,
    limited,
)
from scalor_ppl.scalor.refinement import Better, Guess, Refinement, bettered, refine
from scalor_ppl.scalor.selection import take
from scalor_ppl.scalor.settings import GuideConfig
from scalor_ppl.scalor.slots import (
    Latents,
    Trackers,
)
from scalor_ppl.scalor.views import FrameView, Step, VideoView, view_video


class Inferred(NamedTuple):
    """What one run of the guide made.

    Attributes:
        trackers: one per frame.
        memory: what the guide would go on with.
    """

    trackers: tuple[Trackers, ...]
    memory: Seen


class Plates(NamedTuple):
    """The plates of one run: ``videos`` (dim -2), ``trackers`` and ``cells`` (dim -1)."""

    videos: pyro.plate
    trackers: pyro.plate
    cells: pyro.plate


class ScalorGuide(nn.Module):
    """The guide. Holds the model by reference, not as a part of itself.

    Args:
        config: of the guide.
        model: the program whose posterior this is.
    """

    def __init__(self, config: GuideConfig, model: Scalor) -> None:
        super().__init__()
        # In a list, so that the model's parameters are not counted as the guide's.
        self._model = [model]
        self.config = config
        # How a frame's values are refined; see Program.compiled.
        self.descend: Descend = descend
        self.features = ImageFeatures(config, model)
        self.glimpses = GlimpsePosterior(config, model)
        self.proposal = ProposalPosterior(config, model, self.features.width)
        self.propagation = PropagationPosterior(config, model, self.features.width)
        if model.template is not None:
            self.light = LightPosterior(model)
        elif model.background is not None:
            self.background = BackgroundPosterior(model)

    @property
    def model(self) -> Scalor:
        """The program."""
        return self._model[0]

    @property
    def background_posterior(self) -> nn.Module:
        """Location and scale of z_bg ``[F, E]`` from frames, differences and masks."""
        return self.background if self.model.template is None else self.light

    @gathering()
    def forward(
        self,
        video: Tensor,
        corner: Tensor | None = None,
        *,
        memory: Memory | None = None,
        frames: int | None = None,
        discovery: Sequence[float | None] | None = None,
        view: VideoView | None = None,
    ) -> Inferred:
        """Sample the posterior of the observed frames.

        Args:
            video: ``[B, T, C, H, W]`` in [0, 1].
            corner: where crops lie in the whole frames, ``[B, 2]``; see the model.
            memory: after the frames before these; none begins anew.
            frames, discovery: the model's, for frames beyond the video; nothing is inferred there.
            view: of these frames, where it is known already.

        Returns:
            The trackers, and what to go on with.
        """
        model = self.model
        model.once.forget()
        plates = Plates(
            pyro.plate("videos", len(video), dim=-2),
            pyro.plate("trackers", model.config.capacity, dim=-1),
            pyro.plate("cells", model.cells, dim=-1),
        )

        seen = self.viewed(video, corner, memory) if view is None else view
        trackers = None if memory is None else memory.foreseen.trackers
        h = None if memory is None else memory.seen.state
        states: list[Trackers] = []
        for t, frame in enumerate(seen.frames):
            if trackers is not None:
                newborn = self.propagation.newborn.expand(len(video), model.proposals, -1)
                h = model.carry(trackers, h, newborn)
            refinement = None
            if self.config.refine and not self.training:
                refinement = self.refined(t, frame, h, trackers, corner, plates)
            step = self.sample_frame(t, frame, h, trackers, refinement, plates)
            trackers, h = step.trackers, step.state
            states.append(trackers)
        if model.background is not None:
            self.sample_background(video, seen.difference, states, plates)
        return Inferred(tuple(states), Seen(h, seen.lstm))

    def viewed(self, video: Tensor, corner: Tensor | None, memory: Memory | None) -> VideoView:
        """What the frames of a video show before anything is looked for in them."""
        networks = (self.features, self.proposal, self.propagation)
        before = None if memory is None else memory.seen.features
        return view_video(video, corner, self.model, self.config, networks, before)

    @gathering()
    def view_frames(
        self, video: Tensor, corner: Tensor | None = None, *, memory: Memory | None = None
    ) -> FrameViews:
        """See :class:`scalor_ppl.programs.ViewsFrames`."""
        view = self.viewed(video, corner, memory)
        bare = None if memory is None else self.remembering(memory, None)
        return FrameViews(view.by_frame(), bare, view.lstm)

    def remembering(self, memory: Memory, last: tuple[Tensor, Tensor] | None) -> Memory:
        """A memory with a state of the features' ConvLSTM."""
        return memory._replace(seen=memory.seen._replace(features=last))

    def sample_frame(
        self,
        t: int,
        view: FrameView,
        h: Tensor | None,
        trackers: Trackers | None,
        refinement: Refinement | None,
        plates: Plates,
    ) -> Step:
        """Sites of a frame's objects: first of those that are tracked, then of the proposals.

        Args:
            t: number of the frame.
            view: of it.
            h: recurrent states in the order of the slots; none in the first frame.
            trackers: after the frame before; none in the first.
            refinement: what to put the posterior on; none leaves it to the networks.
            plates: of the sites.
        """
        model, videos = self.model, len(view.image)
        tracked = propagated = None
        if trackers is None:
            canvas = view.image.new_zeros(videos, 1, *model.size)
        else:
            assert h is not None
            better = None if refinement is None else refinement.tracked
            with plates.videos, plates.trackers, poutine.mask(mask=trackers.alive):
                tracked, h = self.propagate(t, view, h, trackers, better)
            propagated = model.once(model.moved_objects, trackers, *tracked)
            canvas = propagated.canvas
        mask = self.proposal.encode_mask(canvas)
        better = None if refinement is None else refinement.proposed
        discover = self.discover if view.proposed is None else self.discover_hoisted
        with plates.videos, plates.cells:
            proposed = discover(t, view, mask, better)
        trackers = model.once(model.updated_trackers, trackers, propagated, *proposed)
        return Step(trackers, h, tracked, proposed)

    def refined(
        self,
        t: int,
        view: FrameView,
        h: Tensor | None,
        trackers: Trackers | None,
        corner: Tensor | None,
        plates: Plates,
    ) -> Refinement:
        """What becomes of a frame's most likely objects when the frame pulls at them.

        A function of frame and memory alone: nothing is sampled here.

        Args:
            t: number of the frame.
            view: of it.
            h: as in ``sample_frame``.
            trackers: likewise.
            corner: see the model.
            plates: as in ``sample_frame``.
        """
        model = self.model
        with torch.no_grad(), poutine.block(), poutine.trace() as looked, MostLikely():
            guess = self.sample_frame(t, view, h, trackers, None, plates)
            background = None
            if model.background is not None:
                mask = model.rendered(guess.trackers).mask[:, 0]
                z_bg, _ = self.background_posterior(view.pixels, view.difference, mask)
                background = model.decode_background(z_bg[:, None], corner)[:, 0]
        nodes = looked.trace.nodes

        def said(phase: str, latents: Latents) -> Guess:
            sites = ("where", "what", "depth")
            where, what, depth = (nodes[f"z_{site}_{phase}_{t}"]["fn"].stddev for site in sites)
            deep = model.config.occlusion is not None
            return Guess(latents, where, what, depth if deep else None)

        return refine(
            model,
            view.pixels,
            background,
            trackers,
            None if guess.tracked is None else said("prop", guess.tracked),
            said("disc", guess.proposed),
            guess.trackers,
            self.config,
            self.descend,
        )

    # ------------------------------------------------------------------ propagation, algorithm 2

    def propagate(
        self, t: int, view: FrameView, h: Tensor, trackers: Trackers, better: Better | None
    ) -> tuple[Latents, Tensor]:
        """Sites ``z_*_prop_t`` and the trackers' new recurrent state."""
        parts = self.propagation
        last = trackers.objects
        attended = parts.look_around(view.window, trackers)
        h = parts.update(h, attended, trackers)
        loc, scale = parts.where(torch.cat((attended, h), -1)).chunk(2, -1)
        # As if nothing changed: no movement, the same size.
        loc = torch.addcmul(loc, last.raw, self.model.unmoved)
        posterior = Normals(loc, positive(scale, SCALE_SHIFT))
        look = None
        if self.config.correct:
            guess = self.model.moved_where(trackers, posterior.loc)
            look = self.glimpses(view.image, guess, self.model.mixed)
            correction = parts.correction(torch.cat((look[0], h), -1))
            posterior = corrected(posterior, correction, guess, self.model.step)
        posterior = posterior._replace(loc=bettered(posterior.loc, better, "where"))
        raw = pyro.sample(f"z_where_prop_{t}", diagonal_normal(*posterior))
        if look is None:
            where = self.model.moved_where(trackers, raw)
            look = self.glimpses(view.image, where, self.model.mixed)
        encoding, loc, scale = look
        seen = torch.cat((encoding, h), -1)
        trust = torch.sigmoid(parts.what(seen))
        loc = torch.lerp(last.what, loc, trust)
        loc = bettered(loc, better, "what")
        what = pyro.sample(f"z_what_prop_{t}", diagonal_normal(loc, positive(scale, SCALE_SHIFT)))
        step, scale = parts.depth(seen).unbind(-1)
        loc = last.depth + step
        if better is not None:
            loc = bettered(loc[..., None], better, "depth").squeeze(-1)
        depth = pyro.sample(f"z_depth_prop_{t}", Gaussian(loc, positive(scale, SCALE_SHIFT)))
        # Survival is likely before anything is learned (against propagation collapse).
        logits = parts.presence(torch.cat((seen, raw, what), -1)).squeeze(-1) + 2.0
        presence = pyro.sample(
            f"z_pres_prop_{t}", self.model.presence.distribution(limited(logits))
        )
        return Latents(presence, raw, depth, what), h

    # ------------------------------------------------------------------ discovery, algorithm 1

    def discover(self, t: int, view: FrameView, mask: Tensor, better: Better | None) -> Latents:
        """Sites ``z_*_disc_t``, with the propagation mask seen everywhere (the paper's)."""
        aggregated = self.proposal.aggregate(view.cells, mask)
        presence, present = self.sample_presence(t, aggregated, mask)
        proposals = proposals_of(self.proposal.propose(aggregated), view.absent, self.model)
        if self.config.correct:
            look = self.look(view, proposals.rows, present)
            return self.sample_seen(t, view, proposals, look, (presence, present), better)
        # Looked at where they were drawn, and not where they are likely.
        where, depth, _ = drawn_from(view.absent, proposals.posterior, present, better)
        raw, z_depth = self.sample_where_depth(t, where, depth)
        drawn = torch.cat((self.model.proposed_where(raw), proposals.rows[..., 4:]), -1)
        posterior = posterior_of_all(proposals, self.look(view, drawn, present), None, self.model)
        _, _, what = drawn_from(view.absent, posterior, present, better)
        looks = pyro.sample(f"z_what_disc_{t}", diagonal_normal(*what))
        return Latents(presence, raw, z_depth, looks)

    def discover_hoisted(
        self, t: int, view: FrameView, mask: Tensor, better: Better | None
    ) -> Latents:
        """Sites ``z_*_disc_t`` where only presence (and rejection) sees the propagation mask.

        Glimpses are read at the location of where's posterior, before it is refined.
        """
        assert view.proposed is not None
        presence, present = self.sample_presence(t, view.cells, mask)
        look = self.look(view, view.proposed.rows, present)
        return self.sample_seen(t, view, view.proposed, look, (presence, present), better)

    def look(self, view: FrameView, rows: Tensor, present: Tensor) -> Look:
        """What is seen through the boxes of the strongest proposals, the model's candidates.

        The others are never decoded: nothing is known of their what beyond the prior.

        Args:
            view: of the frame.
            rows: of all proposals, their boxes first, ``[B, N, 14]``; see ``Proposals``.
            present: their z_pres ``[B, N, 1]``.
        """
        chosen = self.model.candidates(present.squeeze(-1))
        seen = rows if chosen is None else take(rows, chosen, self.model.proposals)
        where, rest = seen.split((4, seen.shape[-1] - 4), -1)
        encoding, loc, scale = self.glimpses(view.image, where, self.model.mixed)
        return Look(chosen, where, rest, encoding, Normals(loc, positive(scale, SCALE_SHIFT)))

    def sample_presence(self, t: int, aggregated: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Site ``z_pres_disc_t``: its value, and z_pres ``[B, N, 1]``."""
        logits = self.proposal.presence_logits(aggregated, mask)
        value = pyro.sample(f"z_pres_disc_{t}", self.model.presence.distribution(logits))
        return value, self.model.presence.weight(value)[..., None]

    def sample_seen(
        self,
        t: int,
        view: FrameView,
        proposals: Proposals,
        look: Look,
        presence: tuple[Tensor, Tensor],
        better: Better | None,
    ) -> Latents:
        """The other sites ``z_*_disc_t``, of proposals that have been looked at."""
        value, present = presence
        network = self.proposal.correction if self.config.correct else None
        posterior = posterior_of_all(proposals, look, network, self.model)
        where, depth, what = drawn_from(view.absent, posterior, present, better)
        raw, z_depth = self.sample_where_depth(t, where, depth)
        looks = pyro.sample(f"z_what_disc_{t}", diagonal_normal(*what))
        return Latents(value, raw, z_depth, looks)

    def sample_where_depth(self, t: int, where: Normals, depth: Normals) -> tuple[Tensor, Tensor]:
        """Sites ``z_where_disc_t`` and ``z_depth_disc_t``."""
        raw = pyro.sample(f"z_where_disc_{t}", diagonal_normal(*where))
        loc, scale = (each.squeeze(-1) for each in depth)
        return raw, pyro.sample(f"z_depth_disc_{t}", Gaussian(loc, scale))

    # ------------------------------------------------------------------ background, algorithm 3

    def sample_background(
        self,
        video: Tensor,
        difference: Tensor | None,
        states: list[Trackers],
        plates: Plates,
    ) -> None:
        """Sites ``z_bg_t`` of all frames; they see the frame and what the objects leave open."""
        mask = self.model.once(self.model.rendered, *states).mask.flatten(0, 1)
        if difference is not None:
            difference = difference.flatten(0, 1)
        loc, scale = self.background_posterior(video.flatten(0, 1), difference, mask)
        frames = video.shape[:2]
        parameters = zip(
            loc.unflatten(0, frames).unbind(1), scale.unflatten(0, frames).unbind(1), strict=True
        )
        for t, (loc_t, scale_t) in enumerate(parameters):
            with plates.videos:
                pyro.sample(f"z_bg_{t}", diagonal_normal(loc_t[:, None], scale_t[:, None]))


def build_guide(config: ScalorConfig, model: Scalor) -> ScalorGuide:
    """The guide of a configuration for a model."""
    return ScalorGuide(config.guide, model)
