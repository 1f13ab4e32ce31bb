"""What SCALOR offers to the rest of the package beyond what any program does."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from pyro.poutine import Trace
from torch import Tensor

from scalor_ppl.config.schedules import Schedule
from scalor_ppl.config.schema import Config
from scalor_ppl.config.settings import read_preset
from scalor_ppl.fitting.proposal import Proposal
from scalor_ppl.fitting.survey import Survey
from scalor_ppl.programs import (
    CountsObjects,
    Intervenes,
    Memory,
    ObjectArrays,
    PartRecord,
    Program,
    ProposesSettings,
    Tell,
    TimedPart,
    TrainsParts,
)
from scalor_ppl.programs.build import build_program
from scalor_ppl.programs.configuration import NATURAL_PRESET
from scalor_ppl.scalor.background_training import train_background
from scalor_ppl.scalor.compiled_descent import CompiledDescent
from scalor_ppl.scalor.decoder_training import train_decoder
from scalor_ppl.scalor.guide_training import train_guide
from scalor_ppl.scalor.looks import looks_of
from scalor_ppl.scalor.memory import from_tensors, joined, parted, to_tensors
from scalor_ppl.scalor.noise import SameNoise
from scalor_ppl.scalor.prior_training import train_priors
from scalor_ppl.scalor.proposal import propose
from scalor_ppl.scalor.readout import WholeSize, confidence, spread, tracks_of
from scalor_ppl.scalor.settings import ScalorConfig
from scalor_ppl.scalor.sizes import config_for_size
from scalor_ppl.scalor.template import begin_template
from scalor_ppl.scalor.timing import ScriptedPresence, configs_for_size, parts_of, roomy
from scalor_ppl.scalor.whatif import Intervene
from scalor_ppl.tracks.table import Tracks

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScalorProgram(Program, CountsObjects, Intervenes, ProposesSettings, TrainsParts):
    """A SCALOR, or a program that builds on it."""

    config: ScalorConfig

    settings_of_parts = {  # noqa: RUF012 (a field of a frozen dataclass would be an option)
        "priors": (),
        "decoder": ("model.decoder", "model.glimpse", "model.occlusion"),
        "background": ("model.background_dim",),
        "guide": (),
    }

    # ------------------------------------------------------------------ training

    @classmethod
    def kind_of_latents(cls, config: Config) -> str:
        """``relaxed`` or ``hard``, as ``model.presence`` says."""
        assert isinstance(config, ScalorConfig)
        return config.model.presence

    @classmethod
    def with_latents(cls, config: Config, kinds: Collection[str]) -> Config:
        """The configuration with presence of one of these kinds."""
        assert isinstance(config, ScalorConfig)
        if config.model.presence in kinds:
            return config
        return config.with_model(presence=min(set(kinds) & {"relaxed", "hard"}))

    @classmethod
    def with_source(cls, config: Config, source: Any) -> Config:
        """A template of crops is as large as the whole frames that they are taken from."""
        assert isinstance(config, ScalorConfig)
        if config.model.background != "template" or config.data.crop is None:
            return config
        return config.with_model(frame=getattr(source, "whole", None))

    def prepare(self) -> None:
        """Let the glimpse networks run in the precision of the training."""
        self.model.mixed = self.config.train.precision == "bfloat16"

    def begin(self, source: Any) -> None:
        """Start a template from the recording's most frequent colours."""
        if self.config.model.background == "template":
            begin_template(self.model, source)

    def schedules(self) -> Mapping[str, Schedule]:
        """The temperature of presence, and the rate of the discovery prior."""
        train = self.config.train
        return {"temperature": train.temperature, "discovery_rate": train.discovery_rate}

    def drive(self, values: Mapping[str, float]) -> None:
        """Set both."""
        self.model.anneal(**values)

    def inputs(self, video: Tensor, corner: Tensor | None) -> tuple[Tensor, ...]:
        """The video, and where crops lie: a template asks for it."""
        return (video,) if corner is None else (video, corner)

    def figures(self, scene: Any) -> dict[str, float]:
        """Objects a frame, discoveries a video."""
        return self.model.diagnostics(scene)

    def packed(self, memory: Memory) -> dict[str, Any]:
        """Flat, by dotted names."""
        return to_tensors(memory)

    def unpacked(self, stored: Any) -> Memory:
        """The inverse."""
        return from_tensors(stored)

    def joined(self, memories: Sequence[Memory]) -> Memory:
        """Where slots came from is told among the rows of all videos: see `scalor.memory`."""
        return joined(memories, self.model.proposals)

    def parted(self, memory: Memory, videos: int) -> list[Memory]:
        """The inverse."""
        return parted(memory, videos, self.model.proposals)

    @property
    def knows_what_enters(self) -> bool:
        """So it is where the discovery prior has a rate of its own."""
        return bool(self.model.discovery.knows_rate)

    def with_trained_priors(
        self, config: Config, source: Any, tell: Tell
    ) -> tuple[Program, PartRecord]:
        """See :mod:`scalor_ppl.scalor.prior_training`."""
        assert isinstance(config, ScalorConfig)
        return train_priors(self, config, source, tell)

    def with_trained_decoder(
        self, config: Config, source: Any, tell: Tell
    ) -> tuple[Program, PartRecord]:
        """See :mod:`scalor_ppl.scalor.decoder_training`."""
        assert isinstance(config, ScalorConfig)
        return train_decoder(self, config, source, tell)

    def with_trained_background(
        self, config: Config, source: Any, tell: Tell
    ) -> tuple[Program, PartRecord]:
        """See :mod:`scalor_ppl.scalor.background_training`."""
        assert isinstance(config, ScalorConfig)
        return train_background(self, config, source, tell)

    def with_trained_guide(
        self, config: Config, source: Any, tell: Tell
    ) -> tuple[Program, PartRecord]:
        """See :mod:`scalor_ppl.scalor.guide_training`."""
        assert isinstance(config, ScalorConfig)
        return train_guide(self, config, source, tell)

    # ------------------------------------------------------------------ inference

    @property
    def bounded_presence(self) -> str | None:
        """Bounds are those of the hard program: an object is there or it is not."""
        return "hard"

    @contextmanager
    def presence_as(self, kind: str | None) -> Iterator[None]:
        """Make z_pres hard (zero or one) or relaxed in model, priors and guide for a while."""
        before = self.model.presence.kind
        self.model.presence.kind = kind or before
        try:
            yield
        finally:
            self.model.presence.kind = before

    @property
    def refinement(self) -> int:
        """``guide.refine``."""
        return self.config.guide.refine

    def refined(self, steps: int) -> Self:
        """The program with another ``guide.refine``, for which no calibration is known."""
        guide = self.config.guide.model_copy(update={"refine": steps})
        return self.rebuilt(self.config.model_copy(update={"guide": guide}))

    def compiled(self) -> Self:
        """Its refinement as a graph; see :mod:`scalor_ppl.scalor.compiled_descent`."""
        if not hasattr(self.guide, "descend"):
            return super().compiled()
        if not self.refinement:
            log.warning("--compile: without --refine there is nothing to be compiled")
            return self
        self.guide.descend = CompiledDescent()
        return self

    def for_size(self, size: tuple[int, int]) -> Self:
        """The program for frames of another size: same weights, more cells and more slots.

        Raises:
            UserError: its networks know the size of the frames that they were trained on.
        """
        if size == self.size:
            return self
        rebuilt = self.rebuilt(config_for_size(self.config, size))
        return replace(rebuilt, calibration=self.calibration)

    def imagining(
        self, observed: int, frames: int, first_rate: float | None, rate: float | None
    ) -> dict[str, Any]:
        """Rates of discovery by frame (paper section 5.1, experiment 3)."""
        first = first_rate
        if first is None and not self.knows_what_enters:
            first = self.config.model.first_rate
        beginning = [None] * observed if observed else [first]
        return {"discovery": [*beginning, *[rate] * (frames - len(beginning))]}

    def rebuilt(self, config: ScalorConfig, fresh: Collection[str] = ()) -> Self:
        """The program under another configuration, with the same weights.

        Args:
            config: the other one.
            fresh: ``model.NAME`` and ``guide.NAME``, modules that keep the weights they are built
                with.
        """
        built = build_program(config, self.device)
        assert isinstance(built, type(self))
        for part, module in built.parts.items():

            def is_fresh(name: str, part: str = part) -> bool:
                return f"{part}.{name.split('.')[0]}" in fresh

            own, theirs = module.state_dict(), self.parts[part].state_dict()
            weights = {n: w for n, w in own.items() if is_fresh(n)}
            weights |= {n: w for n, w in theirs.items() if not is_fresh(n)}
            module.load_state_dict(weights)
        built.model.anneal(
            temperature=self.model.presence.temperature, discovery_rate=self.model.discovery.rate
        )
        if isinstance(getattr(self.guide, "descend", None), CompiledDescent):
            built.guide.descend = CompiledDescent()
        built.model.train(self.model.training)
        built.guide.train(self.guide.training)
        return built

    # ------------------------------------------------------------------ objects

    def tracks(self, scene: Any) -> list[Tracks]:
        """The tracks of every video; for boxes see ``model.centred`` and ``model.tight_boxes``."""
        chosen = self.config.model
        tight: Literal["never", "in view", "always"] = "in view" if chosen.centred else "never"
        if chosen.tight_boxes:
            tight = "always"
        size = tuple(scene.image.shape[-2:])
        return tracks_of(scene.trackers, size, tight=tight, whole=WholeSize.of(chosen))

    def objects(self, scene: Any) -> ObjectArrays:
        """The objects in the slots of each frame's trackers."""

        def over_time(field: str) -> np.ndarray:
            values = [getattr(each.objects, field) for each in scene.trackers]
            return torch.stack(values, 1).detach().cpu().numpy()

        return ObjectArrays(*(over_time(field) for field in ("box", "depth", "what", "glimpse")))

    def importance(self, depth: np.ndarray) -> np.ndarray:
        """As in the rendering; see ``model.occlusion``."""
        occlusion = self.config.model.occlusion
        if occlusion is None:
            return super().importance(depth)
        return np.exp(-np.clip(occlusion * depth, -80, 80))

    def confidence(self, trace: Trace, scene: Any) -> Tensor:
        """q(z_pres = 1) of the trackers."""
        return confidence(self.model, trace, scene)

    def spread(self, trace: Trace, scene: Any) -> Tensor:
        """Standard deviations of z_where's centre in pixels."""
        return spread(self.model, trace, scene)

    def looks(self, video: Tensor, scene: Any) -> Tensor:
        """Colours of the objects' upper, middle and lower part."""
        return looks_of(video, scene.trackers)

    def presence_in_words(self) -> str:
        """The kind of z_pres, and its temperature."""
        presence = self.model.presence
        if presence.kind == "relaxed":
            return (
                f"relaxed (Concrete, temperature {presence.temperature:.3g}): in 1/2 to 1 if alive"
            )
        return "hard (Bernoulli): 0 or 1"

    def background(self, scene: Any) -> Tensor | None:
        """The background without the objects; none where they lie on black."""
        return scene.background

    # ------------------------------------------------------------------ benchmarks

    def timed_parts(self) -> list[TimedPart]:
        """What the table of speeds tells apart; see :mod:`scalor_ppl.scalor.timing`."""
        return parts_of(self.model, self.guide)

    @classmethod
    def configs_for_size(cls, config: Config, height: int, width: int) -> Mapping[str, Config]:
        """With the grid as it is, and with cells as large as they are."""
        assert isinstance(config, ScalorConfig)
        return configs_for_size(config, height, width)

    def shape_in_words(self) -> str:
        """Grid and capacity."""
        model = self.config.model
        return f"grid {model.grid[0]} x {model.grid[1]}, capacity {model.capacity}"

    @classmethod
    def with_room(cls, config: Config, objects: int) -> Config:
        """More cells, slots and proposals where there are too few, and rules that delete none."""
        assert isinstance(config, ScalorConfig)
        return roomy(config, objects)

    @classmethod
    def with_exact_room(cls, config: Config, objects: int) -> Config:
        """As many slots and proposals as objects, and the fewest cells of a square grid."""
        assert isinstance(config, ScalorConfig)
        return roomy(config.with_model(grid=(1, 1), capacity=1, proposals=1), objects)

    def finding(self, objects: int) -> Any:
        """The guide with the values of its presence sites overwritten."""
        return ScriptedPresence(self.model.presence, objects)(self.guide)

    # ------------------------------------------------------------------ fitting

    @classmethod
    def settings_for_any_video(cls) -> dict[str, Any]:
        """The preset for natural video, but for the size of its frames, which is proposed."""
        settings = read_preset(NATURAL_PRESET)
        del settings["data"]["resize"]
        return settings

    @classmethod
    def propose(cls, survey: Survey) -> Proposal:
        """See :mod:`scalor_ppl.scalor.proposal`."""
        return propose(survey)

    # ------------------------------------------------------------------ what if

    def intervening(self, interventions: Sequence[Any]) -> AbstractContextManager[Any]:
        """Pyro's ``do`` on single objects; see :mod:`scalor_ppl.scalor.whatif`."""
        return Intervene(self.model, interventions)

    def same_noise(self) -> AbstractContextManager[Any]:
        """Noise by identity; see :mod:`scalor_ppl.scalor.noise`."""
        return SameNoise(self.model)
