"""A guide trained alone: at videos that the program samples, and at clips of the data.

The ELBO is content with latents that explain the pixels in view: of an object that the edge of the
view cuts it does not mind a centre that lies inside, and a part taken for a small whole. In a video
that the model has sampled all latents are known. The log-density that the guide gives to whether
and where objects are, each frame after the true ones before it, is a part of the sleep phase of
wake-sleep (Hinton et al. 1995, "The wake-sleep algorithm for unsupervised neural networks"). What
is sampled is not all that is in the data: the training's own objective at clips of the data counts
as well, and looks are left to it. Trained on sampled looks, the guide tells real ones less exactly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import torch
from pyro import poutine
from pyro.poutine import Trace
from torch import Tensor

from scalor_ppl.data import Batch, ClipSource, batches
from scalor_ppl.errors import TrainingError, UserError
from scalor_ppl.inference.generation import imagine
from scalor_ppl.nn.pixels import to_device, to_frames, to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.objectives.densities import evaluate, latent_and_observed
from scalor_ppl.objectives.estimators import held_fixed, make_estimator
from scalor_ppl.objectives.objective import Objective
from scalor_ppl.programs import PartRecord, Program, Tell
from scalor_ppl.scalor.histories import moments_of, without_rejected
from scalor_ppl.scalor.settings import GuideTraining, ScalorConfig
from scalor_ppl.scalor.slots import Trackers

if TYPE_CHECKING:
    from scalor_ppl.scalor.program import ScalorProgram

AT_ONCE = 16  # videos that are sampled side by side
HELD_OUT = 8  # one video in so many is not trained on
MEASURED = 4  # batches of clips at which the objective is told
CHECK_EVERY = 25  # steps between figures
CLIP = 20.0  # largest gradient norm, of nats a frame


class Sampled(NamedTuple):
    """Videos from scratch, and the objects in them.

    Attributes:
        frames: ``[V, T, H, W, C]`` uint8.
        latents: values of the sites of objects, ``[V, ...]`` each, by name. What was proposed and
            rejected was never there.
    """

    frames: Tensor
    latents: dict[str, Tensor]

    def chosen(self, rows: Tensor) -> Sampled:
        """Some of them: int64 ``[v]``."""
        return Sampled(self.frames[rows], {name: z[rows] for name, z in self.latents.items()})


def train_guide(
    program: ScalorProgram, config: ScalorConfig, source: ClipSource, tell: Tell
) -> tuple[Program, PartRecord]:
    """See :meth:`scalor_ppl.programs.TrainsParts.with_trained_guide`."""
    if not program.knows_what_enters:
        raise UserError(
            "what the program samples is little like the data, as its priors have not learned what "
            "enters: scalor-ppl train --only priors first"
        )
    settings = config.train.guide
    torch.manual_seed(config.train.seed)
    trained = program.rebuilt(
        program.config.model_copy(update={"train": config.train, "data": config.data})
    )
    trained.model.eval()
    trained.guide.eval()
    since = time.perf_counter()
    sampled = sample_videos(program, settings, config.train.seed, tell)
    draw_seconds = time.perf_counter() - since
    count = len(sampled.frames)
    held = max(1, count // HELD_OUT)
    kept = sampled.chosen(torch.arange(count - held, count))
    sampled = sampled.chosen(torch.arange(count - held))
    with fast_pyro(), held_fixed(trained.model):
        before = figures(trained, source, kept, settings)
        since = time.perf_counter()
        _descend(trained, source, sampled, settings, tell)
        seconds = time.perf_counter() - since
        after = figures(trained, source, kept, settings)
    record = PartRecord(
        settings.model_dump(mode="json"),
        settings.steps,
        count,
        settings.frames,
        round(draw_seconds, 1),
        round(seconds, 1),
        before,
        after,
    )
    return trained, record


@torch.no_grad()
def sample_videos(program: Program, settings: GuideTraining, seed: int, tell: Tell) -> Sampled:
    """Videos from scratch, as many as the settings ask for."""
    frames: list[Tensor] = []
    latents: list[dict[str, Tensor]] = []
    for first in range(0, settings.videos, AT_ONCE):
        tell(first, settings.videos, "videos sampled")
        videos = min(AT_ONCE, settings.videos - first)
        length, noise = settings.frames, settings.temperature
        with poutine.trace() as traced:
            scene = imagine(
                program, videos=videos, frames=length, seed=seed + first, temperature=noise
            )
        frames.append(torch.from_numpy(to_frames(scene.image)))
        with program.presence_as("hard"):
            latents.append(latents_of(program, traced.trace, scene.trackers))
    return Sampled(
        torch.cat(frames), {name: torch.cat([z[name] for z in latents]) for name in latents[0]}
    )


def latents_of(program: Program, trace: Trace, trackers: Sequence[Trackers]) -> dict[str, Tensor]:
    """What is in the videos of a model's trace, by the names of the sites of objects."""
    moments = without_rejected(moments_of(program.model, trace, trackers))
    found: dict[str, Tensor] = {}
    for t, moment in enumerate(moments):
        for phase, latents in (("prop", moment.moved), ("disc", moment.proposed)):
            if latents is None:
                continue
            found[f"z_pres_{phase}_{t}"] = latents.presence
            found[f"z_where_{phase}_{t}"] = latents.where
            found[f"z_depth_{phase}_{t}"] = latents.depth
            found[f"z_what_{phase}_{t}"] = latents.what
    return found


