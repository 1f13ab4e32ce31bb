"""What is read out of a scene: tracks, and how sure they are."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pyro.poutine import Trace
from torch import Tensor

from scalor_ppl.render.boxes import boxes_from_where
from scalor_ppl.render.glimpses import mass_centre
from scalor_ppl.scalor.selection import take
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import (
    Objects,
    Trackers,
    tight_where,
)
from scalor_ppl.tracks.table import Tracks

# Pixels from the view's rim within which a mask's edge may be that of what is visible.
RIM = 0.5


def confidence(model: Any, trace: Trace, scene: Any) -> Tensor:
    """q(z_pres = 1) of the trackers, in the slots after each frame, ``[B, T, K]`` in 0..1.

    The most likely presence tells whether an object is there; this tells how sure that is. With
    relaxed presence it is the probability that z_pres is above one half.
    """
    found = []
    for t, trackers in enumerate(scene.trackers):
        odds = [
            trace.nodes[name]["fn"].logits if name in trace.nodes else None
            for name in (f"z_pres_prop_{t}", f"z_pres_disc_{t}")
        ]
        found.append(torch.sigmoid(_in_slots(model, trace, t, trackers, *odds)))
    return torch.stack(found, 1)


def spread(model: Any, trace: Trace, scene: Any) -> Tensor:
    """Standard deviations of z_where's centre under q, given the frames before, in pixels.

    Arguments as of :func:`confidence`.

    Returns:
        ``[B, T, K, 2]``, x and y, to first order in the movement before it is bounded.
    """
    pixels = scene.image.new_tensor(model.size[::-1]) / 2

    def deviation(name: str, step: Tensor) -> Tensor | None:
        site = trace.nodes.get(name)
        if site is None:
            return None
        slope = step * (1 - torch.tanh(site["value"][..., :2]).square())
        return slope * site["fn"].stddev[..., :2] * pixels

    found = []
    for t, trackers in enumerate(scene.trackers):
        tracked = deviation(f"z_where_prop_{t}", model.step)
        proposed = deviation(f"z_where_disc_{t}", model.config.reach * model.cell)
        found.append(_in_slots(model, trace, t, trackers, tracked, proposed))
    return torch.stack(found, 1)


def _in_slots(
    model: Any,
    trace: Trace,
    t: int,
    trackers: Trackers,
    tracked: Tensor | None,
    proposed: Tensor | None,
) -> Tensor:
    """What sites of a frame say, in the slots after it ``[B, K, ...]``.

    Args:
        model: the program.
        trace: of the guide.
        t: number of the frame.
        trackers: after it.
        tracked: of the objects tracked before, ``[B, K, ...]``; none in the first frame.
        proposed: of all cells, ``[B, N, ...]``.
    """
    assert proposed is not None
    rows = model.candidates(model.presence.weight(trace.nodes[f"z_pres_disc_{t}"]["value"]))
    if rows is not None:
        proposed = take(proposed, rows, model.proposals)
    together = proposed if tracked is None else torch.cat((tracked, proposed), 1)
    return take(together, trackers.origin, trackers.ids.shape[1])


class WholeSize(NamedTuple):
    """How large an object is as a rule, out of view or not.

    Attributes:
        width, height: in pixels; with a perspective, in the middle row of the frame.
        perspective: see ``model.perspective``.
    """

    width: float
    height: float
    perspective: float = 0.0

    @classmethod
    def of(cls, config: ModelConfig) -> "WholeSize":
        """The middle of the bounds of boxes: they are half to 1.5 times the true size."""
        width, height = (sum(each) / 2 for each in (config.object_width, config.object_height))
        return cls(width, height, config.perspective)

    def at(self, centres: Tensor) -> Tensor:
        """Width and height of objects at centres ``[..., 2]`` in -1..1."""
        scale = 1 + self.perspective * centres[..., 1:].clamp(-1, 1)
        return centres.new_tensor([self.width, self.height]) * scale


def tracks_of(
    trackers: Sequence[Trackers],
    size: tuple[int, int],
    *,
    tight: Literal["never", "in view", "always"] = "never",
    whole: WholeSize | None = None,
) -> list[Tracks]:
    """The tracks of every video of a batch, in pixels of the view.

    Args:
        trackers: one per frame.
        size: height and width of the view.
        tight: boxes about the masks in place of those of the glimpses. Of an object that is partly
            out of view the mask may show the visible part alone: ``in view`` takes the glimpse's
            edge where the mask's lies out of view, if that is further out.
        whole: how large objects are, with ``in view``: a box that reaches out of view on one side
            is at least as long as that.
    """

    def over_time(tensors: list[Tensor]) -> np.ndarray:
        return torch.stack(tensors, 1).detach().cpu().numpy()

    ids = over_time([each.ids for each in trackers])
    boxes = over_time([_boxes(each.objects, size, tight, whole) for each in trackers])
    presence = over_time([each.objects.presence for each in trackers])
    found = over_time([each.discovered for each in trackers])
    centres = over_time([mass_centres(each.objects, size) for each in trackers])
    return [
        Tracks(*arrays)
        for arrays in zip(ids, boxes.astype(np.float32), presence, found, centres, strict=True)
    ]


def _boxes(objects: Objects, size: tuple[int, int], tight: str, whole: WholeSize | None) -> Tensor:
    """Boxes ``[B, n, 4]`` in pixels."""
    glimpse = boxes_from_where(objects.box, size)
    if tight == "never":
        return glimpse
    about = boxes_from_where(tight_where(objects), size)
    if tight == "always":
        return about
    (low, high), (first, last) = _edges(about), _edges(glimpse)
    before = low < RIM
    behind = high > glimpse.new_tensor(size[::-1]) - RIM
    low = torch.where(before, torch.minimum(low, first), low)
    high = torch.where(behind, torch.maximum(high, last), high)
    if whole is not None:
        length = whole.at(objects.box[..., :2])
        low = torch.where(before & ~behind, torch.minimum(low, high - length), low)
        high = torch.where(behind & ~before, torch.maximum(high, low + length), high)
    return torch.cat((low, high - low), -1)


def _edges(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Left and top, right and bottom, of boxes ``[B, n, 4]``."""
    corner, extent = boxes.split(2, -1)
    return corner, corner + extent


def mass_centres(objects: Objects, size: tuple[int, int]) -> Tensor:
    """Where the masks have their centres of mass, x and y in pixels, ``[B, n, 2]``.

    With ``model.centred`` that is z_where; otherwise an object may lie anywhere in its box.
    """
    centre, extent = objects.box.split(2, -1)
    centre = centre + mass_centre(objects.mask.squeeze(2)) * extent
    return (centre + 1) * (centre.new_tensor(size[::-1]) / 2)
