"""A background trained alone: encoder and decoder of z_bg, behind objects that stay as they are.

A training of everything sees as many backgrounds a step as it has clips in a batch, a handful.
Where the objects are kept as a posterior has drawn them, a step needs no recursion, and its frames
are of as many clips. The bound is that of single frames under a standard normal z_bg; its prior is
to be trained afterwards.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from scalor_ppl.config.schedules import Schedule
from scalor_ppl.data import ClipSource
from scalor_ppl.errors import TrainingError, UserError
from scalor_ppl.nn.distributions import diagonal_normal
from scalor_ppl.programs import PartRecord, Program, Tell
from scalor_ppl.scalor.decoder_training import composed, decoded, frames_of
from scalor_ppl.scalor.frame_training import AT_ONCE, CHECK_EVERY, train_on_frames
from scalor_ppl.scalor.prior_training import Draws
from scalor_ppl.scalor.settings import BackgroundTraining, PriorConfig, ScalorConfig
from scalor_ppl.training.muon import Muon

if TYPE_CHECKING:
    from scalor_ppl.scalor.program import ScalorProgram

CLIP = 1e3  # largest gradient norm


class Behind(NamedTuple):
    """Single frames, and what objects leave open of them.

    Attributes:
        image: ``[F, C, H, W]`` in [0, 1].
        objects: over black, likewise.
        mask: how far they cover the pixels ``[F, 1, H, W]``.
    """

    image: Tensor
    objects: Tensor
    mask: Tensor

    def chosen(self, rows: Tensor) -> Behind:
        """Some of them: int64 ``[f]``."""
        return Behind(*(part[rows] for part in self))

    def mirrored(self, axis: int) -> Behind:
        """The same, along the rows (-2) or the columns (-1)."""
        return Behind(*(part.flip(axis) for part in self))


class BackgroundBound(NamedTuple):
    """Of frames, ``[F]`` each: nats of the bound but for constants, squared error of the mode."""

    nats: Tensor
    squares: Tensor


def train_background(
    program: ScalorProgram, config: ScalorConfig, source: ClipSource, tell: Tell
) -> tuple[Program, PartRecord]:
    """See :meth:`scalor_ppl.programs.TrainsParts.with_trained_background`."""
    own = program.config.model.background
    if own != "vae":
        raise UserError(
            f'--only background is for model.background = "vae", which is learned by networks; the '
            f'run has "{own}"'
        )
    settings = config.train.background
    torch.manual_seed(config.train.seed)
    trained = with_background(program, config)
    axes: tuple[int, ...] = ()
    if config.data.augment:
        axes = (-1,) if config.upright else (-2, -1)
    record = train_on_frames(
        program,
        trained,
        settings,
        source,
        tell,
        frames_of=behind,
        measured=lambda of, frames: {"bound": nats(of, frames), "mse": squared_error(of, frames)},
        descend=lambda frames, held: _descend(trained, frames, held, settings, axes, tell),
    )
    return trained, record


def with_background(program: ScalorProgram, config: ScalorConfig) -> ScalorProgram:
    """The program with ``model.background_dim`` numbers for a background, and the paper's prior.

    Where there are as many as before, encoder and decoder go on from their weights.
    """
    own = program.config
    numbers = config.model.background_dim
    model = own.model.model_copy(update={"background_dim": numbers})
    prior = own.prior.model_copy(update={"background": PriorConfig().background})
    changed = {"model": model, "prior": prior, "train": config.train, "data": config.data}
    fresh = {"model.background"}
    if numbers != own.model.background_dim:
        fresh |= {"model.background_decoder", "guide.background"}
    built = program.rebuilt(own.model_copy(update=changed), fresh)
    built.model.eval()
    built.guide.eval()
    return built


@torch.no_grad()
def behind(program: Program, draws: Draws) -> Behind:
    """All frames of the clips, with their objects drawn over black."""
    frames = frames_of(program, draws)._replace(background=None)
    some = (frames.chosen(rows) for rows in torch.arange(len(frames.image)).split(AT_ONCE))
    parts = [composed(program, each, decoded(program, each)) for each in some]
    objects = torch.cat([part.foreground for part in parts])
    return Behind(frames.image, objects, torch.cat([part.mask for part in parts]))


def bound(program: Program, frames: Behind, *, sample: bool = True) -> BackgroundBound:
    """What frames cost under a standard normal z_bg, objects given.

    Args:
        program: with a background of networks.
        frames: F of them.
        sample: of z_bg; otherwise its mode.
    """
    model = program.model
    loc, scale = program.guide.background_posterior(frames.image, None, frames.mask)
    z_bg = Normal(loc, scale).rsample() if sample else loc
    background = model.decode_background(z_bg[:, None])[:, 0]
    image = frames.objects + (1 - frames.mask) * background
    squares = (image - frames.image).square().flatten(1).sum(1)
    none, one = torch.zeros_like(loc), torch.ones_like(loc)
    rate = kl_divergence(diagonal_normal(loc, scale), diagonal_normal(none, one))
    return BackgroundBound(squares / (2 * model.config.sigma**2) + rate, squares)


@torch.no_grad()
def nats(program: Program, frames: Behind) -> float:
    """Nats of the bound a frame."""
    total = 0.0
    for rows in torch.arange(len(frames.image)).split(AT_ONCE):
        total += bound(program, frames.chosen(rows)).nats.sum().item()
    return total / len(frames.image)


@torch.no_grad()
def squared_error(program: Program, frames: Behind) -> float:
    """Mean squared error of the pixels that the mode of z_bg gives."""
    total = 0.0
    for rows in torch.arange(len(frames.image)).split(AT_ONCE):
        total += bound(program, frames.chosen(rows), sample=False).squares.sum().item()
    return total / frames.image.numel()


def _descend(
    program: Program,
    frames: Behind,
    held: Behind,
    settings: BackgroundTraining,
    axes: tuple[int, ...],
    tell: Tell,
) -> None:
    """The optimizer's steps; the networks end as they were when the bound was best."""
    networks = torch.nn.ModuleList([program.model.background_decoder, program.guide.background])
    rate = Schedule(start=settings.learning_rate, end=0.0, steps=settings.steps, kind="cosine")
    optimizer = Muon(networks.parameters(), settings.learning_rate)
    best = nats(program, held), copy.deepcopy(networks.state_dict())
    for step in range(1, settings.steps + 1):
        some = frames.chosen(torch.randint(len(frames.image), (settings.batch,)))
        for axis in axes:
            if torch.rand(()) < 0.5:
                some = some.mirrored(axis)
        loss = bound(program, some).nats.mean()
        optimizer.zero_grad()
        loss.backward()
        # The first gradients of a fresh background are a hundred times those that follow.
        norm = torch.nn.utils.clip_grad_norm_(networks.parameters(), CLIP)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"step {step} of the background's training is not finite; lower "
                "train.background.learning_rate"
            )
        for group in optimizer.param_groups:
            group["lr"] = rate.at(step - 1, settings.steps)
        optimizer.step()
        if step % CHECK_EVERY == 0 or step == settings.steps:
            found = nats(program, held)
            if found < best[0]:
                best = found, copy.deepcopy(networks.state_dict())
            tell(step, settings.steps, f"{found:.1f} nats a frame of held-out clips")
    networks.load_state_dict(best[1])
