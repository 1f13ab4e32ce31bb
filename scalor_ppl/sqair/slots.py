"""Objects in slots: those that went on and those just found, in one row, with their identities.

Everything here is a pure function of tensors with static shapes. Model and guide call the same
functions, so that they cannot disagree. Shapes: B videos, N slots.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Candidates(NamedTuple):
    """Objects of a frame, before they are put into slots.

    Attributes:
        presence: ``[B, n]``, 1 where the object is there and 0 elsewhere.
        raw: ``[B, n, 4]``, z_where: position and size before they are bounded.
        what: ``[B, n, D]``.
        where: boxes ``[B, n, 4]`` in the convention of :mod:`scalor_ppl.render.boxes`.
        glimpse: ``[B, n, C, h, w]`` in [0, 1].
        canvas: what they add to the frame, ``[B, C, H, W]``.
    """

    presence: Tensor
    raw: Tensor
    what: Tensor
    where: Tensor
    glimpse: Tensor
    canvas: Tensor


class Slots(NamedTuple):
    """The objects after a frame. Those that are there come first.

    Attributes:
        presence: ``[B, N]``, 1 where the slot holds an object and 0 elsewhere.
        raw, what, where, glimpse: as in :class:`Candidates`.
        ids: ``[B, N]`` int64, unique within a video for ever; -1 where there is none.
        discovered: ``[B, N]`` bool, found in this frame.
        next_id: ``[B]`` int64: the first identity that was never given.
        order: ``[B, N]`` int64: which of the candidates each slot holds, see :func:`taken`.
    """

    presence: Tensor
    raw: Tensor
    what: Tensor
    where: Tensor
    glimpse: Tensor
    ids: Tensor
    discovered: Tensor
    next_id: Tensor
    order: Tensor

    @property
    def mask(self) -> Tensor:
        """How far glimpses cover their pixels: their brightest channel ``[B, N, 1, h, w]``."""
        return self.glimpse.amax(2, keepdim=True)


def taken(candidates: Tensor, order: Tensor) -> Tensor:
    """Rows of ``[B, n, ...]`` in the order ``[B, N]`` of slots."""
    index = order.view(*order.shape, *[1] * (candidates.dim() - 2))
    return candidates.gather(1, index.expand(*order.shape, *candidates.shape[2:]))


def joined(before: Slots | None, went_on: Candidates | None, found: Sequence[Candidates]) -> Slots:
    """The slots after a frame: objects that went on, then those just found, without gaps.

    Args:
        before: slots after the last frame; none in the first.
        went_on: their objects in this frame; none in the first.
        found: those of each step of discovery, ``n = 1``. No more are there than there is room for.
    """
    parts = [*found] if went_on is None else [went_on, *found]

    def row(field: str) -> Tensor:
        return torch.cat([getattr(part, field) for part in parts], 1)

    presence = row("presence")
    with torch.no_grad():
        count = len(found)
        order = torch.argsort(presence, dim=1, descending=True, stable=True)[:, :count]
        here = presence.gather(1, order) > 0.5
        if before is None:
            known = torch.full_like(order, -1)
            next_id = torch.zeros_like(order[:, 0])
        else:
            new = torch.full((len(order), count), -1, dtype=torch.int64, device=order.device)
            known = torch.cat((before.ids, new), 1).gather(1, order)
            next_id = before.next_id
        discovered = here & (known < 0)
        number = discovered.long().cumsum(1)
        ids = torch.where(discovered, next_id[:, None] + number - 1, known)
        ids = torch.where(here, ids, torch.full_like(ids, -1))
    return Slots(
        taken(presence, order),
        taken(row("raw"), order),
        taken(row("what"), order),
        taken(row("where"), order),
        taken(row("glimpse"), order),
        ids,
        discovered,
        next_id + number[:, -1],
        order,
    )


def carried(states: Tensor | None, newborn: Tensor, order: Tensor) -> Tensor:
    """Recurrent states of objects in the order of the slots that they were put into.

    Args:
        states: of the objects that went on, in their slots before ``[B, N, hidden]``; none after
            the first frame.
        newborn: of an object just found ``[hidden]``.
        order: of the slots ``[B, N]``.
    """
    fresh = newborn.expand(*order.shape, -1)
    return taken(fresh if states is None else torch.cat((states, fresh), 1), order)
