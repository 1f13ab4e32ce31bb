"""What a trained pair of model and guide makes of a video."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import Tensor

from scalor_ppl.distributions import LogitRelaxedBernoulli
from scalor_ppl.geometry import boxes_from_where
from scalor_ppl.objects import Trackers
from scalor_ppl.results.tracks import Tracks


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
    run = guide if sample else MostLikely()(guide)
    trace = poutine.trace(run).get_trace(video, **options)
    # The observed frames are not needed for their density, only for their number.
    return poutine.replay(model, trace=trace)(video, **options)


def tracks_of(trackers: Sequence[Trackers], size: tuple[int, int]) -> list[Tracks]:
    """The tracks of every video of a batch, in pixels of the view.

    Args:
        trackers: one per frame.
        size: height and width of the view.
    """

    def over_time(tensors: list[Tensor]) -> np.ndarray:
        return torch.stack(tensors, 1).detach().cpu().numpy()

    ids = over_time([each.ids for each in trackers])
    boxes = over_time([boxes_from_where(each.objects.where, size) for each in trackers])
    presence = over_time([each.objects.presence for each in trackers])
    found = over_time([each.discovered for each in trackers])
    return [
        Tracks(*arrays)
        for arrays in zip(ids, boxes.astype(np.float32), presence, found, strict=True)
    ]
