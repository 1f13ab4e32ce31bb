"""Suppression of duplicates among proposals: two neighbouring cells that claim one object."""

import numpy as np
import torch
from torch import Tensor

from scalor_ppl.render.glimpses import for_graphs, uses_compiled

# Greedy suppression is sequential; its fixed point is reached in parallel by applying the rule to
# its own result. After an odd number of rounds no kept pair is a duplicate, and only chains of more
# than three touching proposals can lose a member that the greedy order would keep.
ROUNDS = 3


def inside_ellipse(where: Tensor, others: Tensor, radius: float) -> Tensor:
    """``[B, N, M]``: whether centre i lies within ``radius`` boxes of the other j, box of j.

    Args:
        where: boxes ``[B, N, 4]``, see :mod:`scalor_ppl.render.boxes`.
        others: likewise, ``[B, M, 4]``.
        radius: in boxes.
    """
    centre, _ = _in_frames(where)
    other, extent = _in_frames(others)
    offset = (centre[:, :, None] - other[:, None]) / extent[:, None]
    return offset.square().sum(-1) < radius**2


def keep_strongest(where: Tensor, strength: Tensor, eligible: Tensor, radius: float) -> Tensor:
    """Suppress what lies near something stronger that is kept itself.

    On the CPU neighbours are found by their places, so that the work grows with the proposals;
    elsewhere all pairs are compared at once. The result is the same.

    Args:
        where: boxes ``[B, N, 4]``, see :mod:`scalor_ppl.render.boxes`.
        strength: ``[B, N]``; of two as strong the first is the stronger.
        eligible: ``[B, N]`` bool; the others are neither kept nor suppress anything.
        radius: of the ellipse that is near, in boxes of the stronger one.

    Returns:
        ``[B, N]`` bool: kept.
    """
    if not uses_compiled(where, strength):
        return _among_all_pairs(where, strength, eligible, radius)
    centre, extent = _in_frames(where)
    loop = torch.ops.scalor_ppl.suppress if for_graphs() else _suppressed
    kept: Tensor = loop(centre, extent, strength, eligible, radius)
    return kept


def _suppressed(
    centre: Tensor, extent: Tensor, strength: Tensor, eligible: Tensor, radius: float
) -> Tensor:
    """By the compiled loop."""
    from scalor_ppl.scalor.suppression_kernel import suppress

    kept = np.empty(eligible.shape, np.bool_)
    given = (each.detach().contiguous().numpy() for each in (centre, extent, strength, eligible))
    suppress(*given, radius, radius**2, ROUNDS, kept)
    return torch.from_numpy(kept)


# The loop as an operation of torch's library, for graphs.
torch.library.define(
    "scalor_ppl::suppress",
    "(Tensor centre, Tensor extent, Tensor strength, Tensor eligible, float radius) -> Tensor",
)
torch.library.impl("scalor_ppl::suppress", "cpu", _suppressed)
torch.library.register_fake(
    "scalor_ppl::suppress",
    lambda centre, extent, strength, eligible, radius: eligible.new_empty(eligible.shape),
)


def _among_all_pairs(where: Tensor, strength: Tensor, eligible: Tensor, radius: float) -> Tensor:
    order = torch.arange(strength.shape[1], device=strength.device)
    earlier = order[None, :] < order[:, None]
    ahead = (strength[:, None] > strength[:, :, None]) | (
        (strength[:, None] == strength[:, :, None]) & earlier
    )
    beats = inside_ellipse(where, where, radius) & ahead
    kept = eligible
    for _ in range(ROUNDS):
        kept = eligible & ~(beats & kept[:, None]).any(-1)
    return kept


def _in_frames(where: Tensor) -> tuple[Tensor, Tensor]:
    """Centres and sides of boxes in frames' widths and heights, x and y ``[B, N, 2]``."""
    centre, extent = where.split(2, -1)
    # In the coordinates of centres a frame is 2 wide.
    return centre / 2, extent
