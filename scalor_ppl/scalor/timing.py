"""What a benchmark is told of SCALOR: its parts, its sizes, and how many objects it finds."""

import math
from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from torch import nn

from scalor_ppl.programs import TimedPart
from scalor_ppl.scalor import posterior_networks
from scalor_ppl.scalor.settings import ScalorConfig

# Where a part is found: in the model, the guide, or the module of the guide's networks; what it is
# called there; and its name. What a program lacks is left out.
_PARTS = (
    ("guide", "features", "image features"),
    ("guide", "propagate", "propagation: heads, attention, GRU"),
    ("guide", "proposal.propose", "proposals: heads"),
    ("guide", "discover", "proposals: heads"),
    ("guide", "discover_hoisted", "proposals: heads"),
    ("guide", "proposal.encode_mask", "proposals: mask encoder"),
    ("guide", "glimpses", "glimpse encoder"),
    ("guide", "background", "background"),
    ("guide", "light", "background"),
    ("guide", "sample_background", "background"),
    ("networks", "read_glimpses", "glimpse reading"),
    ("model", "decode", "glimpse decoder"),
    ("model", "moved_objects", "propagation mask (writing)"),
    ("model", "updated_trackers", "accept-reject, update"),
    ("model", "rendered", "rendering"),
    ("model", "propagation", "priors"),
    ("model", "propagation.update", "priors"),
    ("model", "discovery", "priors"),
    ("model", "carry", "priors"),
    ("model", "sample_background", "background"),
    ("model", "forward", "the model's loop, plates"),
    ("guide", "forward", "the guide's loop, plates"),
)

# z_pres of scripted objects: as sure as a trained posterior is.
_PRESENT, _ABSENT = 0.999, 0.001


def parts_of(model: Any, guide: Any) -> list[TimedPart]:
    """The parts of the forward pass that this model and guide have."""
    owners = {"model": model, "guide": guide, "networks": posterior_networks}
    found = (_found(owners[owner], path, name) for owner, path, name in _PARTS)
    return [part for part in found if part is not None]


def _found(owner: Any, path: str, name: str) -> TimedPart | None:
    """The function at a dotted path; a module's is its forward pass."""
    *way, last = path.split(".")
    for step in way:
        owner = getattr(owner, step, None)
    target = getattr(owner, last, None)
    if isinstance(target, nn.Module):
        return TimedPart(target, "forward", name)
    return TimedPart(owner, last, name) if callable(target) else None


def configs_for_size(config: ScalorConfig, height: int, width: int) -> dict[str, ScalorConfig]:
    """Configurations for images of a size: with the grid as it is, and with cells as large as now.

    Objects keep their size in pixels, and the capacity stays.
    """
    model = config.model
    assert model.height is not None
    assert model.width is not None
    scaled = (
        max(1, round(height * model.grid[0] / model.height)),
        max(1, round(width * model.grid[1] / model.width)),
    )
    return {
        f"grid {grid[0]} x {grid[1]}": config.with_model(height=height, width=width, grid=grid)
        for grid in dict.fromkeys((model.grid, scaled))
    }


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
        wanted = torch.full_like(drawn, _PRESENT if "_prop_" in name else _ABSENT)
        if name == "z_pres_disc_0":
            cells = drawn.shape[-1]
            chosen = torch.arange(self.objects, device=drawn.device) * cells // self.objects
            wanted[..., chosen] = _PRESENT
        value = self.presence.value(wanted)
        msg["value"] = value + (drawn - drawn.detach()) if drawn.requires_grad else value


def roomy(config: ScalorConfig, objects: int) -> ScalorConfig:
    """A configuration with room for so many objects, whose rules never delete one."""
    model = config.model
    side = math.ceil(math.sqrt(objects))
    enough = model.grid[0] * model.grid[1] >= objects
    rules = {
        "overlap": 1.0,
        "duplicate_radius": 1e-6,
        "vanish_share": 0.0,
        "doubled_radius": 1e-6,
    }
    return config.with_model(
        grid=model.grid if enough else (side, side),
        capacity=max(model.capacity, objects),
        proposals=None if model.proposals is None else max(model.proposals, objects),
        rules=model.rules.model_copy(update=rules),
    )
