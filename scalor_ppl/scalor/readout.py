"""What is read out of a scene: tracks, and how sure they are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pyro.poutine import Trace
from torch import Tensor

from scalor_ppl.render.boxes import boxes_from_where
from scalor_ppl.scalor.slots import Trackers, strongest, take, tight_where
from scalor_ppl.tracks.table import Tracks


def confidence(model: Any, trace: Trace, scene: Any) -> Tensor:
    """q(z_pres = 1) of the trackers, in the slots after each frame, ``[B, T, K]`` in 0..1.

    The most likely presence tells whether an object is there; this tells how sure that is. With
    relaxed presence it is the probability that z_pres is above one half.
    """
    found = []
    for t, trackers in enumerate(scene.trackers):
        site = trace.nodes[f"z_pres_disc_{t}"]
        odds = site["fn"].logits
        if model.proposals < model.cells:
            # The proposals that were kept: those of the largest z_pres.
            rows = strongest(model.presence.weight(site["value"]), model.proposals)
            odds = take(odds, rows, model.proposals)
        if f"z_pres_prop_{t}" in trace.nodes:
            odds = torch.cat((trace.nodes[f"z_pres_prop_{t}"]["fn"].logits, odds), 1)
        found.append(torch.sigmoid(take(odds, trackers.origin, trackers.ids.shape[1])))
    return torch.stack(found, 1)


def tracks_of(
    trackers: Sequence[Trackers], size: tuple[int, int], *, tight: bool = False
) -> list[Tracks]:
    """The tracks of every video of a batch, in pixels of the view.

    Args:
        trackers: one per frame.
        size: height and width of the view.
        tight: boxes about the masks in place of those of the glimpses.
    """

    def over_time(tensors: list[Tensor]) -> np.ndarray:
        return torch.stack(tensors, 1).detach().cpu().numpy()

    ids = over_time([each.ids for each in trackers])
    where = [tight_where(each.objects) if tight else each.objects.where for each in trackers]
    boxes = over_time([boxes_from_where(each, size) for each in where])
    presence = over_time([each.objects.presence for each in trackers])
    found = over_time([each.discovered for each in trackers])
    return [
        Tracks(*arrays)
        for arrays in zip(ids, boxes.astype(np.float32), presence, found, strict=True)
    ]
