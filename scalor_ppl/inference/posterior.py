"""What a trained pair of model and guide makes of a video."""

from typing import Any, NamedTuple

import torch
from pyro import poutine
from pyro.poutine import Trace
from torch import Tensor

from scalor_ppl.inference.finite import check_scene
from scalor_ppl.nn.modes import MostLikely
from scalor_ppl.programs import Memory, Program


@torch.no_grad()
def infer(
    model: Any,
    guide: Any,
    video: Tensor,
    corner: Tensor | None = None,
    *,
    sample: bool = False,
    likeliest: bool = False,
    **options: Any,
) -> Any:
    """Run the guide on a video and the model on the guide's latents.

    Args:
        model: the program.
        guide: its guide.
        video: ``[B, T, C, H, W]`` in [0, 1].
        corner: where crops lie, for programs that ask for it; see ``Program.inputs``.
        sample: draw from the posterior; by default every latent takes its mode.
        likeliest: what the priors decide takes its mode too, and is not sampled.
        options: for the model, ``frames`` beyond the observed ones among them; those are from the
            priors.

    Returns:
        What the model returns: the scene.
    """
    inputs = (video,) if corner is None else (video, corner)
    imagine = MostLikely()(model) if likeliest else model
    return _inferred(imagine, guide, inputs, sample=sample, **options)[1]


class Followed(NamedTuple):
    """What is known of some frames of a video.

    Attributes:
        scene: what the model returned.
        memory: to go on with.
        trace: of the guide, for how sure it was.
    """

    scene: Any
    memory: Memory
    trace: Trace


@torch.no_grad()
def follow(
    program: Program,
    video: Tensor,
    memory: Memory | None,
    *,
    sample: bool = False,
    **options: Any,
) -> Followed:
    """Go on with a video where the memory of the frames before left off.

    Chunk by chunk this gives, most likely values taken, what :func:`infer` gives for the whole
    video, in memory that does not grow with it.

    Args:
        program: trained.
        video: the next frames ``[B, T, C, H, W]`` in [0, 1].
        memory: what the chunk before returned; none at the beginning.
        sample: draw from the posterior; by default every latent takes its mode.
        options: for the model.
    """
    trace, scene = _inferred(
        program.model, program.guide, (video,), sample=sample, memory=memory, **options
    )
    inferred = trace.nodes["_RETURN"]["value"]
    return Followed(scene, program.remembered(memory, video.shape[1], scene, inferred), trace)


def _inferred(
    model: Any, guide: Any, inputs: tuple[Tensor, ...], *, sample: bool, **options: Any
) -> tuple[Trace, Any]:
    """The guide's trace, and what the model returns."""
    run = guide if sample else MostLikely()(guide)
    trace = poutine.trace(run).get_trace(*inputs, **options)
    # The observed frames are not needed for their density, only for their number.
    scene = poutine.replay(model, trace=trace)(*inputs, **options)
    check_scene(scene, trace)
    return trace, scene
