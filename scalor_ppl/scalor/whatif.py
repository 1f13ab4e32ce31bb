"""What if: interventions on single objects while SCALOR runs.

What they are stands in :mod:`scalor_ppl.inference.interventions`; here they act on the program's
sites.
"""

import math
from collections.abc import Iterable
from functools import singledispatch
from types import TracebackType
from typing import Any

import torch
from pyro.poutine.runtime import apply_stack
from torch import Tensor, nn

from scalor_ppl.errors import UserError
from scalor_ppl.inference.interventions import Freeze, Intervention, Move, Remove, check_order
from scalor_ppl.render.boxes import boxes_from_where, movement, where_from_boxes
from scalor_ppl.scalor.occupancy import Site, TrackerWatch, propagation_site
from scalor_ppl.scalor.slots import Trackers


class Intervene(TrackerWatch):
    """Pyro's ``do`` on the latents of single objects, found by identity as the program runs.

    As with ``poutine.do``, a site acted on is split in two. One value is drawn as usual (or
    replayed, or conditioned) and is what a trace around this handler sees. The program goes on with
    the other, changed in the slot that holds the object and nowhere else; it has no density, and a
    trace inside sees it as ``z_..._prop_{t}__CF``. For comparisons with a run without intervention
    add :class:`scalor_ppl.scalor.noise.SameNoise`.

    In a batch an intervention acts on every video that has the object. Frame 1 has discoveries
    only, so frame 2 is the first to act on. Frames that are replayed from a guide should be left
    alone: the guide's latents of later frames are in the order of its own slots.

    Args:
        model: the program.
        interventions: what to do.

    Raises:
        UserError: two interventions begin on one object in one frame. In the run: there is no such
            object, or its way is too long. At the end of the block: a frame was never reached.
    """

    def __init__(self, model: nn.Module, interventions: Iterable[Intervention]) -> None:
        super().__init__(model)
        if not isinstance(getattr(model, "propagation", None), nn.Module):
            raise UserError("what-if needs a program with a module `propagation`, its prior")
        # Later ones come last and have the last word.
        self.interventions = sorted(interventions, key=lambda each: each.frame)
        self._begun: set[Intervention] = set()
        # While a site is drawn as usual. Pyro marks the message instead, and runs for ever where
        # two handlers act on one site.
        self._drawing = False
        check_order(self.interventions)

    def __enter__(self) -> "Intervene":
        self._begun.clear()
        super().__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(exc_type, exc_value, traceback)
        missed = [each for each in self.interventions if each not in self._begun]
        if missed and exc_type is None:
            raise UserError(f"{missed[0]}: the program was not run as far as this frame")

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        site, trackers = propagation_site(msg), self.trackers
        if site is None or trackers is None or self._drawing:
            return
        acting = [each for each in self._in_force(site.t + 1) if site.kind in each.kinds]
        rows = [(each, self._rows(each, site, trackers)) for each in acting]
        if not any(bool(held.any()) for _, held in rows):
            return

        # As in Pyro's DoMessenger: draw the site as if nothing were to happen ...
        natural = msg.copy()
        natural["cond_indep_stack"] = ()  # or it would enter the plates twice
        self._drawing = True
        try:
            apply_stack(natural)
        finally:
            self._drawing = False
        # ... and give the program another value, under a name of its own.
        value = natural["value"]
        for each, held in rows:
            if bool(held.any()):
                wanted = value_of(each, site, natural["value"], trackers, self.model)
                value = torch.where(held.view(*held.shape, *[1] * (value.dim() - 2)), wanted, value)
        msg["name"] += "__CF"
        msg["value"] = value
        msg["is_observed"] = True
        msg["mask"] = False
        msg["stop"] = True

    def _in_force(self, frame: int) -> Iterable[Intervention]:
        """The interventions of a frame: of each object, the one that began last."""
        current = {}
        for each in self.interventions:
            if each.frame <= frame and (each.end is None or frame <= each.end):
                current[each.identity] = each
        return current.values()

    def _rows(self, each: Intervention, site: Site, trackers: Trackers) -> Tensor:
        """The slots to act on ``[B, K]``.

        Raises:
            UserError: there are none, and the object had to be there.
        """
        rows = _held(each, trackers)
        # An object may leave while it is frozen (removed, or out of slots); that is no mistake.
        if not rows.any() and (isinstance(each, Move) or site.t + 1 == each.frame):
            there = _listed(trackers, self.model.size)
            raise UserError(
                f"{each}: no object {each.identity} comes into frame {site.t + 1}; "
                f"in frame {site.t} there {there}"
            )
        self._begun.add(each)
        return rows


