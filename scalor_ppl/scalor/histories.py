"""Draws of a posterior, kept for training priors: the latents of many clips and what came of them.

The gradient of the bound with respect to a prior's parameters, given the guide, is that of
log p(z) at draws of the guide: neither rendering nor the guide is needed once they are there.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from pyro import poutine
from pyro.poutine import Trace
from torch import Tensor

from scalor_ppl.scalor.priors import Discovered, Transitions, log_density
from scalor_ppl.scalor.priors.turning_points import TrackedStretches
from scalor_ppl.scalor.slots import Latents, Objects, Trackers

# Frames after which an object looks as it does from there on; within which it may be seen whole.
SETTLED, WITHIN = 5, 12
# Movements whose median shows how fast an object is.
MOVES = 5
# Boxes count as so large, against the edges of the view and each other, for an object seen whole.
TOLERANCE = 0.9
# Frames in which it is seen how an object turns round: a step before, the turn, a step after.
STRETCH = 4
# Below this a movement has no direction.
LEAST_MOVE = 1e-6


class Moment(NamedTuple):
    """The latents of one frame.

    Attributes:
        trackers: after the frame, without glimpses; ``origin`` is ``[B, K]``, the row within the
            video's own slots and proposals.
        tracked: objects propagated to it, without glimpses; none in the first frame.
        moved: values of the propagation sites; none in the first frame.
        proposed: values of the discovery sites.
        backdrop: z_bg ``[B, E]``; none where the model has no background.
    """

    trackers: Trackers
    tracked: Objects | None
    moved: Latents | None
    proposed: Latents
    backdrop: Tensor | None


History = Sequence[Moment]
"""The moments of B clips, one per frame."""


@torch.no_grad()
def drawn(model: Any, guide: Any, *inputs: Tensor) -> list[Moment]:
    """A draw of the guide for each clip.

    Args:
        model, guide: the program, in evaluation, with hard presence.
        inputs: of the guide: the video ``[B, T, C, H, W]``, and where crops lie.
    """
    with poutine.trace() as traced:
        states = guide(*inputs).trackers
    model.once.forget()
    return moments_of(model, traced.trace, states)


@torch.no_grad()
def moments_of(model: Any, trace: Trace, states: Sequence[Trackers]) -> list[Moment]:
    """The latents of a trace, of guide or model.

    Args:
        model: the program, with hard presence.
        trace: of all frames.
        states: the trackers of each.
    """
    nodes = trace.nodes

    def latents(suffix: str) -> Latents:
        names = ("pres", "where", "depth", "what")
        return Latents(*(nodes[f"z_{name}_{suffix}"]["value"] for name in names))

    moments: list[Moment] = []
    for t, trackers in enumerate(states):
        moved = tracked = None
        if t:
            moved = latents(f"prop_{t}")
            before = moments[-1].trackers
            where = model.moved_where(before, moved.where)
            weight = model.presence.weight(moved.presence) * before.alive
            none = where.new_zeros(*where.shape[:2], 0)
            tracked = Objects(weight, where, moved.where, moved.depth, moved.what, none, where)
        backdrop = nodes[f"z_bg_{t}"]["value"].squeeze(1) if model.background else None
        videos, slots = trackers.alive.shape
        base = torch.arange(videos, device=trackers.origin.device)[:, None] * candidates(model, t)
        objects = trackers.objects
        slim = trackers._replace(
            objects=objects._replace(glimpse=objects.what.new_zeros(videos, slots, 0)),
            origin=trackers.origin.unflatten(0, (videos, slots)) - base,
        )
        moments.append(Moment(slim, tracked, moved, latents(f"disc_{t}"), backdrop))
    return moments


def candidates(model: Any, t: int) -> int:
    """How many slots and proposals of a video compete for its slots in frame t."""
    return model.proposals + (model.config.capacity if t else 0)


class Anticipated(NamedTuple):
    """What a propagation prior foresees of a frame, at draws of a posterior.

    Attributes:
        state: of the prior ``[B, K, hidden]``, after the frame before.
        trackers: of the frame before, ``origin`` as :meth:`carry` takes it.
    """

    state: Tensor
    trackers: Trackers


def foreseen(model: Any, history: History) -> list[Anticipated]:
    """Before each frame of a history but the first, what its propagation prior knows."""
    found: list[Anticipated] = []
    h: Tensor | None = None
    for t, now in enumerate(history[:-1]):
        trackers = placed(model, now.trackers, t)
        newborn = model.propagation.initial((len(trackers.alive), model.proposals))
        h = model.propagation.update(model.carry(trackers, h, newborn), trackers)
        found.append(Anticipated(h, trackers))
    return found


def placed(model: Any, trackers: Trackers, t: int) -> Trackers:
    """Trackers of frame t with ``origin`` in all slots and proposals of the batch, ``[B K]``."""
    videos = len(trackers.alive)
    base = torch.arange(videos, device=trackers.origin.device)[:, None] * candidates(model, t)
    return trackers._replace(origin=(trackers.origin + base).flatten())


def density_by_part(
    model: Any, history: History, known: Sequence[Anticipated] | None = None
) -> dict[str, Tensor]:
    """log p(z) of a history by prior, ``[B]`` each: ``propagation``, ``discovery``, ``background``.

    What absent proposals would be is left out: the guide cancels it.

    Args:
        model: the program, with hard presence.
        history: of B clips.
        known: as :func:`foreseen` has it, where that was asked already.
    """
    videos = len(history[0].proposed.presence)
    nothing = model.centres.new_zeros(videos)
    parts = {"propagation": nothing, "discovery": nothing, "background": nothing}
    known = foreseen(model, history) if known is None else known
    state = None if model.background is None else model.background.initial(videos)
    last: Tensor | None = None
    for t, now in enumerate(history):
        if t:
            assert now.moved is not None
            h, trackers = known[t - 1]
            found = log_density(model.propagation(model.presence, h, trackers), now.moved)
            moved = torch.where(trackers.alive, found, torch.zeros_like(found)).sum(-1)
            parts["propagation"] = parts["propagation"] + moved
        found = model.discovery.log_density(model.presence, now.proposed, t, now.tracked)
        parts["discovery"] = parts["discovery"] + found
        if state is not None:
            assert now.backdrop is not None
            prior = model.background(state, last, now.trackers.objects)
            found = prior.log_prob(now.backdrop[:, None]).squeeze(-1)
            parts["background"] = parts["background"] + found
            last = now.backdrop
            state = model.background.update(state, last)
    return parts


def found_objects(history: History) -> Discovered:
    """What was discovered in the frames of a history, and tracked from there on."""
    rest, settled, whole, cells, first = [], [], [], [], []
    for t, now in enumerate(history):
        video, cell, slot = accepted(now).nonzero(as_tuple=True)
        looks, seen = _settled(now.trackers, history[t:])
        settled.append(looks[video, slot])
        whole.append(seen[video, slot])
        rest.append(now.proposed.rest[video, cell])
        cells.append(cell)
        first.append(torch.full_like(cell, t == 0, dtype=torch.bool))
    return Discovered(*(torch.cat(parts) for parts in (rest, settled, whole, cells, first)))


def _settled(trackers: Trackers, ahead: History) -> tuple[Tensor, Tensor]:
    """Size, depth and looks on average over the first frames of what is tracked.

    Of what is soon seen whole these are the first frames in which it is, as what is cut by an edge
    or covered is what it is only while it is there.

    Args:
        trackers: of the first frame.
        ahead: from that frame on.

    Returns:
        ``[B, K, 3 + D]``, and whether it is soon seen whole, bool ``[B, K]``.
    """
    rest = trackers.objects.rest
    total, whole = torch.zeros_like(rest), torch.zeros_like(rest)
    count, wholes = total[..., :1], whole[..., :1]
    for t, later in enumerate(ahead[:WITHIN]):
        same = same_object(trackers, later.trackers, later.trackers.alive)
        found, there = same.to(rest) @ later.trackers.objects.rest, same.sum(-1, keepdim=True)
        if t < SETTLED:
            total, count = total + found, count + there
        seen = (same & seen_whole(later.trackers)[:, None]).sum(-1, keepdim=True)
        seen = torch.where(wholes < SETTLED, seen, torch.zeros_like(seen))
        whole, wholes = whole + seen * found, wholes + seen
    looks = torch.where(wholes > 0, whole / wholes.clamp(min=1), total / count.clamp(min=1))
    return looks, wholes.squeeze(-1) > 0


def same_object(trackers: Trackers, others: Trackers, there: Tensor) -> Tensor:
    """Which tracker of others is whose, of those there ``[B, K]``: bool ``[B, K, K]``."""
    return (others.ids[:, None] == trackers.ids[..., None]) & there[:, None]


def seen_whole(trackers: Trackers) -> Tensor:
    """Which trackers lie in view, and no other's box reaches into their own, bool ``[B, K]``."""
    centre, size = trackers.objects.where.split(2, -1)
    apart = (centre[:, :, None] - centre[:, None]).abs()
    meet = (apart < TOLERANCE * (size[:, :, None] + size[:, None])).all(-1) & trackers.alive[
        :, None
    ]
    oneself = torch.eye(meet.shape[-1], dtype=torch.bool, device=meet.device)
    return trackers.alive & in_view(trackers) & ~(meet & ~oneself).any(-1)


