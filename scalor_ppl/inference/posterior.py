"""What a trained pair of model and guide makes of a video."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from pyro import poutine
from pyro.poutine import Trace
from pyro.poutine.messenger import Messenger
from torch import Tensor

from scalor_ppl.nn.distributions import LogitRelaxedBernoulli
from scalor_ppl.render.boxes import boxes_from_where
from scalor_ppl.scalor.memory import Memory
from scalor_ppl.scalor.slots import Trackers, strongest, take, tight_where
from scalor_ppl.tracks.table import Tracks


class MostLikely(Messenger):
    """Give every latent site the mode of its distribution in place of a sample.

    For tracks and pictures, where noise helps nobody. For a Normal the mode is the mean; for
    presence, hard or relaxed, the side of 1/2 on which its probability lies.
    """

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["is_observed"] or msg["done"] or msg["value"] is not None:
            return
        fn = msg["fn"]
        if isinstance(fn, LogitRelaxedBernoulli):
            msg["value"] = fn.mode
        elif hasattr(fn, "logits"):
            # Not Bernoulli.mode, which is NaN at an even chance.
            msg["value"] = (fn.logits > 0).to(fn.logits)
        elif hasattr(fn, "mean"):
            msg["value"] = fn.mean


def to_video(frames: np.ndarray, device: torch.device) -> Tensor:
    """Frames ``[B, T, H, W, C]`` uint8 to the model's ``[B, T, C, H, W]`` in [0, 1]."""
    pixels = torch.from_numpy(frames).to(device)
    return pixels.permute(0, 1, 4, 2, 3).float().div_(255)


def to_frames(video: Tensor) -> np.ndarray:
    """The model's ``[B, T, C, H, W]`` in [0, 1] to frames ``[B, T, H, W, C]`` uint8."""
    pixels = video.detach().clamp(0, 1).mul(255).round().byte()
    return pixels.permute(0, 1, 3, 4, 2).cpu().numpy()


@torch.no_grad()
def infer(model: Any, guide: Any, video: Tensor, *, sample: bool = False, **options: Any) -> Any:
    """Run the guide on a video and the model on the guide's latents.

    Args:
        model: the program.
        guide: its guide.
        video: ``[B, T, C, H, W]`` in [0, 1].
        sample: draw from the posterior; by default every latent takes its mode.
        options: for the model, ``frames`` beyond the observed ones among them; those are sampled
            from the priors.

    Returns:
        What the model returns: the scene.
    """
    return _inferred(model, guide, video, sample=sample, **options)[1]


class Followed(NamedTuple):
    """What is known of some frames of a video.

    Attributes:
        scene: what the model returned.
        memory: to go on with.
        confidence: q(z_pres = 1) of the trackers ``[B, T, K]``.
    """

    scene: Any
    memory: Memory
    confidence: Tensor


@torch.no_grad()
def follow(
    model: Any,
    guide: Any,
    video: Tensor,
    memory: Memory | None,
    *,
    sample: bool = False,
    **options: Any,
) -> Followed:
    """Go on with a video where the memory of the frames before left off.

    Chunk by chunk this gives, most likely values taken, what :func:`infer` gives for the whole
    video, in memory that does not grow with it.

    Args:
        model: the program.
        guide: its guide.
        video: the next frames ``[B, T, C, H, W]`` in [0, 1].
        memory: what the chunk before returned; none at the beginning.
        sample: draw from the posterior; by default every latent takes its mode.
        options: for the model.

    """
    trace, scene = _inferred(model, guide, video, sample=sample, memory=memory, **options)
    frames = video.shape[1] + (0 if memory is None else memory.frame)
    seen = trace.nodes["_RETURN"]["value"].memory
    return Followed(scene, Memory(frames, scene.memory, seen), confidence(model, trace, scene))


def _inferred(
    model: Any, guide: Any, video: Tensor, *, sample: bool, **options: Any
) -> tuple[Trace, Any]:
    """The guide's trace, and what the model returns."""
    run = guide if sample else MostLikely()(guide)
    trace = poutine.trace(run).get_trace(video, **options)
    # The observed frames are not needed for their density, only for their number.
    return trace, poutine.replay(model, trace=trace)(video, **options)


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
