"""Time of a step against the number of objects in the video."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from pyro.poutine.messenger import Messenger

from scalor_ppl.config.schema import Config
from scalor_ppl.errors import UserError
from scalor_ppl.inference.posterior import infer
from scalor_ppl.studies.benchmark.results import ObjectsTime, Quartiles
from scalor_ppl.studies.benchmark.step import Stepper, with_model

OBJECT_COUNTS = (4, 8, 16, 32, 64)

# z_pres of scripted objects: as sure as a trained posterior is.
PRESENT, ABSENT = 0.999, 0.001


class ScriptedPresence(Messenger):
    """Presence by script: a number of objects found in the first frame, none lost, none added.

    Values of the presence sites are overwritten where they are drawn, and their gradients kept, so
    that a step does all the work that it does without.

    Args:
        presence: the model's, which converts z_pres to values.
        objects: how many cells find an object.
    """

    def __init__(self, presence: Any, objects: int) -> None:
        super().__init__()
        self.presence = presence
        self.objects = objects

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        name, fn = msg["name"], msg["fn"]
        if msg["is_observed"] or not name.startswith("z_pres_"):
            return
        drawn = fn(*msg["args"], **msg["kwargs"])
        wanted = torch.full_like(drawn, PRESENT if "_prop_" in name else ABSENT)
        if name == "z_pres_disc_0":
            cells = drawn.shape[-1]
            chosen = torch.arange(self.objects, device=drawn.device) * cells // self.objects
            wanted[..., chosen] = PRESENT
        value = self.presence.value(wanted)
        msg["value"] = value + (drawn - drawn.detach()) if drawn.requires_grad else value


def time_objects(
    config: Config,
    batch: int,
    frames: int,
    steps: int,
    device: torch.device,
    counts: Sequence[int] = OBJECT_COUNTS,
) -> list[ObjectsTime]:
    """Time of forward and backward against the number of objects, all else fixed.

    Capacity and grid are made large enough for the largest number. The rules are evaluated but set
    so that they delete nothing. The numbers are measured in turns.

    Raises:
        UserError: the number of objects alive is not the one asked for.
    """
    stepper = Stepper(roomy(config, max(counts)), batch, frames, device)
    presence = stepper.program.model.presence
    guides = {n: ScriptedPresence(presence, n)(stepper.program.guide) for n in counts}
    for n, guide in guides.items():
        _check_alive(stepper, guide, n)
    times: dict[int, list[float]] = {n: [] for n in counts}
    for number in range(steps + 1):
        # Up and down in turns, so that a drift of the machine favours no number.
        for n in list(counts) if number % 2 else list(counts)[::-1]:
            forward, backward, _ = stepper.timed(functools.partial(stepper.forward, guides[n]))
            if number:  # the first round is warm-up
                times[n].append(forward + backward)
    return [ObjectsTime(n, Quartiles.of(seconds)) for n, seconds in times.items()]


def roomy(config: Config, objects: int) -> Config:
    """A configuration with room for so many objects, whose rules never delete one."""
    model: Any = config.model
    side = math.ceil(math.sqrt(objects))
    enough = model.grid[0] * model.grid[1] >= objects
    rules = model.rules.model_copy(
        update={
            "overlap": 1.0,
            "duplicate_radius": 1e-6,
            "vanish_share": 0.0,
            "doubled_radius": 1e-6,
        }
    )
    return with_model(
        config,
        grid=model.grid if enough else (side, side),
        capacity=max(model.capacity, objects),
        proposals=None if model.proposals is None else max(model.proposals, objects),
        rules=rules,
    )


def _check_alive(stepper: Stepper, guide: Any, objects: int) -> None:
    scene = infer(stepper.program.model, guide, stepper.video, sample=True)
    alive = torch.stack([each.alive.sum(1) for each in scene.trackers])
    if not bool((alive == objects).all()):
        raise UserError(
            f"presence cannot be scripted in this model: {alive.float().mean().item():.1f} objects "
            f"alive in place of {objects}; use --no-objects"
        )
