"""A recurrent VAE in one file, as somebody would write it who has read the documentation only."""

from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from scalor_ppl.config.schema import Config, ModelSettings
from scalor_ppl.nn.distributions import PixelNormal
from scalor_ppl.programs import Family, Memory


class TinySettings(ModelSettings):
    latent: int = 3
    hidden: int = 8


class TinyConfig(Config):
    model: TinySettings = TinySettings()


FAMILY = Family("tiny", TinyConfig)


class Scene(NamedTuple):
    image: Tensor  # [B, T, C, H, W]
    memory: Tensor  # the state after the last frame


class Inferred(NamedTuple):
    memory: None = None


class Model(nn.Module):
    def __init__(self, config: TinySettings) -> None:
        super().__init__()
        self.config = config
        self.frame = torch.Size((config.channels or 1, config.height or 1, config.width or 1))
        self.prior = nn.Linear(config.hidden, config.latent)
        self.decode = nn.Linear(config.latent + config.hidden, self.frame.numel())
        self.cell = nn.GRUCell(config.latent, config.hidden)

    def forward(self, video: Any = None, *, memory: Memory | None = None, **how: Any) -> Scene:
        seen = () if video is None else video[:, None].unbind(2)
        videos = how.get("videos", 1) if video is None else len(video)
        state = self.prior.weight.new_zeros(videos, self.config.hidden)
        state = state if memory is None else memory.foreseen
        images = []
        with pyro.plate("videos", videos, dim=-2):
            for t in range(how.get("frames") or len(seen)):
                prior = dist.Normal(self.prior(state)[:, None], 1.0).to_event(1)
                z = pyro.sample(f"z_{t}", prior)[:, 0]
                logits = self.decode(torch.cat((z, state), -1)).unflatten(-1, self.frame)
                images.append(torch.sigmoid(logits))
                pixels = PixelNormal(images[t][:, None], self.config.sigma, event_dim=3)
                pyro.sample(f"x_{t}", pixels, obs=seen[t] if t < len(seen) else None)
                state = self.cell(z, state)
        return Scene(torch.stack(images, 1), state)


class Guide(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.encode = nn.Linear(model.frame.numel(), model.config.latent)

    def forward(self, video: Tensor, **_: Any) -> Inferred:
        with pyro.plate("videos", len(video), dim=-2):
            for t, loc in enumerate(self.encode(video.flatten(2)).unbind(1)):
                pyro.sample(f"z_{t}", dist.Normal(loc[:, None], 0.3).to_event(1))
        return Inferred()


def build_model(config: TinyConfig) -> Model:
    return Model(config.model)


def build_guide(config: TinyConfig, model: Model) -> Guide:
    return Guide(model)
