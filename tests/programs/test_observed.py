"""What a model is told of its frames, and what a call of it is about."""

from __future__ import annotations

import pytest
import torch

from scalor_ppl.config.schema import ModelSettings
from scalor_ppl.programs.observed import stretch_of


def test_frames_are_known_before_a_model_is_built() -> None:
    assert ModelSettings(height=16, width=24, channels=3).known_frames() == ((16, 24), 3)
    with pytest.raises(ValueError, match="height, width and channels of the model must be known"):
        ModelSettings(height=16, width=24).known_frames()


def test_what_a_call_asks_for() -> None:
    video = torch.rand(2, 3, 1, 4, 5)
    videos, frames, observed, rates = stretch_of(video, 7, 5, [0.1, None, 0, 0, 0])
    assert (videos, frames, len(observed), list(rates)) == (2, 5, 3, [0.1, None, 0, 0, 0])
    assert torch.equal(observed[2], video[:, 2:3])
    assert stretch_of(video, 7, None, None)[1] == 3
    assert stretch_of(None, 7, 4, None) == (7, 4, (), [None] * 4)
    with pytest.raises(ValueError, match="give a video to observe, or the number of frames"):
        stretch_of(None, 7, None, None)
    with pytest.raises(ValueError, match="discovery has 2 rates, for 3 frames"):
        stretch_of(video, 7, None, [0.1, 0.2])
