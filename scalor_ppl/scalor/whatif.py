"""What if: take an object away, put it elsewhere, hold it still, and imagine the rest.

An intervention names an object by its identity, as the pictures label it, and frames as the
contact sheets count them, from 1: frame f is index f - 1 in the names of the program's sites.

======================  ============================================================================
``remove 3@7``          object 3 is gone in frame 7
``move 3@7 20,40``      its centre is at x 20, y 40 in frame 7, in pixels of the view from its upper
                        left corner; how it goes on from there is imagined. An object moves by less
                        than ``model.max_step`` a frame, so a longer way takes several frames:
``move 3@7-10 20,40``   it goes there in a straight line and arrives in frame 10
``freeze 3@7``          from frame 7 on all its latents stay what they were in frame 6
``freeze 3@7-10``       the same until frame 10, then it is imagined again
======================  ============================================================================

Of several interventions on an object in a frame, the one that began last is in force.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar

import torch
from pyro.poutine.runtime import apply_stack
from torch import Tensor, nn

from scalor_ppl.errors import UserError
from scalor_ppl.render.boxes import boxes_from_where, movement, where_from_boxes
from scalor_ppl.scalor.occupancy import Site, TrackerWatch, propagation_site
from scalor_ppl.scalor.slots import Trackers

FORMS = "remove ID@FRAME, move ID@FRAME X,Y, freeze ID@FRAME; or FRAME-FRAME in the last two"

_NUMBER = r"-?\d+(?:\.\d+)?"
_FORM = re.compile(
    rf"(?P<verb>\w+)\s+(?P<identity>\d+)@(?P<frame>\d+)(?:-(?P<last>\d+))?"
    rf"(?:\s+(?P<x>{_NUMBER})\s*,\s*(?P<y>{_NUMBER}))?"
)


@dataclass(frozen=True)
class Remove:
    """The object is gone in ``frame``: z_pres is 0, and it dies.

    Attributes:
        identity: of the object.
        frame: from 1, as contact sheets count; the same in all interventions.
    """

    identity: int
    frame: int

    kinds: ClassVar[frozenset[str]] = frozenset({"pres"})

    @property
    def end(self) -> int:
        """The last frame acted on: an object that is gone does not come back."""
        return self.frame

    def __str__(self) -> str:
        return f"remove {self.identity}@{self.frame}"

    def value(self, site: Site, natural: Tensor, trackers: Trackers, model: Any) -> Tensor:
        """No presence, whatever was drawn."""
        return model.presence.value(torch.zeros_like(natural))


@dataclass(frozen=True)
class Freeze:
    """From ``frame`` on all latents of the object stay what they were in the frame before.

    Attributes:
        identity: of the object.
        frame: the first in which it does not move.
        last: the last one; none for ever.
    """

    identity: int
    frame: int
    last: int | None = None

    kinds: ClassVar[frozenset[str]] = frozenset({"pres", "where", "depth", "what"})

    @property
    def end(self) -> int | None:
        """The last frame acted on; none for ever."""
        return self.last

    def __str__(self) -> str:
        until = "" if self.last is None else f"-{self.last}"
        return f"freeze {self.identity}@{self.frame}{until}"

    def value(self, site: Site, natural: Tensor, trackers: Trackers, model: Any) -> Tensor:
        """The value by which the latent stays as it was."""
        before = trackers.objects
        if site.kind == "pres":
            return model.presence.value(before.presence)
        if site.kind == "where":
            return torch.cat((torch.zeros_like(before.raw[..., :2]), before.raw[..., 2:]), -1)
        return getattr(before, site.kind)


@dataclass(frozen=True)
class Move:
    """The object's centre is at ``to`` in frame ``last``; it goes there in equal steps.

    Its presence is kept, so that it does not die on the way; size, depth and look are imagined.

    Attributes:
        identity: of the object.
        frame: of the first step.
        to: x and y in pixels of the view; 0, 0 is its upper left corner.
        last: the frame of arrival; by default ``frame``, a single step.
    """

    identity: int
    frame: int
    to: tuple[float, float]
    last: int | None = None

    kinds: ClassVar[frozenset[str]] = frozenset({"pres", "where"})

    @property
    def end(self) -> int:
        """The frame of arrival."""
        return self.frame if self.last is None else self.last

    def __str__(self) -> str:
        until = "" if self.end == self.frame else f"-{self.end}"
        return f"move {self.identity}@{self.frame}{until} {self.to[0]:g},{self.to[1]:g}"

    def value(self, site: Site, natural: Tensor, trackers: Trackers, model: Any) -> Tensor:
        """The movement that leads to this frame's place on the way."""
        before = trackers.objects
        if site.kind == "pres":
            return model.presence.value(before.presence)
        here = before.where[..., :2]
        steps = self.end - site.t
        way = self._goal(here, model) - here
        rows = _held(self, trackers)
        # Of several videos the one that has the longest way decides.
        needed, farthest = (way.abs() / model.step).amax(-1)[rows].max(0)
        # A thousandth of a step is given away: rounding must not refuse a way that just fits.
        if needed > 1.001 * steps:
            raise UserError(self._too_far(here[rows][farthest], site.t, math.ceil(needed), model))
        raw = movement(here, here + way / steps, model.step)
        return torch.cat((raw, natural[..., 2:]), -1)

    def _goal(self, like: Tensor, model: Any) -> Tensor:
        height, width = model.size
        x, y = self.to
        if not (0 <= x <= width and 0 <= y <= height):
            raise UserError(
                f"{self}: give a place inside the view, which is {width} pixels wide "
                f"and {height} high"
            )
        return where_from_boxes(like.new_tensor([x, y, 0.0, 0.0]), model.size)[:2]

    def _too_far(self, here: Tensor, frame: int, needed: int, model: Any) -> str:
        x, y = _pixels(here, model.size)
        height, width = model.size
        across, down = (model.step / 2).tolist()
        slower = Move(self.identity, self.frame, self.to, frame + needed)
        return (
            f"{self}: object {self.identity} is at {x:.1f},{y:.1f} in frame {frame} and "
            f"goes at most {across * width:.1f} pixels across and {down * height:.1f} down a "
            f'frame; let it arrive later: "{slower}"'
        )


