"""Every program that ships, tiny, and one that does not.

``tiny_vrnn.py`` stands for a user's own file: it shares nothing with the programs of the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tiny import CPU, SETTINGS, Square
from torch import Tensor

from scalor_ppl.config.settings import merged
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.programs import Program
from scalor_ppl.programs.build import build_program
from scalor_ppl.programs.configuration import checked
from scalor_ppl.programs.registry import PROGRAMS

SOURCE = Square(18, 22)  # no power of two, no square
OWN = str(Path(__file__).with_name("tiny_vrnn.py"))
SMALL = {"hidden": 8, "maps": 16, "latent": 4}

CASES: dict[str, dict[str, Any]] = {
    "scalor": merged(SETTINGS, {"model": {"background": "vae", "background_dim": 2}}),
    "sqair": {
        "model": {"objects": 2, "glimpse": [6, 5], "what": 4, "hidden": 8},
        "guide": {"hidden": 8, "maps": 8},
        "train": {"estimator": "vimco", "particles": 2},
    },
    "vrnn": {"model": SMALL | {"features": 6}, "guide": {"hidden": 8}},
    "sequential-vae": {"model": SMALL | {"features": 6}, "guide": {"maps": 16, "features": 8}},
    "tiny": {"model_file": OWN, "guide_file": OWN},
}
for shipped, files in PROGRAMS.items():
    CASES[shipped] |= {"model_file": files.model, "guide_file": files.guide}
for tables in CASES.values():
    size = {"height": SOURCE.height, "width": SOURCE.width, "channels": SOURCE.channels}
    tables |= merged({"train": SETTINGS["train"]}, tables, {"model": size})


def build(name: str, **tables: Any) -> Program:
    """A fresh program, with changes."""
    return build_program(checked(merged(CASES[name], tables)), CPU)


def clip(frames: int, videos: int = 2) -> Tensor:
    """Frames that fit all of them, ``[B, T, C, H, W]``."""
    return to_video(np.stack([SOURCE.clip(i, frames).video for i in range(videos)]), CPU)
