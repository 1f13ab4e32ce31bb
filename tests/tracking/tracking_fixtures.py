"""A trained program that ships with the package, and a clip of its set as a video file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tracking_helpers import RUN, SET, write_frames

from scalor_ppl.data import open_source
from scalor_ppl.programs import Program
from scalor_ppl.training.runs import load_run


@pytest.fixture(scope="session")
def program() -> Program:
    """Tracks 64 x 64 x 3."""
    return load_run(RUN, torch.device("cpu"))


@pytest.fixture(scope="session")
def clip() -> np.ndarray:
    """50 frames ``[T, 64, 64, 3]``."""
    return open_source(SET, split="test", seed=3).clip(0, 50).video


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory, clip: np.ndarray) -> Path:
    """The clip as a file."""
    return write_frames(tmp_path_factory.mktemp("video") / "clip.mkv", clip)
