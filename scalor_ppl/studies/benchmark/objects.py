"""Time of a step against the number of objects in the video."""

import functools
from collections.abc import Sequence
from typing import Any

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.errors import UserError
from scalor_ppl.inference.posterior import infer
from scalor_ppl.programs import CountsObjects, require_of
from scalor_ppl.programs.loader import family_of
from scalor_ppl.studies.benchmark.results import ObjectsTime, Quartiles
from scalor_ppl.studies.benchmark.step import Stepper, objects_alive

OBJECT_COUNTS = (4, 8, 16, 32, 64)


def counts_objects(config: Config) -> type[CountsObjects]:
    """The configuration's program, as one that can be told how many objects to find.

    Raises:
        UserError: it cannot.
    """
    return require_of(family_of(config.model_file), CountsObjects, "bench --objects")


def time_objects(
    config: Config,
    batch: int,
    frames: int,
    steps: int,
    device: torch.device,
    counts: Sequence[int] = OBJECT_COUNTS,
) -> list[ObjectsTime]:
    """Time of forward and backward against the number of objects, all else fixed.

    There is room for the largest number, and rules are evaluated but delete nothing. The numbers
    are measured in turns.

    Raises:
        UserError: the program cannot be told how many objects to find, or finds another number.
    """
    kind = counts_objects(config)
    stepper = Stepper(kind.with_room(config, max(counts)), batch, frames, device)
    program: Any = stepper.program
    guides = {n: program.finding(n) for n in counts}
    for n, guide in guides.items():
        check_alive(stepper, guide, n, "use --no-objects")
    times: dict[int, list[float]] = {n: [] for n in counts}
    for number in range(steps + 1):
        # Up and down in turns, so that a drift of the machine favours no number.
        for n in list(counts) if number % 2 else list(counts)[::-1]:
            forward, backward, _ = stepper.timed(functools.partial(stepper.forward, guides[n]))
            if number:  # the first round is warm-up
                times[n].append(forward + backward)
    return [ObjectsTime(n, Quartiles.of(seconds)) for n, seconds in times.items()]


def check_alive(stepper: Stepper, guide: Any, objects: int, remedy: str) -> None:
    """Complain about a program that does not find as many objects as it is told.

    Args:
        stepper: of the program.
        guide: made to find them.
        objects: how many.
        remedy: what to do.

    Raises:
        UserError: it finds another number.
    """
    program: Any = stepper.program
    alive = objects_alive(program, infer(program.model, guide, stepper.video, sample=True))
    if not (alive == objects).all():
        raise UserError(
            f"{program.name} was told to find {objects} objects and found {alive.mean():.1f}; "
            f"{remedy}"
        )
