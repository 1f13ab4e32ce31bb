"""A program that shares nothing with SCALOR, and finds an object: one spot that wanders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from pyro.poutine import Trace
from torch import Tensor, nn

from scalor_ppl.config.schema import Config, ModelSettings
from scalor_ppl.fitting.proposal import Proposal, objects_to_fit
from scalor_ppl.fitting.reasons import Draft
from scalor_ppl.fitting.survey import Survey
from scalor_ppl.nn.distributions import PixelNormal
from scalor_ppl.programs import (
    Family,
    FindsObjects,
    Memory,
    ObjectArrays,
    Program,
    ProposesSettings,
)
from scalor_ppl.render.boxes import boxes_from_where
from scalor_ppl.tracks.table import Tracks


class SpotSettings(ModelSettings):
    radius: float = 0.1  # in halves of the frame


class SpotConfig(Config):
    model: SpotSettings = SpotSettings()


class Scene(NamedTuple):
    image: Tensor  # [B, T, C, H, W]
    places: Tensor  # [B, T, 2], x and y in -1..1
    first: int  # number of the first frame
    memory: Tensor  # the last place


class Inferred(NamedTuple):
    memory: None = None


@dataclass(frozen=True)
class SpotProgram(Program, FindsObjects, ProposesSettings):
    def tracks(self, scene: Scene) -> list[Tracks]:
        boxes = boxes_from_where(self._where(scene), self.size).detach().numpy()
        ids = np.zeros(boxes.shape[1:3], np.int64)
        found = (np.arange(len(ids)) + scene.first == 0)[:, None]
        ones = np.ones(ids.shape, np.float32)
        return [Tracks(ids, each.astype(np.float32), ones, found) for each in boxes]

    def objects(self, scene: Scene) -> ObjectArrays:
        where = self._where(scene).detach().numpy()
        channels = scene.image.shape[2]
        glimpse = np.ones((*where.shape[:3], channels + 1, 4, 4), np.float32)
        return ObjectArrays(where, np.zeros(where.shape[:3]), where[..., :2], glimpse)

    def confidence(self, trace: Trace, scene: Scene) -> Tensor:
        return torch.full((*scene.places.shape[:2], 1), 0.9)

    def looks(self, video: Tensor, scene: Scene) -> Tensor:
        return video.mean((-1, -2))[:, :, None]

    def presence_in_words(self) -> str:
        return "always 1: the spot is there"

    @classmethod
    def propose(cls, survey: Survey) -> Proposal:
        objects, draft = objects_to_fit(survey), Draft()
        side = max(objects.widths[1], objects.heights[1])
        radius = round(side / min(survey.size), 3)
        draft.choose("model.radius", radius, "half of the median object's longer side")
        draft.choose("train.batch", 2, "spots are cheap")
        return Proposal(draft.settings, draft.reasons, objects)

    def _where(self, scene: Scene) -> Tensor:
        """[B, T, 1, 4]: one box about each place."""
        size = torch.full_like(scene.places, self.config.model.radius)  # type: ignore[attr-defined]
        return torch.cat((scene.places, size), -1)[:, :, None]


FAMILY = Family("spot", SpotConfig, SpotProgram)


class Model(nn.Module):
    pixels: Tensor  # [2, H, W], x and y in -1..1

    def __init__(self, config: SpotSettings) -> None:
        super().__init__()
        self.config = config
        self.colour = nn.Parameter(torch.zeros(config.channels or 1, 1, 1))
        self.scene = nn.Parameter(torch.zeros(config.channels or 1, 1, 1))
        rows = torch.linspace(-1, 1, config.height or 1)
        columns = torch.linspace(-1, 1, config.width or 1)
        self.register_buffer("pixels", torch.stack(torch.meshgrid(columns, rows, indexing="xy")))

    def forward(
        self,
        video: Tensor | None = None,
        *,
        memory: Memory | None = None,
        videos: int = 1,
        frames: int | None = None,
    ) -> Scene:
        seen: Sequence[Tensor] = () if video is None else video[:, None].unbind(2)
        videos = videos if video is None else len(video)
        place = self.colour.new_zeros(videos, 2) if memory is None else memory.foreseen
        images, places = [], []
        with pyro.plate("videos", videos, dim=-2):
            for t in range(frames or len(seen)):
                place = pyro.sample(f"z_{t}", dist.Normal(place[:, None], 0.3).to_event(1))[:, 0]
                away = (self.pixels - place[:, :, None, None]).square().sum(1, keepdim=True)
                shape = torch.exp(-away / self.config.radius**2)
                images.append(torch.sigmoid(self.scene + shape * self.colour))
                pixels = PixelNormal(images[t][:, None], self.config.sigma, event_dim=3)
                pyro.sample(f"x_{t}", pixels, obs=seen[t] if t < len(seen) else None)
                places.append(place)
        first = 0 if memory is None else memory.frame
        return Scene(torch.stack(images, 1), torch.stack(places, 1), first, place)


class Guide(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.encode = nn.Linear(model.pixels.shape[1] * model.pixels.shape[2], 2)

    def forward(self, video: Tensor, **_: Any) -> Inferred:
        places = torch.tanh(self.encode(video.mean(2).flatten(2)))
        with pyro.plate("videos", len(video), dim=-2):
            for t, loc in enumerate(places.unbind(1)):
                pyro.sample(f"z_{t}", dist.Normal(loc[:, None], 0.1).to_event(1))
        return Inferred()


def build_model(config: SpotConfig) -> Model:
    return Model(config.model)


def build_guide(config: SpotConfig, model: Model) -> Guide:
    return Guide(model)
