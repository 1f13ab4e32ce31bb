"""The generative program of SCALOR (Jiang et al., ICLR 2020), section 3.1, equations 3 to 6.

    p(x_1:T, z_1:T) = prod_t  p(x_t | z_t)                       rendering
                              p(z_bg_t | z_bg_<t, z_fg_t)        background transition
                              p(z^D_t | z^P_t)                   discovery by proposal-rejection
                              p(z^P_t | z_<t)                    propagation

Sites, with B videos, K tracker slots, N = Gh * Gw grid cells (row by row), frames t = 0 ... T - 1.
``conditioning`` or intervening on any of them is Pyro's ``condition`` and ``poutine.do``.

=====================  =================  ==========================================================
site                   value              meaning
=====================  =================  ==========================================================
``z_pres_prop_{t}``    ``[B, K]``         presence of tracked objects, t >= 1: the logit of z_pres
                                          where presence is relaxed, 0 or 1 where it is hard
                                          (``model.presence.value`` and ``.weight`` convert)
``z_where_prop_{t}``   ``[B, K, 4]``      movement (x, y; ``boxes.moved``) and size (width,
                                          height; ``boxes.bounded``) before they are bounded
``z_depth_prop_{t}``   ``[B, K]``         depth; smaller is nearer
``z_what_prop_{t}``    ``[B, K, D]``      appearance
``z_pres_disc_{t}``    ``[B, N]``         presence of the cells' proposals, as above
``z_where_disc_{t}``   ``[B, N, 4]``      offset from the cell's centre (x, y;
                                          ``boxes.CellPositions``) and size, as above
``z_depth_disc_{t}``   ``[B, N]``         depth
``z_what_disc_{t}``    ``[B, N, D]``      appearance
``z_bg_{t}``           ``[B, 1, E]``      background, where the model has one
``x_{t}``              [B, 1, C, H, W]    the frame, observed for the frames given
=====================  =================  ==========================================================

Plates: ``videos`` (dim -2), ``trackers`` and ``cells`` (dim -1). The latents of a tracker slot that
is empty do not exist: both sides mask them. What, where and depth of an absent proposal stay in the
density; the guide's posterior for them goes to the prior as z_pres goes to 0, so they cancel.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pyro
import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from scalor_ppl.nn.distributions import PixelNormal, Presence
from scalor_ppl.nn.gathered import gathering
from scalor_ppl.nn.layers import ImageDecoder
from scalor_ppl.programs import Memory
from scalor_ppl.programs.observed import stretch_of
from scalor_ppl.programs.once import Once
from scalor_ppl.render.boxes import bounded, cell_centres, cell_size, moved
from scalor_ppl.render.glimpses import Frame, composite, mass_centre, mass_moments, write_glimpses
from scalor_ppl.scalor import SCALOR, ScalorConfig
from scalor_ppl.scalor.memory import Foreseen
from scalor_ppl.scalor.networks import Template, glimpse_decoder, run_mixed
from scalor_ppl.scalor.placing import placed
from scalor_ppl.scalor.priors import (
    BackgroundPrior,
    DiscoveryPrior,
    JointDistribution,
    PropagationPrior,
)
from scalor_ppl.scalor.priors.registry import build_priors
from scalor_ppl.scalor.selection import take, take_of_both
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import (
    Latents,
    Objects,
    Trackers,
    accept,
    strongest,
    update_trackers,
)

FAMILY = SCALOR


class Propagated(NamedTuple):
    """Objects that were propagated, and their mask on the canvas ``[B, 1, H, W]``."""

    objects: Objects
    canvas: Tensor


class Scene(NamedTuple):
    """What one run of the program made.

    Attributes:
        trackers: one per frame.
        image: ``[B, T, C, H, W]``, the mean of the pixels, in [0, 1].
        mask: ``[B, T, 1, H, W]``, how far objects cover the pixels.
        foreground: ``[B, T, C, H, W]``, objects over black.
        background: ``[B, T, C, H, W]``; none where the model has none.
        memory: what the model would go on with.
    """

    trackers: tuple[Trackers, ...]
    image: Tensor
    mask: Tensor
    foreground: Tensor
    background: Tensor | None
    memory: Foreseen


class Scalor(nn.Module):
    """The program. What is exchangeable is passed in; what remains is the paper's recursion.

    Args:
        config: with height, width and channels filled in.
        discovery: p(z^D proposals | z^P).
        propagation: p(z^P_t | z_<t).
        background: p(z_bg_t | z_bg_<t, z_fg_t); none for a black background.
    """

    step: Tensor
    low: Tensor
    high: Tensor
    centres: Tensor
    cell: Tensor
    unmoved: Tensor
    moments: Tensor

    def __init__(
        self,
        config: ModelConfig,
        discovery: DiscoveryPrior,
        propagation: PropagationPrior,
        background: BackgroundPrior | None,
    ) -> None:
        super().__init__()
        self.config = config
        self.size, self.channels = config.known_frames()
        self.cells = config.grid[0] * config.grid[1]
        self.proposals = min(config.proposals or self.cells, self.cells)
        self.presence = Presence(config.presence)
        self.discovery = discovery
        self.propagation = propagation
        self.background = background
        self.decoder = glimpse_decoder(
            config.decoder, config.what, self.channels, config.glimpse, config.outline
        )
        self.template: Template | None = None
        if config.background == "template":
            self.template = Template(
                config.background_dim, self.channels, config.frame or self.size
            )
        elif background is not None:
            self.background_decoder = ImageDecoder(config.background_dim, self.channels, self.size)
        self.register_buffer("step", torch.tensor(config.max_step).expand(2), persistent=False)
        extent = torch.tensor(self.size[::-1])
        bounds = torch.tensor([config.object_width, config.object_height])
        self.register_buffer("low", bounds[:, 0] / extent, persistent=False)
        self.register_buffer("high", bounds[:, 1] / extent, persistent=False)
        self.register_buffer("centres", cell_centres(config.grid), persistent=False)
        self.register_buffer("cell", cell_size(config.grid), persistent=False)
        self.register_buffer("moments", mass_moments(*config.glimpse), persistent=False)
        # What of where is left without its movement.
        self.register_buffer("unmoved", torch.tensor((0.0, 0.0, 1.0, 1.0)), persistent=False)
        self.once = Once()
        # Whether the glimpse networks run in bfloat16; set by the training.
        self.mixed = False

    def anneal(self, *, temperature: float, discovery_rate: float) -> None:
        """Set what the training schedules drive."""
        self.presence.temperature = temperature
        self.discovery.rate = discovery_rate

    # ------------------------------------------------------------------ the recursion, shared
    # Guide and model both call the methods of this part, through ``self.once``.

    def decode(self, what: Tensor) -> Tensor:
        """Colour and mask of objects, ``[B, n, D]`` to ``[B, n, C + 1, h, w]`` in [0, 1]."""
        logits = run_mixed(self.decoder, what.flatten(0, 1), self.mixed)
        return torch.sigmoid(logits).unflatten(0, what.shape[:2])

    def painted(self, where: Tensor, mask: Tensor) -> Tensor:
        """The boxes ``[B, n, 4]`` that glimpses are painted in.

        z_where is an object's centre and not only that of a box which holds it somewhere: with
        ``model.centred`` the box lies so that the mask's centre of mass comes to z_where. What is
        decoded then tells nothing of where, and a track does not jitter with the looks.

        Args:
            where: centres and sizes ``[B, n, 4]``.
            mask: of the decoded glimpses ``[B, n, 1, h, w]``.
        """
        if not self.config.centred:
            return where
        centre, size = where.split(2, -1)
        centre = torch.addcmul(centre, mass_centre(mask.squeeze(2), self.moments), size, value=-1)
        return torch.cat((centre, size), -1)

    def moved_objects(
        self, trackers: Trackers, presence: Tensor, raw: Tensor, depth: Tensor, what: Tensor
    ) -> Propagated:
        """Tracked objects at their new places, from the values of the propagation sites."""
        where = self.moved_where(trackers, raw)
        weight = self.presence.weight(presence) * trackers.alive
        glimpse = self.decode(what)
        mask = glimpse[:, :, -1:]
        box = self.painted(where, mask)
        shown = mask * weight[:, :, None, None, None]
        canvas = write_glimpses(shown, box, self.size, trackers.alive)
        objects = Objects(weight, where, raw, depth, what, glimpse, box)
        return Propagated(objects, canvas.clamp(max=1.0))

    def moved_where(self, trackers: Trackers, raw: Tensor) -> Tensor:
        """Boxes of tracked objects: deviation from the last position, size of its own."""
        return self._boxes(trackers.objects.where, raw, self.step)

    def proposed_where(self, raw: Tensor) -> Tensor:
        """Boxes of proposals ``[..., N, 4]``: offset from the cell's centre, size."""
        return self._boxes(self.centres, raw, self.config.reach * self.cell)

    def _boxes(self, previous: Tensor, raw: Tensor, reach: Tensor) -> Tensor:
        if self.config.perspective:
            position = moved(previous[..., :2], raw[..., :2], reach)
            return torch.cat((position, self.sizes(position, raw[..., 2:])), -1)
        return placed(previous, raw, reach, self.low, self.high)

    def sizes(self, position: Tensor, raw: Tensor) -> Tensor:
        """Widths and heights of boxes at positions, all ``[..., 2]``: what is lower is nearer."""
        sizes = bounded(raw, self.low, self.high)
        if not self.config.perspective:
            return sizes
        return sizes * (1 + self.config.perspective * position[..., 1:].clamp(-1, 1))

    def candidates(self, weight: Tensor) -> Tensor | None:
        """Rows of the proposals that are decoded, the strongest; none where all are.

        Args:
            weight: z_pres of all cells' proposals ``[B, N]``.

        Returns:
            For ``take``, ``[B * proposals]``.
        """
        return strongest(weight, self.proposals) if self.proposals < self.cells else None

    def updated_trackers(
        self,
        before: Trackers | None,
        propagated: Propagated | None,
        presence: Tensor,
        raw: Tensor,
        depth: Tensor,
        what: Tensor,
    ) -> Trackers:
        """Accept or reject proposals (equation 6) and join the rest with the tracked objects."""
        rules = self.config.rules
        weight = self.presence.weight(presence)
        where = self.proposed_where(raw)
        rows = self.candidates(weight)
        if rows is not None:
            latents = torch.cat((weight[..., None], depth[..., None], where, raw, what), -1)
            latents = take(latents, rows, self.proposals)
            single, where, raw, what = latents.split((2, 4, 4, what.shape[-1]), -1)
            weight, depth = single.unbind(-1)
        glimpse = self.decode(what)
        box = self.painted(where, glimpse[:, :, -1:])
        # An object just found has not moved yet.
        still = raw * self.unmoved
        proposals = Objects(weight, where, still, depth, what, glimpse, box)
        canvas = None if propagated is None else propagated.canvas
        objects = None if propagated is None else propagated.objects
        accepted = accept(proposals, canvas, rules, self.size, objects)
        proposals = proposals._replace(presence=proposals.presence * accepted)
        return update_trackers(before, objects, proposals, self.config.capacity, rules, self.size)

    def rendered(self, *trackers: Trackers) -> Frame:
        """Foreground and mask of all frames at once ``[B, T, ...]`` (algorithm 3)."""
        objects = [each.objects for each in trackers]

        def over_time(field: str) -> Tensor:
            return torch.stack([getattr(o, field) for o in objects], 1).flatten(0, 1)

        presence = over_time("presence")
        # Split, not sliced: the gradient of a slice fills the whole tensor with zeros first.
        colour, mask = over_time("glimpse").split((self.channels, 1), 2)
        frame = composite(
            colour,
            mask,
            presence,
            over_time("depth"),
            over_time("box"),
            None,
            self.size,
            presence > 0,
            self.config.occlusion,
        )
        return Frame(*(part.unflatten(0, (-1, len(trackers))) for part in frame))

    def carry(self, trackers: Trackers, state: Tensor | None, newborn: Tensor) -> Tensor:
        """Recurrent states in the order of the new slots ``[B, K, hidden]``."""
        return take_of_both(state, newborn, trackers.origin, self.config.capacity)

    # ------------------------------------------------------------------ the generative program

    @gathering()
    def forward(
        self,
        video: Tensor | None = None,
        corner: Tensor | None = None,
        *,
        memory: Memory | None = None,
        videos: int = 1,
        frames: int | None = None,
        discovery: Sequence[float | None] | None = None,
    ) -> Scene:
        """Run the program.

        Args:
            video: observed frames ``[B, T', C, H, W]`` in [0, 1]; none observes nothing.
            corner: where crops lie in the whole frames: top and left pixel ``[B, 2]``, int64, or
                ``[B, 3]`` with 1 where they are mirrored. Only a template asks for it; none for
                whole frames as they are.
            memory: after the frames before these, of the same videos; none begins anew.
            videos: B, where no video is given.
            frames: T; frames from T' on are not observed. T' by default.
            discovery: per frame, the probability that a cell discovers in place of the prior's
                own (none keeps it; 0 switches discovery off).

        Returns:
            The scene: trackers of every frame and the rendered video.
        """
        videos, length, observed, rates = stretch_of(video, videos, frames, discovery)
        plates = pyro.plate("videos", videos, dim=-2)
        slots = pyro.plate("trackers", self.config.capacity, dim=-1)
        cells = pyro.plate("cells", self.cells, dim=-1)

        begun = 0 if memory is None else memory.frame
        trackers = None if memory is None else memory.foreseen.trackers
        h = None if memory is None else memory.foreseen.state
        states: list[Trackers] = []
        for t in range(length):
            propagated = None
            if trackers is not None:
                newborn = self.propagation.initial((videos, self.proposals))
                h = self.propagation.update(self.carry(trackers, h, newborn), trackers)
                prior = self.propagation(self.presence, h, trackers)
                with plates, slots, poutine.mask(mask=trackers.alive):
                    z = sample_objects(f"prop_{t}", prior)
                propagated = self.once(self.moved_objects, trackers, *z)
            tracked = None if propagated is None else propagated.objects
            shape = (videos, self.cells)
            prior = self.discovery(self.presence, shape, rates[t], begun + t, tracked)
            with plates, cells:
                z = sample_objects(f"disc_{t}", prior)
            trackers = self.once(self.updated_trackers, trackers, propagated, *z)
            states.append(trackers)

        _, mask, foreground = self.once(self.rendered, *states)
        backdrop = None if memory is None else memory.foreseen.background
        background, backdrop = self.sample_background(states, plates, backdrop, corner)
        image = foreground if background is None else foreground + (1 - mask) * background
        for t, frame in enumerate(image.unbind(1)):
            with plates:
                pyro.sample(
                    f"x_{t}",
                    PixelNormal(frame[:, None], self.config.sigma, event_dim=3),
                    obs=observed[t] if t < len(observed) else None,
                )
        self.once.forget()
        foreseen = Foreseen(states[-1], h, backdrop)
        return Scene(tuple(states), image, mask, foreground, background, foreseen)

    def sample_background(
        self,
        states: list[Trackers],
        plates: pyro.plate,
        before: tuple[Tensor, Tensor] | None,
        corner: Tensor | None,
    ) -> tuple[Tensor | None, tuple[Tensor, Tensor] | None]:
        """Sites ``z_bg_t`` of all frames.

        Returns:
            The decoded background ``[B, T, C, H, W]``, and what to go on with: the prior's state
            and the last z_bg. None and none where the model has no background.
        """
        if self.background is None:
            return None, None
        if before is None:
            state, last = self.background.initial(states[0].ids.shape[0]), None
        else:
            state, last = before
        codes = []
        for t, trackers in enumerate(states):
            prior = self.background(state, last, trackers.objects)
            with plates:
                last = pyro.sample(f"z_bg_{t}", prior).squeeze(1)
            state = self.background.update(state, last)
            codes.append(last)
        assert last is not None
        return self.decode_background(torch.stack(codes, 1), corner), (state, last)

    @torch.no_grad()
    def diagnostics(self, scene: Scene) -> dict[str, float]:
        """Figures of a scene for the log: objects a frame, discoveries a video."""
        alive = torch.stack([each.alive for each in scene.trackers])
        found = torch.stack([each.discovered for each in scene.trackers])
        frames, videos = alive.shape[:2]
        return {
            "objects": alive.sum().item() / (frames * videos),
            "discoveries": found.sum().item() / videos,
        }

    def decode_background(self, z_bg: Tensor, corner: Tensor | None = None) -> Tensor:
        """Background images ``[B, T, C, H, W]`` in [0, 1] from z_bg ``[B, T, E]``."""
        if self.template is not None:
            return self.template(z_bg, corner, self.size)
        pixels = self.background_decoder(z_bg.flatten(0, 1)).unflatten(0, z_bg.shape[:2])
        return torch.sigmoid(pixels)


def sample_objects(suffix: str, prior: JointDistribution) -> Latents:
    """The four sites of one phase and frame (the braces of equations 4 and 5).

    ``infer["exists"]`` names the presence site under which a latent exists; the paper's own
    objective weights divergences by it.
    """
    presence = f"z_pres_{suffix}"

    def site(name: str, fn: TorchDistribution) -> Tensor:
        if name == "presence":
            return pyro.sample(presence, fn)
        return pyro.sample(f"z_{name}_{suffix}", fn, infer={"exists": presence})

    return prior.sample(site)


def build_model(config: ScalorConfig) -> Scalor:
    """The program of a configuration, with the priors it names."""
    return Scalor(config.model, *build_priors(config))
