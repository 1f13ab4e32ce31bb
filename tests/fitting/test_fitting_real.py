"""The recordings in ../shared/data: sensible sizes, numbers and settings without their truth."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalor_ppl.data import SourceOptions, iterate_frames
from scalor_ppl.fitting.modes import mode_image
from scalor_ppl.fitting.survey import Survey, survey
from scalor_ppl.scalor.proposal import propose

REAL = Path(__file__).parents[3] / "shared" / "data"
PEOPLE = REAL / "pets09_s2l1" / "frames_001_200.mp4"
PARTICLES = REAL / "bulk_water" / "frames_000_199.mp4"


def present(path: Path) -> Path:
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


@pytest.fixture(scope="module")
def people() -> Survey:
    return survey(present(PEOPLE), SourceOptions())


@pytest.fixture(scope="module")
def particles() -> Survey:
    return survey(present(PARTICLES), SourceOptions())


def test_pedestrians(people: Survey) -> None:
    truth = np.loadtxt(PEOPLE.with_name("gt_001_200.txt"), delimiter=",")
    assert people.size == (288, 384)
    assert people.channels == 3
    assert people.frames == 200
    assert people.rate == 7
    assert people.levels is None
    assert people.static
    assert 0.002 < people.noise < 0.02
    assert people.objects is not None
    assert people.motion is not None
    assert 10 < people.objects.widths[1] < 22
    assert 28 < people.objects.heights[1] < 50
    assert people.objects.heights[1] == pytest.approx(np.median(truth[:, 5]), rel=0.15)
    in_view = np.bincount(truth[:, 0].astype(int))[1:]
    assert people.objects.count[0] == pytest.approx(np.median(in_view), abs=2)
    assert people.objects.count[1] == pytest.approx(np.percentile(in_view, 95), abs=2)
    assert 1.2 < people.motion.median < 3
    assert people.motion.straightness > 0.8


def test_settings_for_pedestrians(people: Survey) -> None:
    settings: dict[str, Any] = propose(people).settings
    assert settings["data"]["resize"] == [144, 192]
    assert settings["data"]["stride"] == 1
    assert "crop" not in settings["data"]
    assert 10 <= settings["model"]["capacity"] <= 24
    # A line through the heights of the annotated boxes gives .73.
    assert 0.65 < settings["model"]["perspective"] < 0.8
    low, high = settings["model"]["object_width"]
    assert low <= 8
    assert 9 <= high <= 11.5
    low, high = settings["model"]["object_height"]
    assert low <= 19
    assert 24 <= high <= 28
    assert settings["model"]["background"] == "template"
    assert 0.03 < settings["model"]["max_step"] < 0.12


def test_colloids(particles: Survey) -> None:
    found = np.loadtxt(PARTICLES.with_name("trackpy_000_199.txt"), delimiter=",")
    assert particles.size == (424, 640)
    assert particles.channels == 1
    assert particles.rate == 24
    assert particles.levels is not None
    assert 105 <= particles.levels[0] <= 118
    assert 159 <= particles.levels[1] <= 172
    assert particles.static
    assert particles.objects is not None
    assert particles.motion is not None
    assert 8 < particles.objects.size < 15
    assert particles.objects.widths[1] == pytest.approx(particles.objects.heights[1], rel=0.1)
    in_view = np.median(np.bincount(found[:, 0].astype(int))[1:])
    assert particles.objects.count[0] == pytest.approx(in_view, rel=0.25)
    share = 256**2 / (424 * 640)
    assert 60 < particles.objects.count[0] * share < 200
    assert 0.25 < particles.motion.median < 0.7
    assert particles.motion.straightness < 0.8


def test_settings_for_colloids(particles: Survey) -> None:
    settings: dict[str, Any] = propose(particles).settings
    assert "resize" not in settings["data"]
    assert settings["data"]["crop"] == [64, 64]
    assert settings["data"]["channels"] == 1
    assert settings["data"]["stride"] == 1
    assert 20 <= settings["model"]["capacity"] <= 48
    low, high = settings["model"]["object_width"]
    assert low <= 8
    assert 10 <= high <= 16
    assert settings["model"]["anywhere"] is True


def test_background_without_the_man_who_stands_there() -> None:
    """A man stands in one place for over half of the video: the median shows him, not the mode."""
    frames = np.stack(list(iterate_frames(present(PEOPLE))))
    window = (slice(96, 150), slice(172, 196))
    truly = frames[(0, *window)].astype(float)  # he has not come yet
    mode = mode_image(frames)[window]
    median = np.median(frames, axis=0)[window]
    assert np.abs(mode - truly).mean() < 0.5 * np.abs(median - truly).mean()
