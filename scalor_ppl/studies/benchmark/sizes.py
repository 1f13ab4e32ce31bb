"""Time of a step against image size."""

import ctypes
import gc
import sys
from collections.abc import Sequence
from typing import Any

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.studies.benchmark.results import SizeTime
from scalor_ppl.studies.benchmark.step import Stepper, time_steps, with_model

IMAGE_SIZES = (64, 96, 128, 192)


def time_sizes(
    config: Config,
    batch: int,
    frames: int,
    steps: int,
    device: torch.device,
    sizes: Sequence[int] = IMAGE_SIZES,
) -> list[SizeTime]:
    """Time of a step against image size: grid fixed, and growing with the image.

    Objects keep their size in pixels, and the capacity stays.
    """
    model: Any = config.model
    assert model.height is not None
    assert model.width is not None
    cell = (model.height / model.grid[0], model.width / model.grid[1])
    measured = []
    for size in sizes:
        scaled = (max(1, round(size / cell[0])), max(1, round(size / cell[1])))
        for grid in dict.fromkeys((model.grid, scaled)):
            larger = with_model(config, height=size, width=size, grid=grid)
            stepper = Stepper(larger, batch, frames, device)
            seconds = time_steps(stepper, steps)
            measured.append(SizeTime(size, size, grid, seconds.total))
            del stepper
            _release()
    return measured


def _release() -> None:
    """Give memory back, so that one size does not pay for another's."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (OSError, AttributeError):  # another C library than glibc
            return
