"""Videos from the program: sampled from scratch, or an observed clip imagined further."""

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from typing import Any

import numpy as np
import torch

from scalor_ppl.errors import UserError
from scalor_ppl.inference.finite import check_scene
from scalor_ppl.inference.interventions import Intervention, check_imagined
from scalor_ppl.inference.posterior import infer
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.tempered import Tempered
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import Intervenes, Program, require


def imagine(
    program: Program,
    *,
    videos: int,
    frames: int,
    seed: int,
    first_rate: float | None = None,
    rate: float | None = None,
    temperature: float = 1.0,
) -> Any:
    """Sample whole videos from the priors (paper section 5.1, experiment 3).

    Args:
        program: trained.
        videos: how many.
        frames: how long.
        seed: of the samples.
        first_rate: probability that a cell discovers in the first frame; by default what the
            prior has learned, or the configuration's (0.2, as in the paper) where it has not.
        rate: the same in later frames; the trained prior's by default.
        temperature: factor of the latents' noise, 0 to 1; below 1 these are no samples of the
            program any more: see :class:`~scalor_ppl.nn.tempered.Tempered`.

    Returns:
        The scene.
    """
    options = program.imagining(0, frames, first_rate, rate)
    torch.manual_seed(seed)
    # An object is there or it is not: relaxed, it would be half transparent.
    kind = program.bounded_presence
    calm = Tempered(temperature) if temperature < 1 else nullcontext()
    with torch.no_grad(), fast_pyro(), program.presence_as(kind), calm:
        scene = program.model(videos=videos, frames=frames, **options)
    check_scene(scene)
    return scene


def continue_clip(
    program: Program,
    clip: np.ndarray,
    *,
    observe: int,
    frames: int,
    seed: int,
    rate: float | None = 0.0,
    interventions: Sequence[Intervention] = (),
) -> Any:
    """Track the first frames of a clip, then imagine the rest from the priors.

    An object's noise depends on the seed and its identity: what is imagined with and without
    interventions differs by their effects only.

    Args:
        program: trained.
        clip: ``[T, H, W, C]`` uint8, at least ``observe`` frames.
        observe: frames seen.
        frames: frames in all.
        seed: of the samples.
        rate: probability that a cell discovers in an imagined frame; 0 switches discovery off
            (the paper's conditional generation), none takes the trained prior's.
        interventions: on objects in imagined frames.

    Returns:
        The scene, a batch of one.

    Raises:
        UserError: the clip has another size than the program's or fewer frames than are to be
            observed, or nothing is left to imagine, or an intervention is not possible.
    """
    program.check_fits("the clip", *clip.shape[1:])
    if len(clip) < observe:
        raise UserError(f"the clip has {len(clip)} frames, fewer than --observe-frames {observe}")
    if frames <= observe:
        raise UserError(f"--frames {frames} leaves nothing to imagine after {observe} observed")
    check_imagined(interventions, observe, frames)
    model = program.model
    options = program.imagining(observe, frames, None, rate)
    video = to_video(clip[None, :observe], program.device)
    with ExitStack() as handlers:
        if isinstance(program, Intervenes):
            handlers.enter_context(program.same_noise())
        if interventions:
            acting = require(program, Intervenes, "generate --do").intervening(interventions)
            handlers.enter_context(acting)
        torch.manual_seed(seed)
        with fast_pyro():
            return infer(model, program.guide, video, frames=frames, **options)
