"""What a program made of a video is looked at before anybody counts on it."""

from typing import Any

import torch
from pyro.poutine import Trace
from torch import Tensor

from scalor_ppl.errors import NotFiniteError
from scalor_ppl.objectives.culprits import culprit, frames_culprit, sites_culprit
from scalor_ppl.objectives.densities import latent_and_observed
from scalor_ppl.programs import Program

WAY_ON = "take an older checkpoint of the run, or train again with a lower train.learning_rate"


@torch.no_grad()
def check_scene(scene: Any, guide: Trace | None = None) -> None:
    """Complain about a scene that is not finite.

    A renderer leaves out boxes that are no numbers, so that their picture may look right: the
    latents are asked, too.

    Args:
        scene: what the model returned.
        guide: its trace, where there was one.

    Raises:
        NotFiniteError: the first latent or frame that is not finite, by name.
    """
    image: Tensor = scene.image
    sites = [] if guide is None else [site for _, site in latent_and_observed(guide)]
    # One number that is finite where all are; a sum of finite ones may be too large, so it is only
    # a reason to look.
    sums = torch.stack([image.sum(), *(site["value"].sum() for site in sites)])
    if torch.isfinite(sums.sum()):
        return
    found = sites_culprit((("guide", site) for site in sites), len(image)) or frames_culprit(image)
    if found is not None:
        raise NotFiniteError(f"what was made of the video is not finite: {found}; {WAY_ON}")


def check_weights(weights: Tensor, program: Program, video: Tensor) -> None:
    """Complain about log-weights of a video that are not finite.

    Raises:
        NotFiniteError: the first parameter, frame, latent or density that is not, by name.
    """
    if not torch.isfinite(weights).all():
        found = culprit(program.parts, (video,), None) or "nothing in another draw"
        raise NotFiniteError(f"a log-weight of the video is not finite: {found}; {WAY_ON}")
