"""The amortized posterior of SQAIR (Kosiorek et al., NeurIPS 2018), section 3.2.

    q(z_1:T | x_1:T) = prod_t  q(z^P_t | z_<t, x_t)              propagation, object by object
                               q(z^D_t | z^P_t, x_t)             discovery, object by object

Propagation: each object has a recurrent state of its own over time, and a second RNN goes over the
objects of a frame in order, so that each is told of those before it (relation). It looks where the
object is expected, says whether the object goes on and where it is, and looks again there for what
it is. It sees what the objects before it leave unexplained (``guide.difference``) or the frame as
it is: two objects that both see the whole frame end on one of two digits.

Discovery: an RNN finds one object a step, as in AIR (Eslami et al. 2016): whether there is one,
where, and, through a glimpse there, what. It is told of the objects that went on, and sees
what the objects so far leave unexplained (``guide.difference``) or the frame as it is.

Presence comes before where and what, where the authors' code draws it after them: what does not
exist is then known to have no density before it is drawn.
"""

from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from scalor_ppl.models.sqair import Sqair, sample_object
from scalor_ppl.nn.distributions import diagonal_normal
from scalor_ppl.programs import Memory
from scalor_ppl.sqair import SqairConfig
from scalor_ppl.sqair.finding import DiscoveryCell
from scalor_ppl.sqair.following import PropagationCell
from scalor_ppl.sqair.posterior_networks import FrameEncoder, FrameFeatures, GlimpseReader
from scalor_ppl.sqair.priors import Summary
from scalor_ppl.sqair.settings import SqairGuideSettings
from scalor_ppl.sqair.slots import Candidates, Slots, carried


class Inferred(NamedTuple):
    """What one run of the guide made.

    Attributes:
        slots: the objects, one per frame.
        memory: the objects' own states in their slots before the last frame ``[B, N, hidden]``;
            none after one frame.
    """

    slots: tuple[Slots, ...]
    memory: Tensor | None


