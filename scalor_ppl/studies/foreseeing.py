"""What a trained program foresees of clips that it has seen the beginning of."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from scalor_ppl.data import Clip, ClipSource
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.foresight import Foresight, clip_foresight, foresight
from scalor_ppl.inference.posterior import infer
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import FindsObjects, Program, require
from scalor_ppl.tracks.table import Tracks

# Frames, of all draws, that pass through the networks side by side.
FRAMES_AT_ONCE = 600


@dataclass(frozen=True)
class ForesightQuestion:
    """What is asked of every program.

    Attributes:
        clips: how many, at most as many as there are; clips 0, 1, ... are taken.
        observe: frames of each that are seen.
        ahead: frames that are imagined after them, discovery switched off.
        draws: how often.
        seed: of the draws.
    """

    clips: int = 100
    observe: int = 5
    ahead: int = 10
    draws: int = 8
    seed: int = 0

    @property
    def frames(self) -> int:
        """Length of the clips."""
        return self.observe + self.ahead


def foresee_clips(
    program: Program,
    source: ClipSource,
    question: ForesightQuestion,
    tell: Callable[[str], None] = lambda text: None,
) -> Foresight:
    """Track the beginnings of clips, imagine how they go on, and measure it.

    Tracking takes the most likely latents, so that draws differ only by what is imagined.

    Args:
        program: trained.
        source: of clips with ground truth.
        question: what is asked.
        tell: gets a line on how far the work is.

    Raises:
        UserError: the clips are of another size than the program's, or too short, or have no ground
            truth.
    """
    require(program, FindsObjects, "foresee")
    program.check_fits(source.name, source.height, source.width, source.channels)
    count = min(question.clips, max(1, source.starts(question.frames)))
    question = replace(question, clips=count)
    if source.clip(0, question.frames).truth is None:
        raise UserError(f"{source.name} has no ground truth: there is nothing to compare")
    tell("what is most likely")
    once = replace(question, draws=1)
    likeliest = [tracks for _, (tracks,) in imagined_clips(program, source, once, likeliest=True)]
    measured = []
    for (clip, draws), mode in zip(
        imagined_clips(program, source, question, tell), likeliest, strict=True
    ):
        assert clip.truth is not None
        measured.append(clip_foresight(draws, mode, clip.truth, observe=question.observe))
    return foresight(measured)


def imagined_clips(
    program: Program,
    source: ClipSource,
    question: ForesightQuestion,
    tell: Callable[[str], None] = lambda text: None,
    *,
    likeliest: bool = False,
) -> Iterator[tuple[Clip, list[Tracks]]]:
    """Every clip, and the tracks of its draws.

    Args:
        program: trained.
        source: has as many clips as the question asks for.
        question: what is asked.
        tell: gets a line on how far the work is.
        likeliest: what is imagined takes its most likely values; draws are alike then, so that one
            is enough.
    """
    batch = max(1, FRAMES_AT_ONCE // (question.frames * question.draws))
    torch.manual_seed(question.seed)
    for begin in range(0, question.clips, batch):
        tell(f"clip {begin + 1} of {question.clips}")
        numbers = range(begin, min(begin + batch, question.clips))
        clips = [source.clip(index, question.frames) for index in numbers]
        tracks = imagined(program, clips, question, likeliest=likeliest)
        for number, clip in enumerate(clips):
            yield clip, tracks[number * question.draws : (number + 1) * question.draws]


def imagined(
    program: Program, clips: list[Clip], question: ForesightQuestion, *, likeliest: bool = False
) -> list[Tracks]:
    """Tracks of all draws of the first clip, then of the second, ...

    Args:
        program: trained.
        clips: of as many frames as the question's.
        question: what is asked.
        likeliest: what is imagined takes its most likely values, so that all draws are alike.
    """
    seen = np.stack([clip.video[: question.observe] for clip in clips])
    # Draws lie along the plate of videos, where they are independent of each other.
    video = to_video(seen, program.device).repeat_interleave(question.draws, 0)
    options = program.imagining(question.observe, question.frames, None, 0.0)
    with fast_pyro():
        scene = infer(
            program.model,
            program.guide,
            video,
            likeliest=likeliest,
            frames=question.frames,
            **options,
        )
    return require(program, FindsObjects, "foresee").tracks(scene)
