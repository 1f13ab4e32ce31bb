"""The mode of a video: what stands there most often, whatever else comes by."""

import numpy as np
import pytest
from scenes import Scene

from scalor_ppl.fitting.modes import mode_image
from scalor_ppl.fitting.sampling import EvenSample


def standing(share: float, frames: int = 100, noise: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """A textured colour background, and a video in which a man stands for a share of the time.

    Noise is small on the background; the man sways, so that his pixels vary.
    """
    rng = np.random.default_rng(0)
    background = rng.uniform(60, 200, (40, 60, 3))
    video = np.repeat(background[None], frames, axis=0)
    for t in range(round(share * frames)):
        sway = round(3 * np.sin(t / 3))
        video[t, 10:30, 25 + sway : 35 + sway] = rng.uniform(0, 60, (20, 10, 3))
    video += rng.normal(0, noise, video.shape)
    return background, np.clip(np.round(video), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_background_without_the_man_who_stands_for_long(share: float) -> None:
    background, video = standing(share)
    mode = mode_image(video)
    assert mode.dtype == np.float32
    assert mode.shape == background.shape
    assert np.abs(mode - background).mean() < 0.6
    assert np.mean(np.abs(mode - background).max(-1) > 8) < 0.002


def test_the_median_would_keep_him() -> None:
    background, video = standing(0.6)
    median = np.median(video, axis=0)
    assert np.abs(median - background)[15:25, 28:32].mean() > 50


def test_channels_never_mix_two_things() -> None:
    """Two colours that share the red alternate, one a little more often than the other."""
    video = np.zeros((50, 4, 4, 3), np.uint8)
    video[:27] = (200, 30, 90)
    video[27:] = (200, 180, 10)
    assert np.allclose(mode_image(video), (200, 30, 90))


def test_frames_one_by_one_and_more_than_are_sampled() -> None:
    video = Scene(objects=3, frames=130, speed=2).video()
    mode = mode_image(iter(video), samples=50)
    assert np.abs(mode[..., 0] - Scene().background()).mean() < 1.5


def test_extreme_levels_and_single_frames() -> None:
    frame = np.array([[[0], [255], [3], [128]]], np.uint8)
    assert np.array_equal(mode_image([frame]), frame.astype(np.float32))
    assert np.array_equal(mode_image([frame] * 7), frame.astype(np.float32))


def test_no_frames() -> None:
    with pytest.raises(ValueError, match="no frames"):
        mode_image([])


@pytest.mark.parametrize(("frames", "limit", "run"), [(7, 10, 1), (1000, 10, 1), (203, 6, 5)])
def test_samples_are_even_and_bounded(frames: int, limit: int, run: int) -> None:
    sample = EvenSample(limit, run)
    for n in range(frames):
        sample.offer(np.array(n))
    runs = [[int(n) for n in one] for one in sample.runs]
    assert min(limit / 2, frames / run) - 1 <= len(runs) <= limit
    assert all(one == list(range(one[0], one[0] + run)) for one in runs)
    gaps = np.diff([one[0] for one in runs])
    assert len(set(gaps.tolist())) <= 1
    assert frames - runs[-1][-1] <= 2 * gaps.max()


def test_senseless_samples() -> None:
    with pytest.raises(ValueError, match="limit=1"):
        EvenSample(1)


def motionless(first: int, last: int, frames: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """A smooth scene with an edge of its own, and a man who does not even sway."""
    rng = np.random.default_rng(3)
    y, x = np.indices((40, 60))
    scene = np.stack([120 + 20 * np.sin(x / 9 + c) + 15 * np.cos(y / 7) for c in range(3)], -1)
    scene[:, :28] += 30
    video = np.repeat(scene[None], frames, axis=0)
    video[first:last, 10:32, 22:34] = rng.uniform(10, 40, 3)
    video += rng.normal(0, 2, video.shape)
    return scene, np.clip(np.round(video), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("first", "last"), [(36, 100), (0, 64)])
def test_who_stands_for_most_of_the_time_has_an_edge(first: int, last: int) -> None:
    scene, video = motionless(first, last)
    mode = mode_image(video)
    assert np.abs(mode - scene).max(-1).mean() < 2
    assert np.mean(np.abs(mode - scene).max(-1) > 10) < 0.002


def test_a_part_of_the_scene_that_was_covered_for_long_stays() -> None:
    """A dark gate, and a white van before it for a while: the van has the stronger edge."""
    _, video = motionless(0, 100)
    covered = video.copy()
    covered[:30, 5:36, 15:40] = 250
    assert np.abs(mode_image(covered) - mode_image(video)).max() < 4
