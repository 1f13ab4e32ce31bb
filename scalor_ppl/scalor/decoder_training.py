"""A decoder trained alone: the likelihood at kept draws of the posterior, everything else as it is.

Given the guide, the gradient of the bound with respect to the decoder is that of log p(x | z) at
draws of the guide, of single frames: no recursion and no gradient through the guide. So a decoder
can get a hundred times as many steps, and paint finer than the one that the guide was trained with.

That likelihood alone paints the mean of what a draw leaves open, with edges too smooth. Errors in
their contrast count as well, so that frames from scratch are as sharp as those of the data. And on
black it sees an object's colour times its mask: a dark rim of a solid mask looks like a soft mask,
until the object passes in front of another one. So uneven colours cost something there. The bound
that a program reports knows nothing of either.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from scalor_ppl.data import ClipSource
from scalor_ppl.errors import TrainingError
from scalor_ppl.nn.sharpness import contrast_error, edges
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
        measured=lambda of, frames: painted(of, frames, settings).figures(),
        descend=lambda frames, held: _descend(trained, frames, held, settings, tell),
    )
    return trained, record


def with_decoder(program: ScalorProgram, config: ScalorConfig) -> ScalorProgram:
    """The program with a fresh decoder, as large as ``model.glimpse`` of a configuration says.

    Objects blend or hide each other as its ``model.occlusion`` says.

    The guide reads glimpses in the size that it was trained on.
    """
    own = program.config
    look = {name: getattr(config.model, name) for name in ("decoder", "glimpse", "occlusion")}
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


def decoded(program: Program, frames: Frames) -> Tensor:
    """Colour and mask of all objects ``[F, K, C + 1, h, w]``; 0 of what is not there."""
    there = frames.presence > 0
    found = program.model.decode(frames.what[there][None])[0]
    glimpse = found.new_zeros(*there.shape, *found.shape[1:])
    glimpse[there] = found
    return glimpse


def composed(program: Program, frames: Frames, glimpse: Tensor) -> Frame:
    """The frames as the program paints them, objects blended where they overlap.

    Draws are not refined, and without that their depths do not tell who hides whom.

    Args:
        program: whose model paints.
        frames: what is drawn of them.
        glimpse: of the objects, as :func:`decoded`.
    """
    model = program.model
    there = frames.presence > 0
    colour, mask = glimpse.split((model.channels, 1), 2)
    box = model.painted(frames.where, mask)
    objects = (colour, mask, frames.presence, frames.depth, box)
    return composite(*objects, frames.background, model.size, there)


def unevenness(glimpse: Tensor, where: Tensor, size: tuple[int, int]) -> Tensor:
    """How much the colours of objects change from one pixel of a glimpse to the next, ``[F]``.

    In the unit of a sum of squared errors: squared differences, each as many times as a pixel of
    the glimpse covers pixels of the frame.

    Args:
        glimpse: colour and mask ``[F, K, C + 1, h, w]``.
        where: boxes ``[F, K, 4]``.
        size: height and width of the frame.
    """
    colour = glimpse[:, :, :-1]
    along, down = (colour.diff(dim=axis).square().flatten(2).sum(2) for axis in (-1, -2))
    pixels = where[..., 2] * where[..., 3] * (size[0] * size[1]) / math.prod(glimpse.shape[-2:])
    return ((along + down) * pixels).sum(1)


class PaintingQuality(NamedTuple):
    """How near frames are to what a program paints.

    Attributes:
        mse: mean squared error of the pixels.
        sharpness: energy of the painted edges over that of the true ones; below 1 they are smooth.
        loss: what is minimised, a frame, in units of squared error.
    """

    mse: float
    sharpness: float
    loss: float

    def figures(self) -> dict[str, float]:
        """Those for the record."""
        return {"mse": self.mse, "sharpness": self.sharpness}


@torch.no_grad()
def painted(program: Program, frames: Frames, settings: DecoderTraining) -> PaintingQuality:
    """Compare frames with what a program paints; the settings say what is minimised."""
    squares = loss = found = true = 0.0
    for rows in torch.arange(len(frames.image)).split(AT_ONCE):
        some = frames.chosen(rows)
        image, losses = _painted(program, some, settings)
        squares += (image - some.image).square().sum().item()
        loss += losses.sum().item()
        found += edges(image).square().sum().item()
        true += edges(some.image).square().sum().item()
    return PaintingQuality(
        squares / frames.image.numel(), found / max(true, 1e-12), loss / len(frames.image)
    )


def _painted(program: Program, frames: Frames, settings: DecoderTraining) -> tuple[Tensor, Tensor]:
    """Frames as a program paints them, and the loss of each: all that is minimised."""
    glimpse = decoded(program, frames)
    image = composed(program, frames, glimpse).image
    losses = (image - frames.image).square().flatten(1).sum(1)
    if settings.sharpness:
        losses = losses + settings.sharpness * contrast_error(image, frames.image)
    if frames.background is None and settings.evenness:
        uneven = unevenness(glimpse, frames.where, program.model.size)
        losses = losses + settings.evenness * uneven
    return image, losses


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
        _, losses = _painted(program, some, settings)
        loss = losses.mean() / (2 * program.model.config.sigma**2)
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
            now = painted(program, held, settings)
            if now.loss < best[0]:
                best = now.loss, copy.deepcopy(decoder.state_dict())
            known = f"MSE {now.mse:.2e} of held-out frames, sharpness {now.sharpness:.2f}"
            tell(step, settings.steps, known)
    decoder.load_state_dict(best[1])