Intervention = Remove | Move | Freeze


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
        _check(self.interventions)

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
                wanted = each.value(site, natural["value"], trackers, self.model)
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


def parse_intervention(text: str) -> Intervention:
    """An intervention from its words, e.g. ``move 3@7 20,40``.

    Raises:
        UserError: it has none of the forms.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise UserError(f"--do {text!r}: give one of: {FORMS}")
    identity, frame = int(match["identity"]), int(match["frame"])
    last = None if match["last"] is None else int(match["last"])
    place = None if match["x"] is None else (float(match["x"]), float(match["y"]))
    made: Intervention
    if match["verb"] == "remove" and last is None and place is None:
        made = Remove(identity, frame)
    elif match["verb"] == "move" and place is not None:
        made = Move(identity, frame, place, frame if last is None else last)
    elif match["verb"] == "freeze" and place is None:
        made = Freeze(identity, frame, last)
    else:
        raise UserError(f"--do {text!r}: give one of: {FORMS}")
    return made


def check_imagined(interventions: Sequence[Intervention], observed: int, frames: int) -> None:
    """Complain about interventions on frames that are seen, or that there are not.

    Args:
        interventions: what is to be done.
        observed: frames that are seen.
        frames: frames in all.

    Raises:
        UserError: there are such. What is seen is explained by the guide, whose latents of the
            later frames would contradict the intervention.
    """
    for each in interventions:
        end = each.frame if each.end is None else max(each.frame, each.end)
        if each.frame <= observed or end > frames:
            raise UserError(
                f"{each}: frames {observed + 1} to {frames} are imagined and can be acted on "
                f"({observed} are observed)"
            )


def _check(interventions: Sequence[Intervention]) -> None:
    begun: dict[tuple[int, int], Intervention] = {}
    for each in interventions:
        if each.frame < 2:
            raise UserError(f"{each}: the first frame that can be acted on is 2")
        if each.end is not None and each.end < each.frame:
            raise UserError(f"{each}: the last frame comes before the first")
        other = begun.setdefault((each.identity, each.frame), each)
        if other is not each:
            raise UserError(f'"{other}" and "{each}" begin in the same frame: leave one out')


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
