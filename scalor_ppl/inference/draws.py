"""Draws from the posterior of one clip, with their densities."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pyro import poutine
from pyro.poutine import Trace
from torch import Tensor

from scalor_ppl.inference.certainty import certain_tracks
from scalor_ppl.inference.finite import check_scene
from scalor_ppl.inference.posterior import follow
from scalor_ppl.nn.pixels import to_frames, to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.objectives.densities import latent_and_observed, per_video
from scalor_ppl.programs import FindsObjects, Program
from scalor_ppl.results.samples import Codes, Samples, joined, joined_codes
from scalor_ppl.tracks.table import Tracks

# Frames that pass through the networks side by side: as many as in ``evaluate``.
FRAMES_AT_ONCE = 200
BACKGROUND = "z_bg"


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
    """The most likely account of a clip ``[T, H, W, C]`` uint8, and how sure the guide is of it.

    See :func:`scalor_ppl.inference.certainty.certain_tracks`.
    """
    with fast_pyro():
        found = follow(program, to_video(clip[None], program.device), None)
    return certain_tracks(program, found.trace, found.scene)[0]


def draw_posterior(
    program: Program, clip: np.ndarray, *, draws: int, seed: int, images: int | None = None
) -> tuple[Samples | Codes, Densities]:
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
        check_scene(scene, guide)
        kept = min(max(0, wanted - begin), number)
        samples.append(to_samples(scene, model, program, images=kept))
    likelihood, prior, guided = zip(*densities, strict=True)
    return _joined(samples), Densities(*map(np.concatenate, (likelihood, prior, guided)))


def to_samples(
    scene: Any, trace: Trace, program: Program, *, images: int | None = None
) -> Samples | Codes:
    """The videos of a scene as samples: by object where the program finds any.

    Args:
        scene: what the program returned.
        trace: of the same run, for what the scene does not hold (z_bg).
        program: that made it.
        images: how many videos keep their pixels; all by default.
    """
    video = to_frames(scene.image[:images])
    codes = _codes(trace)
    if not isinstance(program, FindsObjects):
        return Codes(codes, video)
    objects = program.objects(scene)
    return Samples(program.tracks(scene), objects.depth, objects.what, codes.get(BACKGROUND), video)


def _joined(parts: list[Samples | Codes]) -> Samples | Codes:
    """Samples one after the other; all are of one kind."""
    objects = [part for part in parts if isinstance(part, Samples)]
    return joined(objects) if objects else joined_codes([p for p in parts if isinstance(p, Codes)])


def _codes(trace: Trace) -> dict[str, np.ndarray]:
    """The latents that a frame has one of, ``[S, T, D]`` by name without the frame's number."""
    found: dict[str, list[Tensor]] = {}
    for name, site in latent_and_observed(trace):
        # Of shape [S, 1, D]: one for a video, where objects have a plate of their own.
        if not site["is_observed"] and site["value"].dim() == 3 and site["value"].shape[1] == 1:
            found.setdefault(name.rpartition("_")[0], []).append(site["value"].squeeze(1))
    return {name: _numpy(torch.stack(values, 1)) for name, values in found.items()}


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
