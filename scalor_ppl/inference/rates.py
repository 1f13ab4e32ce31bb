"""What a program's latents cost on held-out clips: the rate, by kind of latent."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from scalor_ppl.data import ClipSource
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.objectives.estimators import Elbo
from scalor_ppl.programs import Program


@dataclass(frozen=True)
class LatentRates:
    """The evidence lower bound in parts: nats a clip, means over clips and draws.

    Attributes:
        draws: of the posterior, a clip.
        log_likelihood: of the frames, given the drawn latents.
        by_kind: log q - log p of the latents by kind and phase, as ``where_prop``: their
            Monte-Carlo divergence from the prior, given the latents before them.
    """

    draws: int
    log_likelihood: float
    by_kind: Mapping[str, float]

    @property
    def total(self) -> float:
        """Of all latents, nats a clip."""
        return sum(self.by_kind.values())


@torch.no_grad()
def latent_rates(
    program: Program, source: ClipSource, *, clips: int, frames: int, draws: int = 4, seed: int = 0
) -> LatentRates:
    """Measure what the latents of a source's first clips cost, with hard presence.

    Args:
        program: trained.
        source: of clips.
        clips: how many.
        frames: length of each.
        draws: of each clip.
        seed: of the draws.
    """
    torch.manual_seed(seed)
    estimator = Elbo(num_particles=draws)
    total: dict[str, float] = {}
    with fast_pyro(), program.presence_as(program.bounded_presence):
        for number in range(clips):
            video = to_video(source.clip(number, frames).video[None], program.device)
            estimate = estimator.estimate(program.model, program.guide, video)
            for name, value in estimate.parts().items():
                total[name] = total.get(name, 0.0) + value / clips
    likelihood = total.pop("log_likelihood")
    kinds = {name.removeprefix("kl_"): value for name, value in total.items()}
    return LatentRates(draws, likelihood, kinds)
