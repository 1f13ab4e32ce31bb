"""Time of a step against image size."""

import ctypes
import gc
import sys
from collections.abc import Sequence

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.programs.loader import family_of
from scalor_ppl.studies.benchmark.results import SizeTime
from scalor_ppl.studies.benchmark.step import Stepper, time_steps

IMAGE_SIZES = (64, 96, 128, 192)


def time_sizes(
    config: Config,
    batch: int,
    frames: int,
    steps: int,
    device: torch.device,
    sizes: Sequence[int] = IMAGE_SIZES,
) -> list[SizeTime]:
    """Time of a step against image size, in every way that the program can grow with it."""
    program = family_of(config.model_file).program
    measured = []
    for size in sizes:
        for variant, larger in program.configs_for_size(config, size, size).items():
            stepper = Stepper(larger, batch, frames, device)
            seconds = time_steps(stepper, steps)
            measured.append(SizeTime(size, size, variant, seconds.total))
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
