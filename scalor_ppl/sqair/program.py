"""What SQAIR offers to the rest of the package beyond what any program does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pyro.poutine import Trace
from pyro.poutine.messenger import Messenger
from torch import Tensor

from scalor_ppl.config.schedules import Schedule
from scalor_ppl.config.schema import Config
from scalor_ppl.programs import CountsObjects, ObjectArrays, Program
from scalor_ppl.render.looks import part_colours
from scalor_ppl.sqair.readout import confidence, objects_of, over_time, spread, tracks_of
from scalor_ppl.sqair.settings import SqairConfig
from scalor_ppl.tracks.table import Tracks


@dataclass(frozen=True)
class SqairProgram(Program, CountsObjects):
    """A SQAIR, or a program that builds on it."""

    config: SqairConfig

    latents = "hard"

    def schedules(self) -> Mapping[str, Schedule]:
        """How readily objects are found after the first frame."""
        return {"late_odds": self.config.train.late_odds}

    def drive(self, values: Mapping[str, float]) -> None:
        """Set that."""
        self.model.late_odds = values["late_odds"]

    def figures(self, scene: Any) -> dict[str, float]:
        """Objects a frame, discoveries a video."""
        return self.model.diagnostics(scene)

    @property
    def bounded_presence(self) -> str | None:
        """Presence is always hard: an object is there or it is not."""
        return "hard"

    def imagining(
        self, observed: int, frames: int, first_rate: float | None, rate: float | None
    ) -> dict[str, Any]:
        """Rates at which a step of discovery finds an object; the priors' where none is given."""
        beginning = [None] * observed if observed else [first_rate]
        return {"discovery": [*beginning, *[rate] * (frames - len(beginning))]}

    # ------------------------------------------------------------------ objects

    def tracks(self, scene: Any) -> list[Tracks]:
        """The tracks of every video; boxes are those of the glimpses."""
        return tracks_of(scene.slots, tuple(scene.image.shape[-2:]))

    def objects(self, scene: Any) -> ObjectArrays:
        """The objects in the slots of each frame."""
        return objects_of(scene.slots)

    def confidence(self, trace: Trace, scene: Any) -> Tensor:
        """q(z_pres = 1) of the objects."""
        return confidence(trace, scene.slots)

    def spread(self, trace: Trace, scene: Any) -> Tensor:
        """Standard deviations of z_where's centre in pixels."""
        return spread(trace, scene.slots, tuple(scene.image.shape[-2:]))

    def looks(self, video: Tensor, scene: Any) -> Tensor:
        """Colours of the objects' upper, middle and lower part."""
        return part_colours(video, over_time(scene.slots, "where"), over_time(scene.slots, "mask"))

    def presence_in_words(self) -> str:
        """Presence is always hard."""
        return "hard (Bernoulli): 0 or 1"

    # ------------------------------------------------------------------ benchmarks

    def shape_in_words(self) -> str:
        """The number of slots, over which model and guide go one by one."""
        return f"{self.config.model.objects} objects"

    @classmethod
    def with_room(cls, config: Config, objects: int) -> Config:
        """More slots where there are too few; nothing deletes an object but its own presence."""
        assert isinstance(config, SqairConfig)
        return config.with_model(objects=max(config.model.objects, objects))

    @classmethod
    def with_exact_room(cls, config: Config, objects: int) -> Config:
        """As many slots, and steps of discovery, as objects."""
        assert isinstance(config, SqairConfig)
        return config.with_model(objects=objects)

    def finding(self, objects: int) -> Any:
        """The guide with the values of its presence sites overwritten."""
        return ScriptedDiscovery(objects)(self.guide)


class ScriptedDiscovery(Messenger):
    """Presence by script: a number of objects found in the first frame, none lost, none added.

    Args:
        objects: how many.
    """

    def __init__(self, objects: int) -> None:
        super().__init__()
        self.objects = objects

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        name = msg["name"]
        if msg["is_observed"] or not name.startswith("z_pres_"):
            return
        phase, number, frame = name.removeprefix("z_pres_").split("_")
        new = frame == "0" and int(number) < self.objects
        value = float(phase == "prop" or new)
        msg["value"] = torch.full_like(msg["fn"].logits, value)
