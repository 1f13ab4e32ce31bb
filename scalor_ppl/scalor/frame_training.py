"""What trainings of a part on single frames have in common: draws, held-out clips, the record."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from scalor_ppl.data import ClipSource
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import PartRecord, Program, Tell
from scalor_ppl.scalor.prior_training import HELD_OUT, Draws, draw_histories
from scalor_ppl.scalor.settings import FrameTraining

CHECK_EVERY = 100  # steps between looks at the held-out frames
AT_ONCE = 64  # frames that are looked at side by side


class Chosen(Protocol):
    """Single frames, of which some can be taken."""

    @property
    def image(self) -> Tensor:
        """Pixels ``[F, C, H, W]``."""

    def chosen(self, rows: Tensor) -> Self:
        """Some of them: int64 ``[f]``."""


F = TypeVar("F", bound=Chosen)


def train_on_frames(
    program: Program,
    trained: Program,
    settings: FrameTraining,
    source: ClipSource,
    tell: Tell,
    *,
    frames_of: Callable[[Program, Draws], F],
    measured: Callable[[Program, F], dict[str, float]],
    descend: Callable[[F, F], None],
) -> PartRecord:
    """Train a part at draws of a posterior, and tell what that was.

    Args:
        program: whose posterior is drawn from.
        trained: the program with the part that is to be trained.
        settings: of the training.
        source: of training clips.
        tell: of progress.
        frames_of: all frames of the clips that were drawn.
        measured: figures of a program at held-out frames.
        descend: trains the part on some frames, the second ones held out. No clip has both.
    """
    since = time.perf_counter()
    draws = draw_histories(program, source, settings.clips, settings.frames, tell)
    frames = frames_of(program, draws)
    draw_seconds = time.perf_counter() - since
    count = len(frames.image)
    held = max(1, len(draws.video) // HELD_OUT) * settings.frames
    kept = frames.chosen(torch.arange(count - held, count))
    frames = frames.chosen(torch.arange(count - held))
    with fast_pyro():
        before = measured(program, kept)
        since = time.perf_counter()
        descend(frames, kept)
        seconds = time.perf_counter() - since
        after = measured(trained, kept)
    return PartRecord(
        settings.model_dump(mode="json"),
        settings.steps,
        len(draws.video),
        settings.frames,
        round(draw_seconds, 1),
        round(seconds, 1),
        before,
        after,
    )