class SqairGuide(nn.Module):
    """The guide. Holds the model by reference, not as a part of itself.

    Args:
        config: of the guide.
        model: the program whose posterior this is.
    """

    def __init__(self, config: SqairGuideSettings, model: Sqair) -> None:
        super().__init__()
        # In a list, so that the model's parameters are not counted as the guide's.
        self._model = [model]
        self.config = config
        shape, wide = model.config, config.hidden
        self.encoder = FrameEncoder(model.channels, model.size, config.maps, wide)
        self.reader = GlimpseReader(model.channels, shape.glimpse, shape.what, wide)
        self.summary = Summary(shape.what, wide)
        grid, maps = self.encoder.grid, config.maps
        self.discovery = DiscoveryCell(shape.what, grid, maps, wide, config.discover)
        self.propagation = PropagationCell(
            shape.what, grid, maps, shape.glimpse, wide, config.propagate
        )

    @property
    def model(self) -> Sqair:
        """The program."""
        return self._model[0]

    def forward(self, video: Tensor, *, memory: Memory | None = None, **_: Any) -> Inferred:
        """Sample the posterior of the observed frames.

        Args:
            video: ``[B, T, C, H, W]`` in [0, 1]. The model's other arguments change nothing here.
            memory: after the frames before these; none begins anew.

        Returns:
            The objects, and what to go on with.
        """
        model = self.model
        model.once.forget()
        slots = states = None
        if memory is not None:
            slots, _prior = model.once(model.begin, memory.foreseen)
            states = memory.seen
        shown = self.shown(video)
        after = []
        with pyro.plate("videos", len(video), dim=-2):
            for t, frame in enumerate(video.unbind(1)):
                went_on = None
                if slots is not None:
                    went_on, states = self.propagate(t, frame, shown[t], slots, states)
                found = self.discover(t, frame, shown[t], went_on)
                slots = model.once(model.after, slots, went_on, *found)
                after.append(slots)
        return Inferred(tuple(after), states)

    def look(
        self, frame: Tensor, raw: Tensor, attention: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of z_what as seen at z_where; see the reader."""
        return self.reader.what(self.reader(frame, self.model.boxes(raw), attention))

    def shown(self, video: Tensor) -> list[FrameFeatures]:
        """What is seen of the frames of a video ``[B, T, C, H, W]``, as they are."""
        seen = self.encoder(video.flatten(0, 1))
        parts = (part.unflatten(0, video.shape[:2]).unbind(1) for part in seen)
        return [FrameFeatures(*frame) for frame in zip(*parts, strict=True)]

    # ------------------------------------------------------------------ propagation

    def propagate(
        self,
        t: int,
        frame: Tensor,
        shown: FrameFeatures,
        last: Slots,
        states: Tensor | None,
    ) -> tuple[Candidates, Tensor]:
        """Sites ``z_*_prop_*_t``, and the objects' own new states.

        Args:
            t: number of the frame.
            frame: ``[B, C, H, W]``.
            shown: what is seen of it.
            last: the slots after the frame before.
            states: the objects' own, in the slots before that; none after the first frame.
        """
        model, cell = self.model, self.propagation
        memory = carried(states, cell.newborn, last.order)
        relation = cell.beginning.expand(len(frame), -1)
        before = frame.new_zeros(len(frame), model.config.what + 5)
        left, seen = frame, shown
        latents: list[Tensor] = []
        remembered = []
        for k in range(model.config.objects):
            one = slice(k, k + 1)
            own, last_raw, last_what = memory[:, k], last.raw[:, k], last.what[:, one]
            expected = cell.expected(seen, last.raw[:, one], memory[:, one])
            looks = self.reader(left, model.boxes(expected.raw), expected.attention)
            place, there = expected.raw[:, 0], expected.there[:, 0]
            relation = cell.relate(
                looks[:, 0],
                there,
                before,
                last_what[:, 0],
                last_raw,
                place - last_raw,
                own,
                state=relation,
            )
            exists = last.presence[:, one]
            odds = cell.presence(torch.cat((relation, own), -1))

            def appearance(
                raw: Tensor,
                left: Tensor = left,
                attention: Tensor = expected.attention,
                relation: Tensor = relation,
                own: Tensor = own,
                last_what: Tensor = last_what,
            ) -> TorchDistribution:
                look = self.look(left, raw, attention)
                loc, scale, own = cell.changed(last_what, look, raw, relation, own)
                remembered.append(own)
                return diagonal_normal(loc, scale)

            values = sample_object(
                f"prop_{k}_{t}",
                dist.Bernoulli(logits=odds),
                exists,
                diagonal_normal(*cell.moved(last_raw, place[:, :2], relation, own)),
                appearance,
            )
            latents += values
            before = here_only(exists, *values)
            if self.config.difference and k + 1 < model.config.objects:
                here, raw, what = values
                left = left - model.painted(here * exists, raw, what).canvas
                seen = self.encoder(left)
        return model.once(model.went_on, last, *latents), torch.stack(remembered, 1)

    # ------------------------------------------------------------------ discovery

    def discover(
        self, t: int, frame: Tensor, shown: FrameFeatures, went_on: Candidates | None
    ) -> list[Candidates]:
        """Sites ``z_*_disc_*_t``, step by step.

        Args:
            t: number of the frame.
            frame: ``[B, C, H, W]``.
            shown: what is seen of it.
            went_on: the objects that went on; none in the first frame.
        """
        model, cell = self.model, self.discovery
        state = cell.beginning.expand(len(frame), -1)
        summary = torch.zeros_like(state)
        if went_on is not None:
            summary = self.summary(went_on.presence, went_on.raw, went_on.what)
        last = frame.new_zeros(len(frame), model.config.what + 5)
        found: list[Candidates] = []
        for k in range(model.config.objects):
            exists = model.once(model.room, went_on, *found)
            parts = found if went_on is None else [went_on, *found]
            seen = shown
            if self.config.difference and parts:
                seen = self.encoder(frame - model.once(model.canvas, *parts))
            whole = self.encoder.whole(seen)
            odds, loc, scale, state = cell(seen, whole, summary, last[:, :-1], state)
            if went_on is not None:
                odds = odds + model.late_odds
            values = sample_object(
                f"disc_{k}_{t}",
                dist.Bernoulli(logits=odds),
                exists,
                diagonal_normal(loc, scale),
                lambda raw: diagonal_normal(*self.look(frame, raw)),
            )
            last = here_only(exists, *values)
            found.append(model.once(model.found, exists, *values))
        return found


def here_only(exists: Tensor, presence: Tensor, raw: Tensor, what: Tensor) -> Tensor:
    """What, where and presence of an object side by side ``[B, D + 5]``; zeros where it is not."""
    code = torch.cat((what[:, 0], raw[:, 0], torch.ones_like(presence)), -1)
    return code * (presence * exists)


def build_guide(config: SqairConfig, model: Sqair) -> SqairGuide:
    """The guide of a configuration."""
    return SqairGuide(config.guide, model)
