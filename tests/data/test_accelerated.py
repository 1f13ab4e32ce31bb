"""The moving digits of SQAIR: how many, how large, and how they move."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scalor_ppl.data import Clip, SourceOptions, open_source
from scalor_ppl.data.accelerated import accelerated
from scalor_ppl.data.records import ClipSource

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"
needs_mnist = pytest.mark.skipif(not MNIST.is_dir(), reason=f"no MNIST files in {MNIST}")


def test_motion_by_hand() -> None:
    low, high = np.zeros((1, 2)), np.full((1, 2), 1000.0)
    track = accelerated(np.random.default_rng(0), np.full((1, 2), 500.0), 6, low, high, 9, 2, 0)
    speeds = np.diff(track[:, 0], axis=0)
    assert (np.abs(speeds) <= 9).all()
    # Uniform acceleration, until the velocity comes to its bound.
    free = (np.abs(speeds) < 9).all(0)
    assert free.any()
    changes = np.diff(speeds[:, free], axis=0)
    np.testing.assert_allclose(changes, np.broadcast_to(changes[0], changes.shape), atol=1e-9)
    assert (np.abs(changes) <= 2).all()


def test_walls_turn_velocity_and_acceleration_round() -> None:
    rng = np.random.default_rng(3)
    low, high = np.zeros((200, 2)), np.full((200, 2), 20.0)
    track = accelerated(rng, rng.uniform(0, 20, (200, 2)), 40, low, high, 6, 1, 0.01)
    assert track.min() >= 0
    assert track.max() <= 20
    steps = np.diff(track, axis=0)
    assert (np.abs(steps) <= 6 + 1e-9).all()
    turned = (np.sign(steps[1:]) != np.sign(steps[:-1])).mean()
    assert 0.1 < turned < 0.7


@pytest.fixture(scope="module")
def digits() -> ClipSource:
    options = SourceOptions(folder=MNIST)
    return open_source("moving-mnist-two", split="test", seed=0, options=options)


@pytest.fixture(scope="module")
def clips(digits: ClipSource) -> list[Clip]:
    return [digits.clip(i, 10) for i in range(150)]


@needs_mnist
def test_digits_are_those_of_the_paper(digits: ClipSource, clips: list[Clip]) -> None:
    assert (digits.height, digits.width, digits.channels) == (50, 50, 1)
    counts, inks, first = [], [], []
    for clip in clips:
        truth = clip.truth
        assert truth is not None
        counts.append(len(truth.ids))
        assert clip.video.shape == (10, 50, 50, 1)
        if counts[-1] == 0:
            assert clip.video.max() == 0
            continue
        assert (truth.visible[0] > 0.99).all() or counts[-1] == 2
        first.append(truth.boxes[0])
        inks.append(clip.video[0].sum() / 255 / counts[-1])
        # By the left and upper edge a digit turns round within the view, by the others beyond it.
        corner = truth.boxes[..., :2]
        assert corner.min() >= -1e-4
        assert corner.max() <= 50 + 1e-4
        assert (np.abs(np.diff(corner, axis=0)) <= 10 + 1e-4).all()
    assert np.bincount(counts, minlength=3).min() > 30
    boxes = np.concatenate(first)
    # As large as MNIST has them, wholly in view at first.
    assert np.mean(boxes[:, 3]) == pytest.approx(20, abs=1)
    assert (boxes[:, :2] + boxes[:, 2:]).max() <= 50 + 1e-4
    assert np.mean(inks) == pytest.approx(103, rel=0.1)


@needs_mnist
def test_longer_clip_of_digits_begins_with_the_shorter_one(digits: ClipSource) -> None:
    for index in range(5):
        longer, shorter = digits.clip(index, 12), digits.clip(index, 4)
        assert np.array_equal(longer.video[:4], shorter.video)
