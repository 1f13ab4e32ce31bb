"""The generative program of SQAIR (Kosiorek et al., NeurIPS 2018), section 3.

    p(x_1:T, z_1:T) = prod_t  p(x_t | z_t)                       glimpses, added up
                              p(z^D_t | z^P_t)                   discovery, object by object
                              p(z^P_t | z_<t)                    propagation

Sites, with B videos, N slots (``model.objects``), frames t = 0 ... T - 1, slots and steps of
discovery k = 0 ... N - 1. ``conditioning`` or intervening on any of them is Pyro's ``condition``
and ``poutine.do``.

=========================  =================  ======================================================
site                       value              meaning
=========================  =================  ======================================================
``z_pres_prop_{k}_{t}``    ``[B, 1]``         whether the object in slot k goes on, 0 or 1, t >= 1
``z_where_prop_{k}_{t}``   ``[B, 1, 4]``      its position (x, y; tanh) and its size (width, height;
                                              ``boxes.bounded``) before they are bounded
``z_what_prop_{k}_{t}``    ``[B, 1, D]``      its appearance
``z_pres_disc_{k}_{t}``    ``[B, 1]``         whether step k of discovery finds an object
``z_where_disc_{k}_{t}``   ``[B, 1, 4]``      its place, as above
``z_what_disc_{k}_{t}``    ``[B, 1, D]``      its appearance
``x_{t}``                  [B, 1, C, H, W]    the frame, observed for the frames given
=========================  =================  ======================================================

Plate: ``videos`` (dim -2). Presence is discrete. What does not exist has no density, on either
side: presence in an empty slot, or in a step of discovery after one that found nothing or for which
there is no room; where and what of an object that is not there.

Objects lie on black, and are added up (as in the paper; there is no depth). The mean of the pixels
is that sum; what a scene shows of it ends at 1.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.distributions import Distribution

from scalor_ppl.nn.distributions import PixelNormal, diagonal_normal
from scalor_ppl.nn.layers import kept_in_scale, mlp
from scalor_ppl.programs import Memory, Once
from scalor_ppl.programs.observed import stretch_of
from scalor_ppl.render.boxes import bounded
from scalor_ppl.render.glimpses import write_glimpses
from scalor_ppl.sqair import SQAIR, SqairConfig
from scalor_ppl.sqair.priors import SqairDiscoveryPrior, SqairPropagationPrior
from scalor_ppl.sqair.settings import SqairSettings
from scalor_ppl.sqair.slots import Candidates, Slots, joined

FAMILY = SQAIR

# Glimpses are nearly black before anything is learned: a box that is laid anywhere costs little.
DARK = -3.0


class SqairMemory(NamedTuple):
    """What the model goes on with.

    Attributes:
        slots: after the last frame.
        prior: states of the propagation prior in the slots before it; none after one frame.
    """

    slots: Slots
    prior: Tensor | None


class Scene(NamedTuple):
    """What one run of the program made.

    Attributes:
        slots: the objects, one per frame.
        image: ``[B, T, C, H, W]``, the mean of the pixels, in [0, 1].
        memory: what the model would go on with.
    """

    slots: tuple[Slots, ...]
    image: Tensor
    memory: SqairMemory


class Sqair(nn.Module):
    """The program.

    Args:
        config: with height, width and channels filled in.
    """

    def __init__(self, config: SqairSettings) -> None:
        super().__init__()
        self.config = config
        self.size, self.channels = config.known_frames()
        self.propagation = SqairPropagationPrior(config.what, config.hidden)
        self.discovery = SqairDiscoveryPrior(config.objects, config.what)
        pixels = self.channels * config.glimpse[0] * config.glimpse[1]
        last = nn.Linear(config.hidden, pixels)
        self.decoder = kept_in_scale(mlp(config.what, config.hidden, config.hidden))
        self.decoder.extend([nn.CELU(), last])
        nn.init.normal_(last.weight, std=1e-2)
        self.once = Once()
        # Added to the log-odds of finding an object after the first frame, in prior and posterior
        # alike; the training drives it.
        self.late_odds = 0.0

    # ------------------------------------------------------------------ the recursion, shared
    # Guide and model both call the methods of this part, through ``self.once``.

    def begin(self, foreseen: SqairMemory) -> SqairMemory:
        """What a memory holds, as a checkpoint may have kept it, in its own types."""
        slots, prior = foreseen
        return SqairMemory(Slots(*slots), prior)

    def boxes(self, raw: Tensor) -> Tensor:
        """Boxes ``[..., 4]`` from z_where."""
        position, size = raw.split(2, -1)
        return torch.cat((torch.tanh(position), bounded(size, *self.config.object_size)), -1)

    def painted(self, presence: Tensor, raw: Tensor, what: Tensor) -> Candidates:
        """Objects from their latents.

        Args:
            presence: ``[B, n]``, 0 where there is none.
            raw: z_where ``[B, n, 4]``.
            what: ``[B, n, D]``.
        """
        where = self.boxes(raw)
        shape = (self.channels, *self.config.glimpse)
        glimpse = torch.sigmoid(self.decoder(what) + DARK).unflatten(-1, shape)
        seen = glimpse * presence[..., None, None, None]
        canvas = write_glimpses(seen, where, self.size, presence > 0.5)
        return Candidates(presence, raw, what, where, glimpse, canvas)

    def went_on(self, last: Slots, *latents: Tensor) -> Candidates:
        """Objects that went on, from the values of presence, where and what, slot after slot."""
        presence, raw, what = (torch.cat(latents[i::3], 1) for i in range(3))
        return self.painted(presence * last.presence, raw, what)

    def found(self, exists: Tensor, *latents: Tensor) -> Candidates:
        """What a step of discovery found; ``exists`` ``[B, 1]`` says whether it was taken."""
        presence, raw, what = latents
        return self.painted(presence * exists, raw, what)

    def room(self, went_on: Candidates | None, *found: Candidates) -> Tensor:
        """Whether another step of discovery is taken, 0 or 1 ``[B, 1]``.

        It is where the step before found something, and fewer than N objects are there.
        """
        there = self.there(went_on, *found)
        open_ = (there < self.config.objects).to(there)
        return open_ * found[-1].presence if found else open_

    def there(self, went_on: Candidates | None, *found: Candidates) -> Tensor:
        """How many objects are there so far ``[B, 1]``."""
        parts = [*found] if went_on is None else [went_on, *found]
        if not parts:
            return self.discovery.odds.new_zeros(1, 1)
        return torch.cat([part.presence for part in parts], 1).sum(1, keepdim=True)

    def after(self, last: Slots | None, went_on: Candidates | None, *found: Candidates) -> Slots:
        """The slots after a frame."""
        return joined(last, went_on, found)

    def canvas(self, *parts: Candidates) -> Tensor:
        """What objects add up to ``[B, C, H, W]``, 0 and more."""
        return torch.stack([part.canvas for part in parts]).sum(0)

    # ------------------------------------------------------------------ the generative program

    def forward(
        self,
        video: Tensor | None = None,
        *,
        memory: Memory | None = None,
        videos: int = 1,
        frames: int | None = None,
        discovery: Sequence[float | None] | None = None,
    ) -> Scene:
        """Run the program.

        Args:
            video: observed frames ``[B, T', C, H, W]`` in [0, 1]; none observes nothing.
            memory: after the frames before these, of the same videos; none begins anew.
            videos: B, where no video is given.
            frames: T; frames from T' on are not observed. T' by default.
            discovery: per frame, the probability that a step of discovery finds an object in place
                of the prior's own (none keeps it; 0 switches discovery off).

        Returns:
            The scene: objects of every frame and the rendered video.
        """
        videos, length, observed, rates = stretch_of(video, videos, frames, discovery)
        slots = prior = None
        if memory is not None:
            slots, prior = self.once(self.begin, memory.foreseen)
        states, images = [], []
        with pyro.plate("videos", videos, dim=-2):
            for t in range(length):
                went_on = None
                if slots is not None:
                    went_on, prior = self.propagate(t, slots, prior)
                found = self.discover(t, videos, slots is None, went_on, rates[t])
                slots = self.once(self.after, slots, went_on, *found)
                parts = found if went_on is None else [went_on, *found]
                image = self.once(self.canvas, *parts)
                pyro.sample(
                    f"x_{t}",
                    PixelNormal(image[:, None], self.config.sigma, event_dim=3),
                    obs=observed[t] if t < len(observed) else None,
                )
                states.append(slots)
                images.append(image.clamp(max=1.0))
        self.once.forget()
        assert slots is not None
        return Scene(tuple(states), torch.stack(images, 1), SqairMemory(slots, prior))

    def propagate(self, t: int, last: Slots, states: Tensor | None) -> tuple[Candidates, Tensor]:
        """Sites ``z_*_prop_*_t``, and the new states of the prior."""
        odds, where, where_scale, what, what_scale, states = self.propagation(last, states)
        latents = []
        for k in range(self.config.objects):
            one = slice(k, k + 1)
            look = diagonal_normal(what[:, one], what_scale[:, one])
            latents += sample_object(
                f"prop_{k}_{t}",
                dist.Bernoulli(logits=odds[:, one]),
                last.presence[:, one],
                diagonal_normal(where[:, one], where_scale[:, one]),
                look,
            )
        return self.once(self.went_on, last, *latents), states

    def discover(
        self, t: int, videos: int, first: bool, went_on: Candidates | None, rate: float | None
    ) -> list[Candidates]:
        """Sites ``z_*_disc_*_t``, step by step."""
        prior = self.discovery
        last = prior.beginning.expand(videos, -1)
        if went_on is None:
            summary = last.new_zeros(videos, prior.rnn.hidden_size)
        else:
            summary = prior.summary(went_on.presence, went_on.raw, went_on.what)
        state = prior.begin(summary)
        standard = last.new_zeros(videos, 1, self.config.what)
        what = diagonal_normal(standard, torch.ones_like(standard))
        found: list[Candidates] = []
        for k in range(self.config.objects):
            exists = self.once(self.room, went_on, *found)
            odds = prior.log_odds(first, self.once(self.there, went_on, *found))
            if not first:
                odds = odds + self.late_odds
            loc, scale, state = prior.place(last, state)
            presence = dist.Bernoulli(logits=odds.expand(videos, 1))
            if rate is not None:
                presence = dist.Bernoulli(probs=torch.full_like(standard[..., 0], rate))
            latents = sample_object(
                f"disc_{k}_{t}", presence, exists, diagonal_normal(loc, scale), what
            )
            found.append(self.once(self.found, exists, *latents))
            last = latents[1].squeeze(1)
        return found

    @torch.no_grad()
    def diagnostics(self, scene: Scene) -> dict[str, float]:
        """Figures of a scene for the log: objects a frame, discoveries a video."""
        presence = torch.stack([slots.presence for slots in scene.slots])
        found = torch.stack([slots.discovered for slots in scene.slots])
        frames, videos = presence.shape[:2]
        return {
            "objects": presence.sum().item() / (frames * videos),
            "discoveries": found.sum().item() / videos,
        }


def sample_object(
    suffix: str,
    presence: TorchDistribution,
    exists: Tensor,
    where: TorchDistribution,
    what: TorchDistribution | Callable[[Tensor], TorchDistribution],
) -> list[Tensor]:
    """The three sites of an object, which guide and model mask alike.

    Args:
        suffix: phase, number and frame.
        presence: of the object, ``[B, 1]``.
        exists: whether there is anything to ask, 0 or 1 ``[B, 1]``.
        where: of the object if it is there, ``[B, 1]``.
        what: likewise; a function of the value of where ``[B, 1, 4]``, where it depends on that.

    Returns:
        The values of presence, where and what.
    """
    with poutine.mask(mask=exists > 0.5):
        here = pyro.sample(f"z_pres_{suffix}", presence)
    with poutine.mask(mask=here * exists > 0.5):
        raw = pyro.sample(f"z_where_{suffix}", where)
        look = what if isinstance(what, Distribution) else what(raw)
        return [here, raw, pyro.sample(f"z_what_{suffix}", look)]


def build_model(config: SqairConfig) -> Sqair:
    """The program of a configuration."""
    return Sqair(config.model)
