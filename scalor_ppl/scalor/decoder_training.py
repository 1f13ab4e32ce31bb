"""A decoder trained alone: the likelihood at kept draws of the posterior, everything else as it is.

Given the guide, the gradient of the bound with respect to the decoder is that of log p(x | z) at
draws of the guide, of single frames: no recursion and no gradient through the guide. So a decoder
can get a hundred times as many steps, and paint finer than the one that the guide was trained with.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from scalor_ppl.data import ClipSource
from scalor_ppl.errors import TrainingError
from scalor_ppl.programs import PartRecord, Program, Tell
from scalor_ppl.render.glimpses import Frame, composite
from scalor_ppl.scalor.frame_training import AT_ONCE, CHECK_EVERY, train_on_frames
from scalor_ppl.scalor.prior_training import Draws
from scalor_ppl.scalor.settings import DecoderTraining, ScalorConfig

if TYPE_CHECKING:
    from scalor_ppl.scalor.program import ScalorProgram


class Frames(NamedTuple):
    """Single frames, and what a posterior has drawn of them.

    Attributes:
        image: ``[F, C, H, W]`` in [0, 1].
        presence, where, depth, what: of the objects, ``[F, K, ...]``.
        background: ``[F, C, H, W]``; none where objects lie on black.
    """

    image: Tensor
    presence: Tensor
    where: Tensor
    depth: Tensor
    what: Tensor
    background: Tensor | None

    def chosen(self, rows: Tensor) -> Frames:
        """Some of them: int64 ``[f]``."""
        image, presence, where, depth, what = (part[rows] for part in self[:5])
        background = None if self.background is None else self.background[rows]
        return Frames(image, presence, where, depth, what, background)


def train_decoder(
    program: ScalorProgram, config: ScalorConfig, source: ClipSource, tell: Tell
) -> tuple[Program, PartRecord]:
    """See :meth:`scalor_ppl.programs.TrainsParts.with_trained_decoder`."""
    settings = config.train.decoder
    torch.manual_seed(config.train.seed)
    trained = with_decoder(program, config)  # a wrong name is told at once
    record = train_on_frames(
        program,
        trained,
        settings,
        source,
        tell,
        frames_of=frames_of,
        measured=lambda of, frames: {"mse": squared_error(of, frames)},
        descend=lambda frames, held: _descend(trained, frames, held, settings, tell),
    )
    return trained, record


def with_decoder(program: ScalorProgram, config: ScalorConfig) -> ScalorProgram:
    """The program with a fresh decoder, as large as ``model.glimpse`` of a configuration says.

    The guide reads glimpses in the size that it was trained on.
    """
    own = program.config
    look = {"decoder": config.model.decoder, "glimpse": config.model.glimpse}
    model = own.model.model_copy(update=look)
    guide = own.guide.model_copy(update={"glimpse": own.guide.glimpse or own.model.glimpse})
    changed = {"model": model, "guide": guide, "train": config.train, "data": config.data}
    built = program.rebuilt(own.model_copy(update=changed), {"model.decoder"})
    built.model.eval()
    built.guide.eval()
    return built


@torch.no_grad()
def frames_of(program: Program, draws: Draws) -> Frames:
    """All frames of the clips."""
    objects = [moment.trackers.objects for moment in draws.history]

    def flat(name: str) -> Tensor:
        return torch.stack([getattr(o, name) for o in objects], 1).flatten(0, 1)

    codes = [moment.backdrop for moment in draws.history if moment.backdrop is not None]
    background = None
    if codes:
        background = program.model.decode_background(torch.stack(codes, 1), draws.corner)
        background = background.flatten(0, 1)
    presence, where, depth, what = map(flat, ("presence", "where", "depth", "what"))
    return Frames(draws.video.flatten(0, 1), presence, where, depth, what, background)


def composed(program: Program, frames: Frames) -> Frame:
    """The frames as the program's decoder paints them."""
    model = program.model
    glimpse = model.decode(frames.what)
    colour, mask = glimpse.split((model.channels, 1), 2)
    box = model.painted(frames.where, mask)
    there = frames.presence > 0
    objects = (colour, mask, frames.presence, frames.depth, box)
    return composite(*objects, frames.background, model.size, there)


@torch.no_grad()
def squared_error(program: Program, frames: Frames) -> float:
    """Mean squared error of the pixels."""
    total = 0.0
    for rows in torch.arange(len(frames.image)).split(AT_ONCE):
        some = frames.chosen(rows)
        total += (composed(program, some).image - some.image).square().sum().item()
    return total / frames.image.numel()


def _descend(
    program: Program,
    frames: Frames,
    held: Frames,
    settings: DecoderTraining,
    tell: Tell,
) -> None:
    """The optimizer's steps; the decoder ends as it was when it painted held-out frames best."""
    decoder = program.model.decoder
    rate = settings.learning_rate
    optimizer = torch.optim.Adam(decoder.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=settings.steps)
    best = math.inf, decoder.state_dict()
    for step in range(1, settings.steps + 1):
        some = frames.chosen(torch.randint(len(frames.image), (settings.batch,)))
        error = (composed(program, some).image - some.image).square().flatten(1).sum(1).mean()
        loss = error / (2 * program.model.config.sigma**2)
        optimizer.zero_grad()
        loss.backward()
        if not torch.isfinite(loss):
            raise TrainingError(
                f"step {step} of the decoder's training is not finite; lower "
                "train.decoder.learning_rate"
            )
        optimizer.step()
        schedule.step()
        if step % CHECK_EVERY == 0 or step == settings.steps:
            mse = squared_error(program, held)
            if mse < best[0]:
                best = mse, copy.deepcopy(decoder.state_dict())
            tell(step, settings.steps, f"MSE {mse:.2e} of held-out frames")
    decoder.load_state_dict(best[1])