def density_of_places(program: Program, sampled: Sampled) -> Tensor:
    """log q of whether and where objects are, ``[V]``, each given all latents before it."""
    device = program.device
    latents = {name: z.to(device) for name, z in sampled.latents.items()}
    inputs = program.inputs(to_video(sampled.frames.numpy(), device), None)
    with program.presence_as("hard"), poutine.trace() as traced:
        poutine.condition(program.guide, data=latents)(*inputs)
    evaluate(traced.trace)
    terms = []
    for name, site in latent_and_observed(traced.trace):
        if name.startswith("z_pres"):
            terms.append(site["log_prob"].flatten(1).sum(1))
        elif name.startswith("z_where"):
            # What is not there is nowhere.
            there = latents[name.replace("where", "pres")]
            terms.append((site["log_prob"] * there).flatten(1).sum(1))
    return torch.stack(terms).sum(0)


@torch.no_grad()
def figures(
    program: Program, source: ClipSource, kept: Sampled, settings: GuideTraining
) -> dict[str, float]:
    """Nats a frame: minus the objective at clips, and minus log q of places at videos.

    Args:
        program: whose guide it is.
        source: of the clips.
        kept: videos that it was not trained on.
        settings: of the training.
    """
    objective = _objective(program)
    clips = 0.0
    with torch.random.fork_rng(), closing(_clips(program, source, settings)) as stream:
        torch.manual_seed(0)
        for _ in range(MEASURED):
            clips += _per_frame(program, objective, next(stream)).item() / MEASURED
    total = 0.0
    for rows in torch.arange(len(kept.frames)).split(settings.sampled):
        total -= density_of_places(program, kept.chosen(rows)).sum().item()
    return {"objective": clips, "places": total / (len(kept.frames) * settings.frames)}


def _clips(
    program: Program, source: ClipSource, settings: GuideTraining, start: int = 0
) -> Generator[Batch, None, None]:
    """Batches of clips of the data, as a training of everything has them."""
    config = program.config
    return batches(
        source,
        batch=settings.batch,
        frames=settings.frames,
        seed=config.train.seed,
        start=start,
        augment=config.data.augment,
        upright=config.upright,
    )


def _objective(program: Program) -> Objective:
    """That of the configuration."""
    train = program.config.train
    latents = program.kind_of_latents(program.config)
    estimator = make_estimator(train.estimator, train.particles, latents)
    return Objective(estimator, program.model, program.guide)


def _per_frame(program: Program, objective: Objective, batch: Batch) -> Tensor:
    """Minus the objective of clips, nats a frame."""
    device = program.device
    corner = None if batch.corner is None else to_device(batch.corner, device)
    loss = objective(*program.inputs(to_video(batch.video, device), corner)).loss
    return loss / (batch.video.shape[0] * batch.video.shape[1])


def _descend(
    program: Program, source: ClipSource, sampled: Sampled, settings: GuideTraining, tell: Tell
) -> None:
    """The optimizer's steps."""
    objective = _objective(program)
    parameters = list(program.guide.parameters())
    rate = settings.learning_rate
    optimizer = torch.optim.Adam(parameters, rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=settings.steps, pct_start=0.1
    )
    with closing(_clips(program, source, settings, start=MEASURED)) as stream:
        for step in range(1, settings.steps + 1):
            loss = clips = _per_frame(program, objective, next(stream))
            known = math.nan
            if settings.weight:
                rows = torch.randint(len(sampled.frames), (settings.sampled,))
                videos = -density_of_places(program, sampled.chosen(rows)).mean()
                loss = clips + settings.weight * videos / settings.frames
                known = videos.item() / settings.frames
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(parameters, CLIP)
            if not torch.isfinite(norm):
                raise TrainingError(
                    f"step {step} of the guide's training is not finite (loss {loss.item():.3g}); "
                    "lower train.guide.learning_rate"
                )
            optimizer.step()
            schedule.step()
            if step % CHECK_EVERY == 0 or step == settings.steps:
                now = f"{clips.item():.0f} nats a frame of clips, {known:.1f} of sampled places"
                tell(step, settings.steps, now)
