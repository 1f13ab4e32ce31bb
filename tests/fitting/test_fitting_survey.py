"""Surveys of synthetic videos, whose objects are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenes import Scene, write_images, write_mp4

from scalor_ppl.data import SourceOptions
from scalor_ppl.errors import UserError
from scalor_ppl.fitting import sampling
from scalor_ppl.fitting.linking import ObjectMotion
from scalor_ppl.fitting.objects import ObjectStatistics
from scalor_ppl.fitting.survey import Survey, survey

DEFAULT = SourceOptions()


def look(tmp_path: Path, video: np.ndarray, **options: Any) -> Survey:
    return survey(write_images(tmp_path / "video", video), SourceOptions(**options))


def seen(found: Survey) -> tuple[ObjectStatistics, ObjectMotion]:
    assert found.objects is not None
    assert found.motion is not None
    return found.objects, found.motion


SCENES = [
    Scene(),
    Scene(box=(5, 5), objects=20),
    Scene(box=(14, 40), objects=6, size=(192, 256), speed=1.5, channels=3),
    Scene(box=(12, 12), soft=True, objects=12, size=(160, 200)),
    Scene(box=(60, 150), objects=4, size=(400, 480), speed=6, frames=40),
    Scene(box=(10, 10), objects=4, size=(160, 200), speed=22),
    Scene(noise=12, contrast=60),
    Scene(objects=150, size=(200, 200), frames=100, speed=1.5),
]


@pytest.mark.parametrize(
    "scene",
    SCENES,
    ids=["round", "small", "upright", "soft", "large", "fast", "noisy", "dense"],
)
def test_sizes_numbers_and_ways(tmp_path: Path, scene: Scene) -> None:
    found = look(tmp_path, scene.video())
    objects, motion = seen(found)
    assert found.static
    assert found.size == scene.size
    assert found.frames == scene.frames
    for side, truth in zip((objects.widths, objects.heights), scene.box, strict=True):
        assert side[1] == pytest.approx(truth, abs=max(2.5, 0.1 * truth))
        assert side[2] < 1.3 * truth + 3
    assert 0.6 * scene.objects <= objects.count[1] <= 1.1 * scene.objects + 1
    assert motion.median == pytest.approx(scene.speed, rel=0.1)
    assert motion.drift == pytest.approx(motion.lag * scene.speed, rel=0.1)
    assert motion.straightness == pytest.approx(1, abs=0.1)


def test_what_is_nearer_is_larger(tmp_path: Path) -> None:
    scene = Scene(box=(14, 40), objects=5, size=(240, 320), speed=2, frames=120, perspective=0.5)
    plane = seen(look(tmp_path, scene.video()))[0].plane
    assert plane is not None
    assert plane.perspective == pytest.approx(0.5, abs=0.08)
    assert plane.widths[1] == pytest.approx(14, abs=2)
    assert plane.heights[1] == pytest.approx(40, abs=3)
    spread = plane.heights[2] - plane.heights[0]
    objects = seen(survey(tmp_path / "video", DEFAULT))[0]
    assert spread < 0.6 * (objects.heights[2] - objects.heights[0])
    twice = objects.in_units(2.0, 1.0).plane
    assert twice is not None
    assert twice.heights[1] == pytest.approx(2 * plane.heights[1])
    assert twice.perspective == plane.perspective


@pytest.mark.parametrize("scene", [*SCENES[:3], SCENES[7]])
def test_no_plane_is_made_up(tmp_path: Path, scene: Scene) -> None:
    objects = look(tmp_path, scene.video()).objects
    assert objects is not None
    assert objects.plane is None


def test_objects_that_keep_their_rows_make_no_plane(tmp_path: Path) -> None:
    frames = np.full((120, 120, 160, 1), 100, np.uint8)
    frames += np.random.default_rng(0).integers(0, 4, frames.shape, dtype=np.uint8)
    for t in range(len(frames)):  # a small one above, a large one below
        left = 5 + t
        frames[t, 20:40, left : left + 12] = 200
        frames[t, 75:105, 150 - left : 162 - left] = 200
    objects = look(tmp_path, frames).objects
    assert objects is not None
    assert objects.plane is None


def test_low_contrast_of_one_channel(tmp_path: Path) -> None:
    scene = Scene(
        size=(200, 256), objects=60, soft=True, contrast=-25, grain=4, diffuse=True, frames=100
    )
    video = scene.video()
    found = look(tmp_path, video)
    objects, _ = seen(found)
    assert found.levels is not None
    low, high = found.levels
    assert low <= np.percentile(video, 0.01)
    assert high >= np.percentile(video, 99.99)
    assert found.noise == pytest.approx(scene.noise / (high - low), rel=0.25)
    assert 7 < objects.size < 14
    assert objects.contrast == pytest.approx(25 / (high - low), rel=0.6)


def test_diffusion_is_told_from_steady_ways(tmp_path: Path) -> None:
    scene = Scene(objects=20, size=(160, 200), diffuse=True, speed=2, frames=200)
    _, motion = seen(look(tmp_path, scene.video()))
    assert motion.median == pytest.approx(2, rel=0.15)
    assert 0.25 < motion.straightness < 0.7


def test_rings_are_one_object(tmp_path: Path) -> None:
    scene = Scene(box=(14, 14), hole=0.6, objects=8, size=(128, 160), contrast=-60)
    objects, _ = seen(look(tmp_path, scene.video()))
    assert objects.size == pytest.approx(14, abs=3)


def test_colour_without_colour_is_one_channel(tmp_path: Path) -> None:
    video = Scene(channels=3, frames=30).video()
    assert look(tmp_path / "grey", video).channels == 1
    video[..., 0] = 255 - video[..., 0]
    assert look(tmp_path / "colour", video).channels == 3
    assert look(tmp_path / "wanted", video, channels=1).channels == 1


def test_a_compressed_file(tmp_path: Path) -> None:
    scene = Scene(box=(12, 24), channels=3, objects=6, size=(128, 160), speed=1.5)
    found = survey(write_mp4(tmp_path / "video.mp4", scene.video()), DEFAULT)
    objects, motion = seen(found)
    assert found.name == "video.mp4"
    assert found.rate == 10
    assert objects.widths[1] == pytest.approx(12, abs=2.5)
    assert objects.heights[1] == pytest.approx(24, abs=2.5)
    assert motion.median == pytest.approx(1.5, rel=0.2)


def test_options_decide_what_is_measured(tmp_path: Path) -> None:
    scene = Scene(box=(16, 16), objects=4, size=(128, 160), frames=90)
    folder = write_images(tmp_path / "video", scene.video())
    found = survey(folder, SourceOptions(resize=(64, 80), stride=3, start=3))
    objects, motion = seen(found)
    assert found.size == (64, 80)
    assert found.frames == 29
    assert found.rate is None
    assert objects.size == pytest.approx(8, abs=2)
    assert motion.median == pytest.approx(1.5, rel=0.15)
    given = survey(folder, SourceOptions(levels=(40, 220)))
    assert given.levels is None


def test_large_frames_are_measured_in_their_own_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(box=(30, 30), objects=5, size=(240, 320), frames=40, speed=3, noise=6)
    monkeypatch.setattr(sampling, "_FRAME_BYTES", scene.size[0] * scene.size[1] / 4)
    found = look(tmp_path, scene.video())
    objects, motion = seen(found)
    assert found.size == scene.size
    assert found.levels is not None
    # Reduced frames have less noise.
    assert found.noise * (found.levels[1] - found.levels[0]) < 0.6 * scene.noise
    assert objects.size == pytest.approx(30, abs=5)
    assert motion.median == pytest.approx(3, rel=0.1)


def test_a_moving_camera(tmp_path: Path) -> None:
    wide = Scene(size=(140, 300), objects=8, box=(8, 8), grain=20).video()
    panned = np.stack([frame[:, 3 * t : 3 * t + 120] for t, frame in enumerate(wide)])
    found = look(tmp_path / "panned", panned)
    assert not found.static
    assert found.objects is None
    assert found.motion is None
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 7, (len(wide), 2))
    places = zip(wide, corners, strict=True)
    shaken = np.stack([frame[y : y + 130, x : x + 200] for frame, (y, x) in places])
    assert not look(tmp_path / "shaken", shaken).static


def test_flickering_light_is_no_object(tmp_path: Path) -> None:
    video = Scene(objects=6, size=(128, 160)).video().astype(int)
    flicker = np.random.default_rng(0).integers(-20, 21, (len(video), 1, 1, 1))
    objects, _ = seen(look(tmp_path, np.clip(video + flicker, 0, 255).astype(np.uint8)))
    assert objects.size == pytest.approx(10, abs=2.5)
    assert objects.count[1] <= 7


@pytest.mark.parametrize("noise", [0.0, 8.0])
def test_nothing_moves(tmp_path: Path, noise: float) -> None:
    found = look(tmp_path, Scene(objects=0, noise=noise, frames=30).video())
    assert found.static
    assert found.objects is None
    assert found.motion is None


def test_one_colour_throughout(tmp_path: Path) -> None:
    found = look(tmp_path, np.full((25, 20, 30, 1), 77, np.uint8))
    assert found.static
    assert found.objects is None
    assert found.levels is None


def test_too_short(tmp_path: Path) -> None:
    video = Scene(frames=30).video()
    with pytest.raises(UserError, match="gives 3 frames, too few"):
        look(tmp_path / "a", video[:3])
    with pytest.raises(UserError, match=r"gives 15 frames, too few .* smaller stride"):
        look(tmp_path / "b", video, stride=2)


def test_tiles_cannot_be_surveyed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leave the tiles out"):
        look(tmp_path, Scene(frames=20).video(), tiles=(2, 2))


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        survey(tmp_path / "nowhere.mp4", DEFAULT)
