"""Scores of a trained program on clips with ground truth."""

from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from scalor_ppl.data import ClipSource, Truth
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation import Scores, evaluate_by_rules
from scalor_ppl.identity import recognised
from scalor_ppl.inference.posterior import infer
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import FindsObjects, Program, require
from scalor_ppl.tracks.table import Tracks


class TrackedClips(NamedTuple):
    """Clips that were tracked.

    Attributes:
        tracks, truths: of each clip.
        mse: of the most likely account of a pixel, mean over the clips.
    """

    tracks: list[Tracks]
    truths: list[Truth]
    mse: float

    @property
    def scores(self) -> dict[str, Scores]:
        """By every rule of ``evaluation.RULES``."""
        return evaluate_by_rules(self.tracks, self.truths, mse=self.mse)


def tracked(
    program: Program,
    source: ClipSource,
    *,
    clips: int,
    frames: int,
    batch: int = 20,
    recognise: bool = True,
) -> TrackedClips:
    """Track clips that have ground truth.

    Args:
        program: trained.
        source: of clips with ground truth; clips 0, 1, ... are taken.
        clips: how many, at most as many as there are.
        frames: length of each.
        batch: clips tracked at a time.
        recognise: with the identities that `scalor-ppl track` gives, see `identity`; without, ids
            are those of the program's trackers.

    Raises:
        UserError: the source has no ground truth, or its clips are too short.
    """
    program.check_fits(source.name, source.height, source.width, source.channels)
    finder = require(program, FindsObjects, "tracking scores")
    count = min(clips, max(1, source.starts(frames)))
    tracks: list[Tracks] = []
    truths: list[Truth] = []
    squares = 0.0
    for begin in range(0, count, batch):
        drawn = [source.clip(i, frames) for i in range(begin, min(begin + batch, count))]
        for clip in drawn:
            if clip.truth is None:
                raise UserError(f"{source.name} has no ground truth: there is nothing to score")
            truths.append(clip.truth)
        video = to_video(np.stack([clip.video for clip in drawn]), program.device)
        with fast_pyro():
            scene = infer(program.model, program.guide, video)
        squares += (scene.image - video).square().mean().item() * len(drawn)
        tracks += recognised_in(program, video, scene) if recognise else finder.tracks(scene)
    return TrackedClips(tracks, truths, squares / count)


def recognised_in(program: Program, video: Tensor, scene: Any) -> list[Tracks]:
    """The tracks of every video of a scene, with the identities that `scalor-ppl track` gives.

    Args:
        program: trained.
        video: ``[B, T, C, H, W]`` in [0, 1].
        scene: what the model made of it.

    Raises:
        UserError: the program finds no objects.
    """
    finder = require(program, FindsObjects, "tracking")
    where = finder.objects(scene).where
    looks = finder.looks(video, scene).cpu().numpy()
    return [
        recognised(*of_clip, program.size)
        for of_clip in zip(finder.tracks(scene), where, looks, strict=True)
    ]


def reconstruction_error(
    program: Program, source: ClipSource, *, clips: int, frames: int, batch: int = 20
) -> float:
    """Mean squared error of a pixel, of the most likely account of clips; objects or not.

    Args:
        program: trained.
        source: of clips; 0, 1, ... are taken.
        clips: how many, at most as many as there are.
        frames: length of each.
        batch: clips at a time.
    """
    return float(np.mean(reconstruction_errors(program, source, clips, frames, batch)))


def reconstruction_errors(
    program: Program, source: ClipSource, clips: int, frames: int, batch: int = 20
) -> list[float]:
    """The same of each clip; arguments as of :func:`reconstruction_error`."""
    program.check_fits(source.name, source.height, source.width, source.channels)
    count = min(clips, max(1, source.starts(frames)))
    errors: list[float] = []
    for begin in range(0, count, batch):
        drawn = [source.clip(i, frames).video for i in range(begin, min(begin + batch, count))]
        video = to_video(np.stack(drawn), program.device)
        with fast_pyro():
            scene = infer(program.model, program.guide, video)
        errors += (scene.image - video).square().flatten(1).mean(1).tolist()
    return errors