def in_view(trackers: Trackers) -> Tensor:
    """Whose boxes no edge cuts, bool ``[B, K]``."""
    centre, size = trackers.objects.where.split(2, -1)
    return (centre.abs() + TOLERANCE * size <= 1).all(-1)


def accepted(moment: Moment) -> Tensor:
    """Which proposal became which tracked object, bool ``[B, N, K]``."""
    trackers = moment.trackers
    same = (moment.proposed.what[:, :, None] == trackers.objects.what[:, None]).all(-1)
    same = same & (moment.proposed.presence[..., None] > 0.5)
    return same & (trackers.discovered & trackers.alive)[:, None]


def without_rejected(history: History) -> list[Moment]:
    """The history as if nothing had been proposed but what was accepted."""
    return [
        now._replace(
            proposed=now.proposed._replace(presence=now.proposed.presence * accepted(now).any(-1))
        )
        for now in history
    ]


def transitions_of(history: History) -> Transitions:
    """What became of the tracked objects from each frame to the next."""
    rest, moves, changes, first, settled = [], [], [], [], []
    for t, (before, now) in enumerate(pairwise(history)):
        assert now.moved is not None
        trackers = before.trackers
        goes_on = trackers.alive & (now.moved.presence > 0.5)
        was = trackers.objects.rest
        rest.append(was[goes_on])
        moves.append(now.moved.where[..., :2][goes_on])
        changes.append(now.moved.rest[goes_on] - was[goes_on])
        first.append(trackers.discovered[goes_on])
        settled.append(settled_moves(trackers, history[t:])[goes_on])
    parts = rest, moves, changes, first, settled
    return Transitions(*(torch.cat(each) for each in parts))


