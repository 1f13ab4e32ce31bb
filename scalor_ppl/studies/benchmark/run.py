"""All measurements of a configuration, one after another."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.environment import environment
from scalor_ppl.errors import UserError
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import CountsObjects
from scalor_ppl.programs.loader import family_of
from scalor_ppl.studies.benchmark.memory import peak_memory
from scalor_ppl.studies.benchmark.objects import counts_objects, time_objects
from scalor_ppl.studies.benchmark.operations import arithmetic_rate, count_operations
from scalor_ppl.studies.benchmark.parts import time_parts
from scalor_ppl.studies.benchmark.pyro_share import pyro_share
from scalor_ppl.studies.benchmark.results import Report, StepOperations
from scalor_ppl.studies.benchmark.sizes import time_sizes
from scalor_ppl.studies.benchmark.step import Stepper, mean_alive, time_steps
from scalor_ppl.training.collector import long_lived_set_aside

Say = Callable[[str], None]


def run_benchmark(
    config: Config,
    *,
    batch: int,
    frames: int,
    steps: int,
    device: torch.device,
    threads: int | None = None,
    objects: bool | None = None,
    sizes: bool = True,
    say: Say = lambda message: None,
) -> Report:
    """Measure a configuration.

    Args:
        config: without height and width, 64 x 64 pixels are taken; without channels, 3.
        batch: videos a step.
        frames: length of a video.
        steps: repetitions of each measurement.
        device: where to run.
        threads: torch's threads on the CPU; none leaves them as they are.
        objects: measure time against the number of objects too; none does where the program can be
            told how many to find.
        sizes: measure time against image size too.
        say: told what is being measured.

    Raises:
        UserError: a number is below one, or the program cannot be told how many objects to find
            and is asked to, or finds another number.
    """
    _check(batch=batch, frames=frames, steps=steps)
    if threads is not None and threads < 1:
        raise UserError(f"--threads must be at least 1, not {threads}")
    config = filled(config)
    if objects:
        counts_objects(config)
    elif objects is None:
        objects = issubclass(family_of(config.model_file).program, CountsObjects)
    with torch_threads(threads), fast_pyro(), long_lived_set_aside():
        conditions = environment(device)
        say("memory, in a process of its own")
        memory = peak_memory(config, batch, frames, device)
        say("the step")
        stepper = Stepper(config, batch, frames, device)
        step = time_steps(stepper, steps)
        say("its operations")
        operations = count_operations(stepper)
        arithmetic = operations.total.flops / arithmetic_rate(stepper)
        say("its parts")
        parts = time_parts(stepper, steps)
        say("Pyro's share")
        share = pyro_share(stepper, steps)
        say("objects" if objects else "image size")
        counts = time_objects(config, batch, frames, steps, device) if objects else []
        say("image size")
        measured = time_sizes(config, batch, frames, steps, device) if sizes else []
        return Report(
            conditions,
            {
                "batch": batch,
                "frames": frames,
                "steps": steps,
                "config": config.model_dump(mode="json"),
            },
            stepper.count_parameters(),
            stepper.program.shape_in_words(),
            mean_alive(stepper.program, stepper.video),
            step,
            operations,
            step.total.median / arithmetic if arithmetic else math.inf,
            memory,
            parts,
            share,
            counts,
            counts[-1].seconds.median / counts[0].seconds.median if counts else None,
            measured,
        )


def operations_of(
    config: Config, *, batch: int, frames: int, device: torch.device
) -> StepOperations:
    """Operations of a configuration's step; see :func:`run_benchmark`.

    Raises:
        UserError: a number is below one.
    """
    _check(batch=batch, frames=frames)
    with fast_pyro():
        return count_operations(Stepper(filled(config), batch, frames, device))


def _check(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise UserError(f"--{name} must be at least 1, not {value}")


def filled(config: Config) -> Config:
    """The configuration with a frame of 64 x 64 pixels and 3 channels where it names none."""
    model = config.model
    return config.with_model(
        height=model.height or 64, width=model.width or 64, channels=model.channels or 3
    )


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """Torch's threads on the CPU for a while; none leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
