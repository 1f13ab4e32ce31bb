"""A program trained on crops, for whole frames: same weights, more cells and more slots."""

import math

from scalor_ppl.config.reading import Pair
from scalor_ppl.errors import UserError
from scalor_ppl.scalor.settings import ModelConfig, ScalorConfig


def config_for_size(config: ScalorConfig, size: tuple[int, int]) -> ScalorConfig:
    """The configuration for frames of another size.

    Cells, boxes and movements keep their sizes in pixels; slots and proposals grow with the area.

    Args:
        config: of a trained program.
        size: height and width of the frames.

    Raises:
        UserError: its networks know the size of the frames that they were trained on.
    """
    reason = obstacle(config, size)
    if reason is not None:
        raise UserError(
            f"frames of {size[0]} x {size[1]} pixels cannot be tracked by a program trained on "
            f"{config.model.height} x {config.model.width}: {reason}"
        )
    return config.model_copy(update={"model": for_size(config.model, size)})


def obstacle(config: ScalorConfig, size: tuple[int, int]) -> str | None:
    """Why a program cannot be run on frames of a size; none where it can."""
    model, guide = config.model, config.guide
    if not model.anywhere:
        return "bring the video to that size, or train on crops with model.anywhere = true"
    if not guide.attention or guide.window is None:
        return "train with guide.window, so that trackers see the same part of larger frames"
    if model.background == "vae":
        return 'model.background = "vae" draws whole frames; train with "template" or "none"'
    if model.background == "template" and (model.frame or (model.height, model.width)) != size:
        return "its template shows a scene of another size; train on this video"
    if config.prior.discovery != "constant":
        return f"prior.discovery = {config.prior.discovery!r} may know places in the frame"
    return None


def for_size(model: ModelConfig, size: tuple[int, int]) -> ModelConfig:
    """The model's configuration for frames of another size."""
    assert model.height is not None
    assert model.width is not None
    down, across = size[0] / model.height, size[1] / model.width
    # Rounded down: cells a little too large are halved as often as those trained on.
    grid: Pair = (
        max(1, math.floor(model.grid[0] * down)),
        max(1, math.floor(model.grid[1] * across)),
    )
    step = model.max_step
    x, y = step if isinstance(step, tuple) else (step, step)
    found = {
        "height": size[0],
        "width": size[1],
        "grid": grid,
        "capacity": math.ceil(model.capacity * down * across),
        "max_step": (x / across, y / down),
    }
    if model.proposals is not None:
        found["proposals"] = math.ceil(model.proposals * down * across)
    return model.model_copy(update=found)
