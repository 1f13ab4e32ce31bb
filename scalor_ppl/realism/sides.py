"""The clips that realism is judged by: real ones, sampled ones, and controls of the same size."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scalor_ppl.data import ClipSource
from scalor_ppl.errors import UserError
from scalor_ppl.inference.generation import imagine
from scalor_ppl.nn.pixels import to_frames
from scalor_ppl.programs import Program

FRAMES_AT_ONCE = 800
"""Frames, of all videos, that pass through the networks side by side."""


@dataclass(frozen=True)
class RealismQuestion:
    """What is asked of a run.

    Attributes:
        videos: clips of each side, at least 8: half of them train a classifier.
        frames: length of each, at least 3.
        seeds: how many classifiers of each kind, each with a split of its own.
        seed: of the samples and of everything drawn here.
        temperature: factor of the latents' noise in the samples, 0 to 1.
    """

    videos: int = 100
    frames: int = 20
    seeds: int = 3
    seed: int = 0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.videos < 8:
            raise UserError(f"--videos {self.videos}: give at least 8, half train a classifier")
        if self.frames < 3:
            raise UserError(f"--frames {self.frames}: give at least 3, a turn takes two steps")


def real_clips(source: ClipSource, question: RealismQuestion) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of clips that share no frame.

    Of a recording they lie evenly over its length, and take turns.

    Returns:
        Twice ``[N, T, H, W, C]`` uint8: the reference, and the floor.

    Raises:
        UserError: the source is too short for so many.
    """
    count, frames = 2 * question.videos, question.frames
    starts = source.starts(frames)
    if starts < 1:
        source.clip(0, frames)  # says what is wrong
    # Neighbouring clips of a recording overlap; those of a generated set do not.
    apart = 1 if starts >= 2**31 else frames
    if starts < (count - 1) * apart + 1:
        fit = (starts - 1) // apart + 1
        raise UserError(
            f"{source.name} has {fit} clips of {frames} frames that do not overlap, and two sets "
            f"of {question.videos} are compared: give --videos {fit // 2} or fewer, or fewer "
            "--frames"
        )
    step = 1 if apart == 1 else (starts - 1) // (count - 1)
    clips = np.stack([source.clip(n * step, frames).video for n in range(count)])
    return clips[::2], clips[1::2]


def sampled_clips(
    program: Program, question: RealismQuestion, tell: Callable[[str], None]
) -> np.ndarray:
    """Videos from the priors, as the pixels' mean, ``[N, T, H, W, C]`` uint8."""
    size = max(1, FRAMES_AT_ONCE // question.frames)
    parts = []
    for number, begin in enumerate(range(0, question.videos, size)):
        tell(f"sampling videos, {begin} of {question.videos}")
        videos = min(size, question.videos - begin)
        seed = int(np.random.SeedSequence([question.seed, number]).generate_state(1)[0])
        scene = imagine(
            program,
            videos=videos,
            frames=question.frames,
            seed=seed,
            temperature=question.temperature,
        )
        parts.append(to_frames(scene.image))
    return np.concatenate(parts)


def shuffled_in_time(clips: np.ndarray, seed: int) -> np.ndarray:
    """The same frames, those of each clip in an order of their own."""
    rng = np.random.default_rng(seed)
    return np.stack([clip[rng.permutation(len(clip))] for clip in clips])
