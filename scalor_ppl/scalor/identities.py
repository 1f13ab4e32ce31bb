"""Which identity each tracker slot has after a frame, and which of two on one object goes."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from scalor_ppl.render.glimpses import runs_loops
from scalor_ppl.scalor.settings import RulesConfig
from scalor_ppl.scalor.suppression import inside_ellipse


class SlotIdentities(NamedTuple):
    """Of the K slots after a frame; see :class:`~scalor_ppl.scalor.slots.Trackers`.

    Attributes:
        alive: ``[B, K]`` bool.
        ids: ``[B, K]`` int64, -1 where not alive.
        discovered: ``[B, K]`` bool.
        next_id: ``[B]`` int64.
        doubled: ``[B, K]`` int64.
    """

    alive: Tensor
    ids: Tensor
    discovered: Tensor
    next_id: Tensor
    doubled: Tensor


class Selection(NamedTuple):
    """Where the slots' objects come from.

    Attributes:
        origin: ``[B * K]`` int64: of each, the row among the candidates of all videos, the slots
            of the frame before first.
        candidates: of a video.
        filled: slots of a video that hold a candidate; the others repeat one.
    """

    origin: Tensor
    candidates: int
    filled: int


@torch.no_grad()
def identified(
    before: SlotIdentities, selection: Selection, alive: Tensor, where: Tensor, rules: RulesConfig
) -> SlotIdentities:
    """Give numbers to objects just found, and delete who shares an older tracker's place too long.

    Where two objects cross, both trackers may follow the same one of them from there on. Nothing in
    the bound parts them again, and over a long video such pairs pile up.

    On the CPU it is one compiled loop, elsewhere operations on all slots; the result is the same.

    Args:
        before: of the frame before, ``[B, K']``; no slots (K' = 0) in the first frame.
        selection: where the slots' objects come from.
        alive: which of them live on, as far as each can tell by itself, ``[B, K]``.
        where: their boxes ``[B, K, 4]``.
        rules: the rules.
    """
    if runs_loops(where):
        return _looped(before, selection, alive, where, rules)
    videos, slots = alive.shape
    # Identity and count of the slots before; a proposal has neither.
    history = torch.stack((before.ids, before.doubled), -1)
    history = F.pad(history, (0, 0, 0, selection.candidates - history.shape[1]), value=-1)
    known, doubled = history.flatten(0, 1)[selection.origin].view(videos, slots, 2).unbind(-1)
    filled = torch.arange(slots, device=alive.device) < selection.filled
    survives = (known >= 0) & alive & filled
    discovered = alive & ~survives
    number = discovered.long().cumsum(1)
    ids = torch.where(survives, known, before.next_id[:, None] + number - 1)
    ids = ids.masked_fill(~alive, -1)
    next_id = before.next_id + number[:, -1]
    if not rules.doubled:
        return SlotIdentities(alive, ids, discovered, next_id, torch.zeros_like(ids))
    older = alive[:, None] & (ids[:, None] < ids[:, :, None])
    shared = (older & inside_ellipse(where, where, rules.doubled_radius)).any(-1) & alive
    doubled = (doubled * survives + 1) * shared
    alive = alive & (doubled < rules.doubled_frames)
    return SlotIdentities(alive, ids.masked_fill(~alive, -1), discovered, next_id, doubled)


def _looped(
    before: SlotIdentities, selection: Selection, alive: Tensor, where: Tensor, rules: RulesConfig
) -> SlotIdentities:
    from scalor_ppl.scalor.identities_kernel import identify

    found = SlotIdentities(
        alive.clone(),
        torch.empty(alive.shape, dtype=torch.int64),
        torch.empty_like(alive),
        before.next_id.clone(),
        torch.empty(alive.shape, dtype=torch.int64),
    )
    given = (before.ids, before.doubled, selection.origin, where.detach())
    identify(
        *(each.contiguous().numpy() for each in given),
        selection.candidates,
        selection.filled,
        rules.doubled_radius**2,
        rules.doubled_frames if rules.doubled else 0,
        *(each.numpy() for each in found),
    )
    return found