def stretches_of(history: History) -> TrackedStretches:
    """Where tracked objects are in four successive frames, in view as a whole in the middle ones.

    None of shorter clips.
    """
    objects = history[0].trackers.objects
    none = objects.where.new_zeros(0, 2)
    parts = [TrackedStretches(none.expand(STRETCH, 0, 2), none, objects.rest[0, :0])]
    for t in range(len(history) - STRETCH + 1):
        _, now, turned, _ = four = [moment.trackers for moment in history[t : t + STRETCH]]
        same = [same_object(now, other, other.alive) for other in four]
        there = now.alive & in_view(now) & (same[2] & in_view(turned)[:, None]).any(-1)
        for which in same:
            there = there & which.any(-1)
        found = [
            which.to(now.objects.where) @ other.objects.where[..., :2]
            for which, other in zip(same, four, strict=True)
        ]
        places = torch.stack(found)[:, there]
        parts.append(
            TrackedStretches(places, now.objects.where[..., 2:][there], now.objects.rest[there])
        )
    return TrackedStretches(
        torch.cat([each.places for each in parts], 1),
        torch.cat([each.sizes for each in parts]),
        torch.cat([each.rest for each in parts]),
    )


def settled_moves(trackers: Trackers, ahead: History) -> Tensor:
    """How what is tracked moves in the next frames, without jitter, ``[B, K, 2]``.

    The median of the movements, as fast as the median of the speeds: where an object swerves its
    movements are faster than what they come to.

    Args:
        trackers: of the first frame.
        ahead: from that frame on.
    """
    found = []
    for before, now in pairwise(ahead[: MOVES + 1]):
        assert now.moved is not None
        goes_on = before.trackers.alive & (now.moved.presence > 0.5)
        same = same_object(trackers, before.trackers, goes_on)
        move = same.to(now.moved.where) @ now.moved.where[..., :2]
        found.append(move.masked_fill(~same.any(-1, keepdim=True), torch.nan))
    moves = torch.stack(found)
    way = moves.nanmedian(0).values
    speed = moves.norm(dim=-1, keepdim=True).nanmedian(0).values
    return way * speed / way.norm(dim=-1, keepdim=True).clamp(min=LEAST_MOVE)


def chosen(history: History, rows: Tensor) -> list[Moment]:
    """The histories of some of the clips, in this order: int64 ``[b]``."""
    return [_changed((moment,), lambda parts: parts[0].index_select(0, rows)) for moment in history]


def joined(histories: Sequence[History]) -> list[Moment]:
    """Histories of several batches of clips, of equal length, as one."""
    return [
        _changed(moments, lambda parts: torch.cat([*parts]))
        for moments in zip(*histories, strict=True)
    ]


def _changed(moments: Sequence[Any], change: Callable[[Sequence[Tensor]], Tensor]) -> Any:
    """Trees of named tuples, as one tree of what becomes of each tensor; nothing stays nothing."""
    first = moments[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return change(moments)
    return type(first)(*(_changed(parts, change) for parts in zip(*moments, strict=True)))
