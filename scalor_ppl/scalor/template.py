"""Where the template of a fixed camera starts: the most frequent value of every pixel."""

from typing import Any

import numpy as np
import torch

from scalor_ppl.data import ClipSource
from scalor_ppl.errors import UserError
from scalor_ppl.fitting.modes import mode_image

FRAMES = 200  # looked at


def begin_template(model: Any, source: ClipSource) -> None:
    """Set a model's template to the mode of a recording's frames.

    The mode, not the mean or median: somebody who stands still for half of the video would leave a
    ghost in those.

    Raises:
        UserError: the source is not a recording of one scene.
    """
    scenes = getattr(source, "whole_frames", None)
    if scenes is None:
        raise UserError(
            f'model.background = "template" is for a recording of a fixed camera, {source.name} '
            'is none: use "vae" or "none"'
        )
    frames: np.ndarray = scenes(FRAMES)
    image = torch.from_numpy(mode_image(frames)).permute(2, 0, 1) / 255
    model.template.begin(image.to(model.template.image.device))
