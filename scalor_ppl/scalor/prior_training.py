"""Priors trained alone: log p(z) at kept draws of the posterior, everything else as it is.

Presence is hard meanwhile: with relaxed presence, the likeliest log-odds of a prior are no
log-odds of anything being there.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from scalor_ppl.data import ClipSource
from scalor_ppl.errors import TrainingError, UserError
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import PartRecord, Program, Tell
from scalor_ppl.scalor.cleaning import cleaned
from scalor_ppl.scalor.histories import (
    History,
    chosen,
    density_by_part,
    drawn,
    foreseen,
    found_objects,
    joined,
    stretches_of,
    transitions_of,
    without_rejected,
)
from scalor_ppl.scalor.overshooting import KNOWN, Overshooting, balance, settling
from scalor_ppl.scalor.priors import DynamicsPropagation, MixtureBackground, MixtureDiscovery
from scalor_ppl.scalor.settings import TRACKS_WITH, PriorConfig, PriorsTraining, ScalorConfig

if TYPE_CHECKING:
    from scalor_ppl.scalor.program import ScalorProgram

AT_ONCE = 16  # clips that pass through the guide side by side
HELD_OUT = 8  # one clip in so many is not trained on
CLIP = 50.0  # largest gradient norm
CHECK_EVERY = 50  # steps between looks at the held-out clips


class Draws(NamedTuple):
    """Draws of a posterior, and what they were drawn of.

    Attributes:
        history: of B clips.
        video: ``[B, T, C, H, W]`` in [0, 1].
        corner: where crops lie in whole frames ``[B, 2]``; none for whole frames.
    """

    history: History
    video: Tensor
    corner: Tensor | None


def train_priors(
    program: ScalorProgram, config: ScalorConfig, source: ClipSource, tell: Tell
) -> tuple[Program, PartRecord]:
    """See :meth:`scalor_ppl.programs.TrainsParts.with_trained_priors`."""
    settings = config.train.priors
    torch.manual_seed(config.train.seed)
    trained = with_priors(program, config, settings)  # a wrong name is told at once
    since = time.perf_counter()
    # The frames are not kept: those of many clips would fill the memory.
    read = draw_clips(program, source, settings.clips, settings.frames, tell)
    history, note = cleaned(whole_history([part for part, _ in read], source))
    draw_seconds = time.perf_counter() - since
    begin(trained, program, history)
    # What is proposed and rejected at once, mostly twice the same object, is seen in no video, and
    # would be objects of their own in those that are sampled.
    history = without_rejected(history)
    clips = len(history[0].proposed.presence)
    held = max(1, clips // HELD_OUT)
    kept = chosen(history, torch.arange(clips - held, clips))
    history = chosen(history, torch.arange(clips - held))
    with trained.presence_as("hard"), program.presence_as("hard"), fast_pyro():
        before = nats_per_frame(program, kept)
        since = time.perf_counter()
        _descend(trained, history, kept, settings, tell)
        seconds = time.perf_counter() - since
        after = nats_per_frame(trained, kept)
    return trained, PartRecord(
        settings.model_dump(mode="json"),
        settings.steps,
        clips,
        settings.frames,
        round(draw_seconds, 1),
        round(seconds, 1),
        before,
        after,
        note,
    )


def draw_clips(
    program: Program, source: ClipSource, clips: int, length: int, tell: Tell
) -> Iterator[tuple[History, tuple[Tensor, ...]]]:
    """One draw of the posterior of each of some clips, spread over a source, some at a time.

    Args:
        program: trained.
        source: of training clips.
        clips: how many, at most as many as there are.
        length: frames of each.
        tell: of progress.

    Yields:
        What was drawn, and what it was drawn of: frames, and where crops lie.

    Raises:
        UserError: the source has fewer than two clips of that length.
    """
    starts = source.starts(length)
    if starts < 2:
        raise UserError(f"{source.name} has no two clips of {length} frames: ask for shorter ones")
    clips = min(clips, starts)
    numbers = [n * starts // clips for n in range(clips)]
    with program.presence_as("hard"), fast_pyro():
        for first in range(0, clips, AT_ONCE):
            tell(first, clips, "clips drawn")
            read = [source.clip(n, length) for n in numbers[first : first + AT_ONCE]]
            video = to_video(np.stack([clip.video for clip in read]), program.device)
            corner = None
            if read[0].corner is not None:
                corner = torch.tensor([clip.corner for clip in read], device=program.device)
            inputs = program.inputs(video, corner)
            yield drawn(program.model, program.guide, *inputs), inputs


def draw_histories(
    program: Program, source: ClipSource, clips: int, length: int, tell: Tell
) -> Draws:
    """Likewise, of all clips at once, and with their frames.

    Raises:
        UserError: as `draw_clips` says, or nothing is found in them.
    """
    parts, inputs = zip(*draw_clips(program, source, clips, length, tell), strict=True)
    history = whole_history(parts, source)
    video, *corners = (torch.cat(tensors) for tensors in zip(*inputs, strict=True))
    return Draws(history, video, corners[0] if corners else None)


def whole_history(parts: Sequence[History], source: ClipSource) -> History:
    """What was drawn of all clips of a source.

    Raises:
        UserError: nothing is found in them.
    """
    history = joined(parts)
    if not any((moment.proposed.presence > 0.5).any() for moment in history):
        raise UserError(
            f"the program finds nothing in {source.name}: there is nothing to learn from"
        )
    return history


def with_priors(
    program: ScalorProgram, config: ScalorConfig, settings: PriorsTraining
) -> ScalorProgram:
    """The program with the priors that the phase is to train, in place of the paper's and `fit`'s.

    Those that it has already keep their weights, and so does the rest.
    """
    own_config = program.config
    papers, names = PriorConfig(), {}
    for kind in ("discovery", "propagation", "background"):
        own = getattr(own_config.prior, kind)
        plain = own in (getattr(papers, kind), TRACKS_WITH)
        names[kind] = getattr(settings, kind) if plain else own
    prior = own_config.prior.model_copy(update=names)
    changed = {"prior": prior, "train": config.train, "data": config.data}
    fresh = {f"model.{kind}" for kind in names if getattr(own_config.prior, kind) != names[kind]}
    built = program.rebuilt(own_config.model_copy(update=changed), fresh)
    built.model.eval()
    built.guide.eval()
    return replace(built, calibration=program.calibration)


def begin(program: Program, before: Program, history: History) -> None:
    """Start from the draws what is new in a program and a gradient would take long to bring there.

    Args:
        program: to be begun.
        before: the program whose priors may have been trained already.
        history: of its posterior.
    """
    model = program.model
    discovery, propagation, background = model.discovery, model.propagation, model.background
    known = (
        type(before.model.discovery),
        type(before.model.propagation),
        type(before.model.background),
    )
    if isinstance(background, MixtureBackground) and known[2] is not MixtureBackground:
        backdrops = [now.backdrop for now in history if now.backdrop is not None]
        background.begin(torch.cat(backdrops))
    if isinstance(discovery, MixtureDiscovery):
        found = found_objects(history)
        if len(found.rest) < 2:
            raise UserError(
                "the program follows less than two objects in all clips: there is nothing to learn "
                "from; raise train.priors.clips, or train the program longer"
            )
        cells = sum(moment.proposed.presence.numel() for moment in history)
        new = known[0] is not MixtureDiscovery
        discovery.begin(found, len(found.rest) / cells if new else None)
    if isinstance(propagation, DynamicsPropagation):
        stretches = stretches_of(history)
        if known[1] is type(propagation):
            propagation.measure(stretches)
        elif len((steps := transitions_of(history)).rest) > 1:
            propagation.begin(steps, stretches)


@torch.no_grad()
def nats_per_frame(program: Program, history: History) -> dict[str, float]:
    """``-log p(z)`` by part, a frame, on average over the clips."""
    parts = density_by_part(program.model, history)
    return {name: -value.mean().item() / len(history) for name, value in parts.items()}


def _descend(
    program: Program, history: History, held: History, settings: PriorsTraining, tell: Tell
) -> None:
    """The optimizer's steps; each prior ends as it was when it foresaw held-out draws best."""
    model, clips = program.model, len(history[0].proposed.presence)
    priors = {
        name: prior
        for name in ("propagation", "discovery", "background")
        if (prior := getattr(model, name)) is not None
    }
    parameters = [p for prior in priors.values() for p in prior.learned()]
    if not parameters:
        return
    overshooting = None
    if isinstance(model.propagation, DynamicsPropagation) and len(history) > KNOWN + 1:
        overshooting = Overshooting(model.propagation)
        parameters += overshooting.parameters()
    optimizer = torch.optim.Adam(parameters, settings.learning_rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.steps, pct_start=0.1
    )
    best = {name: (math.inf, prior.state_dict()) for name, prior in priors.items()}
    for step in range(1, settings.steps + 1):
        for prior in priors.values():
            prior.progress(step / settings.steps)
        rows = torch.randint(clips, (settings.batch,), device=program.device)
        batch = chosen(history, rows)
        known = foreseen(model, batch)
        parts = density_by_part(model, batch, known)
        loss = -torch.stack(list(parts.values())).sum(0).mean() / len(history)
        if overshooting is not None:
            loss = loss + overshooting(model, batch, known)
            loss = loss + settling(model, batch, known) / len(history)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"step {step} of the priors' training is not finite (loss {loss.item():.3g}); "
                "lower train.priors.learning_rate"
            )
        optimizer.step()
        schedule.step()
        if step % CHECK_EVERY == 0 or step == settings.steps:
            nats = nats_per_frame(program, held)
            for name, prior in priors.items():
                # In the first half a prior may be bound in ways that it is not in the end.
                if 2 * step > settings.steps and nats[name] < best[name][0]:
                    best[name] = nats[name], copy.deepcopy(prior.state_dict())
            tell(step, settings.steps, f"{sum(nats.values()):.2f} nats a frame of held-out clips")
    for name, prior in priors.items():
        prior.load_state_dict(best[name][1])
    if isinstance(model.propagation, DynamicsPropagation):
        rows = torch.arange(clips, device=program.device).split(settings.batch)
        balance(model, (chosen(history, each) for each in rows))
