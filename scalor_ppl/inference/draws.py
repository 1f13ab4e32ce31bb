"""Draws from the posterior of one clip, with their densities."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pyro import poutine
from pyro.poutine import Trace
from torch import Tensor

from scalor_ppl.inference.posterior import infer, to_frames, to_video, tracks_of
from scalor_ppl.objectives.particles import latent_and_observed, per_video
from scalor_ppl.results.samples import Samples, joined
from scalor_ppl.tracks.table import Tracks
from scalor_ppl.training.loop import fast_pyro
from scalor_ppl.training.runs import Program

# Frames that pass through the networks side by side: as many as in ``evaluate``.
FRAMES_AT_ONCE = 200


@dataclass(frozen=True)
class Densities:
    """Log-densities of S draws of a clip of T frames, in nats.

    Attributes:
        likelihood: float64 [S, T], of the observed frames.
        prior: float64 [S], of all latents under the program.
        guide: float64 [S], of all latents under the guide.
    """

    likelihood: np.ndarray
    prior: np.ndarray
    guide: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """log p(x, z) - log q(z | x), float64 [S]."""
        return self.likelihood.sum(-1) + self.prior - self.guide


def reference_tracks(program: Program, clip: np.ndarray) -> Tracks:
    """The tracks of the most likely account of a clip ``[T, H, W, C]`` uint8."""
    with fast_pyro():
        scene = infer(program.model, program.guide, to_video(clip[None], program.device))
    return tracks_of(scene.trackers, program.model.size, tight=program.config.model.tight_boxes)[0]


def draw_posterior(
    program: Program, clip: np.ndarray, *, draws: int, seed: int, images: int | None = None
) -> tuple[Samples, Densities]:
    """Draw from the guide, and weigh the draws.

    The clip is repeated along the plate of videos, where draws are independent of each other.

    Args:
        program: trained.
        clip: ``[T, H, W, C]`` uint8, of the program's size.
        draws: how many.
        seed: of the draws.
        images: how many of them keep the video that they render; all by default.

    Returns:
        The draws and their densities.

    Raises:
        UserError: the program has sites outside the plate of videos.
    """
    wanted = draws if images is None else images
    video = to_video(clip[None], program.device)
    batch = max(1, FRAMES_AT_ONCE // len(clip))
    samples, densities = [], []
    torch.manual_seed(seed)
    for begin in range(0, draws, batch):
        number = min(batch, draws - begin)
        with torch.no_grad(), fast_pyro():
            guide, model = _traces(program, video.expand(number, -1, -1, -1, -1))
            densities.append(_densities(guide, model, number))
        scene = model.nodes["_RETURN"]["value"]
        kept = min(max(0, wanted - begin), number)
        samples.append(to_samples(scene, model, program, images=kept))
    likelihood, prior, guided = zip(*densities, strict=True)
    return joined(samples), Densities(*map(np.concatenate, (likelihood, prior, guided)))


def to_samples(scene: Any, trace: Trace, program: Program, *, images: int | None = None) -> Samples:
    """The videos of a scene as samples.

    Args:
        scene: what the program returned.
        trace: of the same run, for what the scene does not hold (z_bg).
        program: that made it.
        images: how many videos keep their pixels; all by default.
    """

    def over_time(field: str) -> np.ndarray:
        return _numpy(torch.stack([getattr(x.objects, field) for x in scene.trackers], 1))

    sites = [trace.nodes.get(f"z_bg_{t}") for t in range(len(scene.trackers))]
    codes = [site["value"].squeeze(1) for site in sites if site is not None]
    return Samples(
        tracks_of(scene.trackers, program.model.size, tight=program.config.model.tight_boxes),
        over_time("depth"),
        over_time("what"),
        _numpy(torch.stack(codes, 1)) if len(codes) == len(sites) else None,
        to_frames(scene.image[:images]),
    )


def _traces(program: Program, video: Tensor) -> tuple[Trace, Trace]:
    """Guide and model on a video, the model on the guide's latents, with log-densities."""
    guide = poutine.trace(program.guide).get_trace(video)
    model = poutine.trace(poutine.replay(program.model, trace=guide)).get_trace(video)
    guide.compute_log_prob()
    model.compute_log_prob()
    return guide, model


def _densities(
    guide: Trace, model: Trace, videos: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Densities of likelihood ``[B, T]``, prior ``[B]`` and guide ``[B]``."""
    frames, prior, posterior = [], np.zeros(videos), np.zeros(videos)
    for name, site in latent_and_observed(model):
        if site["is_observed"]:
            frames.append(_by_video(site))
        elif name in guide.nodes:  # what the guide leaves to the prior cancels
            prior += _by_video(site)
            posterior += _by_video(guide.nodes[name])
    return np.stack(frames, 1), prior, posterior


def _by_video(site: dict[str, Any]) -> np.ndarray:
    """A site's log-density by video, float64 ``[B]``, as far as masks let it count."""
    return _numpy(per_video(site, site["log_prob"].double()))


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
