"""What is read out of a scene: tracks, and how sure they are."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from pyro.poutine import Trace
from torch import Tensor

from scalor_ppl.programs import ObjectArrays
from scalor_ppl.render.boxes import boxes_from_where
from scalor_ppl.render.glimpses import mass_centre
from scalor_ppl.sqair.slots import Slots, taken
from scalor_ppl.tracks.table import Tracks


def over_time(slots: Sequence[Slots], field: str) -> Tensor:
    """A field of the slots of all frames, ``[B, T, N, ...]``."""
    return torch.stack([getattr(each, field) for each in slots], 1)


def tracks_of(slots: Sequence[Slots], size: tuple[int, int]) -> list[Tracks]:
    """The tracks of every video of a batch, in pixels of the view; boxes are the glimpses'.

    Args:
        slots: one per frame.
        size: height and width of the view.
    """
    where, mask = over_time(slots, "where"), over_time(slots, "mask")
    centre, extent = where.split(2, -1)
    centre = centre + mass_centre(mask.squeeze(3)) * extent
    pixels = (centre + 1) * (centre.new_tensor(size[::-1]) / 2)
    fields = (
        over_time(slots, "ids"),
        boxes_from_where(where, size),
        over_time(slots, "presence"),
        over_time(slots, "discovered"),
        pixels,
    )
    return [Tracks(*arrays) for arrays in zip(*map(_numpy, fields), strict=True)]


def objects_of(slots: Sequence[Slots]) -> ObjectArrays:
    """The objects in the slots of each frame. There is no depth: all are as near."""
    where, mask = over_time(slots, "where"), over_time(slots, "mask")
    colour = over_time(slots, "glimpse") / mask.clamp(min=1e-6)
    glimpse = torch.cat((colour.clamp(max=1.0), mask), 3)
    depth = torch.zeros_like(where[..., 0])
    what = over_time(slots, "what")
    return ObjectArrays(*map(_numpy, (where, depth, what, glimpse)))


def confidence(trace: Trace, slots: Sequence[Slots]) -> Tensor:
    """q(z_pres = 1) of the objects, in the slots after each frame, ``[B, T, N]`` in 0..1.

    Args:
        trace: of the guide.
        slots: one per frame.
    """

    def odds(name: str) -> Tensor | None:
        site = trace.nodes.get(f"z_pres_{name}")
        return None if site is None else site["fn"].logits

    return torch.sigmoid(_in_slots(slots, odds))


def spread(trace: Trace, slots: Sequence[Slots], size: tuple[int, int]) -> Tensor:
    """Standard deviations of z_where's centre under q, given the frames before, in pixels.

    Returns:
        ``[B, T, N, 2]``, x and y, to first order in the position before it is bounded.
    """
    pixels = torch.tensor(size[::-1]) / 2

    def deviation(name: str) -> Tensor | None:
        site = trace.nodes.get(f"z_where_{name}")
        if site is None:
            return None
        slope = 1 - torch.tanh(site["value"][..., :2]).square()
        return slope * site["fn"].stddev[..., :2] * pixels.to(slope)

    return _in_slots(slots, deviation)


def _in_slots(slots: Sequence[Slots], said: Callable[[str], Tensor | None]) -> Tensor:
    """What sites say of the objects of each frame, in the slots after it ``[B, T, N, ...]``.

    Args:
        slots: one per frame.
        said: ``[B, 1, ...]`` by phase, number and frame; none where there is no such site.
    """
    found = []
    for t, after in enumerate(slots):
        count = after.order.shape[1]
        names = [f"{phase}_{k}_{t}" for phase in ("prop", "disc") for k in range(count)]
        candidates = [each for each in map(said, names) if each is not None]
        found.append(taken(torch.cat(candidates, 1), after.order))
    return torch.stack(found, 1)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