@singledispatch
def value_of(
    each: Intervention, site: Site, natural: Tensor, trackers: Trackers, model: Any
) -> Tensor:
    """The value that an intervention gives a site's latents, in all slots.

    Args:
        each: what is done.
        site: of the frame acted on.
        natural: what was drawn.
        trackers: after the frame before.
        model: the program.
    """
    raise NotImplementedError(type(each).__name__)


@value_of.register
def _(each: Remove, site: Site, natural: Tensor, trackers: Trackers, model: Any) -> Tensor:
    # No presence, whatever was drawn.
    return model.presence.value(torch.zeros_like(natural))


@value_of.register
def _(each: Freeze, site: Site, natural: Tensor, trackers: Trackers, model: Any) -> Tensor:
    # The value by which the latent stays as it was.
    before = trackers.objects
    if site.kind == "pres":
        return model.presence.value(before.presence)
    if site.kind == "where":
        return torch.cat((torch.zeros_like(before.raw[..., :2]), before.raw[..., 2:]), -1)
    return getattr(before, site.kind)


@value_of.register
def _(each: Move, site: Site, natural: Tensor, trackers: Trackers, model: Any) -> Tensor:
    # The movement that leads to this frame's place on the way.
    before = trackers.objects
    if site.kind == "pres":
        return model.presence.value(before.presence)
    here = before.where[..., :2]
    steps = each.end - site.t
    way = _goal(each, here, model) - here
    rows = _held(each, trackers)
    # Of several videos the one that has the longest way decides.
    needed, farthest = (way.abs() / model.step).amax(-1)[rows].max(0)
    # A thousandth of a step is given away: rounding must not refuse a way that just fits.
    if needed > 1.001 * steps:
        raise UserError(_too_far(each, here[rows][farthest], site.t, math.ceil(needed), model))
    raw = movement(here, here + way / steps, model.step)
    return torch.cat((raw, natural[..., 2:]), -1)


def _goal(each: Move, like: Tensor, model: Any) -> Tensor:
    height, width = model.size
    x, y = each.to
    if not (0 <= x <= width and 0 <= y <= height):
        raise UserError(
            f"{each}: give a place inside the view, which is {width} pixels wide and {height} high"
        )
    return where_from_boxes(like.new_tensor([x, y, 0.0, 0.0]), model.size)[:2]


def _too_far(each: Move, here: Tensor, frame: int, needed: int, model: Any) -> str:
    x, y = _pixels(here, model.size)
    height, width = model.size
    across, down = (model.step / 2).tolist()
    slower = Move(each.identity, each.frame, each.to, frame + needed)
    return (
        f"{each}: object {each.identity} is at {x:.1f},{y:.1f} in frame {frame} and "
        f"goes at most {across * width:.1f} pixels across and {down * height:.1f} down a "
        f'frame; let it arrive later: "{slower}"'
    )


def _held(each: Intervention, trackers: Trackers) -> Tensor:
    """Slots ``[B, K]`` that hold an intervention's object."""
    return trackers.alive & (trackers.ids == each.identity)


def _pixels(position: Tensor, size: tuple[int, int]) -> tuple[float, float]:
    """A centre in image coordinates ``[2]`` as pixels of the view."""
    x, y, _, _ = boxes_from_where(torch.cat((position, torch.zeros_like(position))), size).tolist()
    return x, y


def _listed(trackers: Trackers, size: tuple[int, int]) -> str:
    """The live objects and their centres, in words."""
    places: dict[int, str] = {}
    for video, slot in trackers.alive.nonzero().tolist():
        x, y = _pixels(trackers.objects.where[video, slot, :2], size)
        places.setdefault(int(trackers.ids[video, slot]), f"{x:.0f},{y:.0f}")
    if not places:
        return "is none"
    return "are " + "; ".join(f"{identity} at {places[identity]}" for identity in sorted(places))
