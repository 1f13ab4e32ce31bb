"""What follows from a survey: settings in range, and a reason for each."""

from dataclasses import replace
from typing import Any

import pytest
import tomli_w

from scalor_ppl.data import SourceOptions
from scalor_ppl.errors import UserError
from scalor_ppl.fitting.camera import Camera
from scalor_ppl.fitting.linking import ObjectMotion
from scalor_ppl.fitting.objects import ObjectStatistics, Plane
from scalor_ppl.fitting.proposal import Proposal
from scalor_ppl.fitting.survey import Survey
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.scalor.proposal import propose

STILL = Camera(static=True, still=30, shifted=0, silent=9, explained=0.97)
MOVING = Camera(static=False, still=1, shifted=25, silent=13, explained=0.4)

PEOPLE = Survey(
    name="people.mp4",
    options=SourceOptions(),
    size=(288, 384),
    channels=3,
    frames=200,
    rate=7.0,
    levels=None,
    noise=0.008,
    camera=STILL,
    objects=ObjectStatistics((12, 18, 28), (30, 41, 52), count=(5, 7), covered=0.02, contrast=0.4),
    motion=ObjectMotion(median=2.2, high=6.0, drift=8.8, lag=4),
)
"""Pedestrians before a fixed camera."""

PARTICLES = Survey(
    name="particles.tif",
    options=SourceOptions(),
    size=(424, 640),
    channels=1,
    frames=200,
    rate=24.0,
    levels=(113, 164),
    noise=0.03,
    camera=STILL,
    objects=ObjectStatistics((8, 9, 11), (8, 9, 11), count=(560, 600), covered=0.05, contrast=0.25),
    motion=ObjectMotion(median=0.4, high=1.25, drift=0.9, lag=4),
)
"""Colloids under a microscope."""


def with_objects(survey: Survey, **changes: Any) -> Survey:
    assert survey.objects is not None
    return replace(survey, objects=replace(survey.objects, **changes))


def value(proposal: Proposal, name: str) -> Any:
    found: Any = proposal.settings
    for key in name.split("."):
        found = found.get(key)
    return found


def why(proposal: Proposal, name: str) -> str:
    return next(reason.why for reason in proposal.reasons if reason.name == name)


@pytest.mark.parametrize(
    "survey", [PEOPLE, PARTICLES, replace(PEOPLE, camera=MOVING, objects=None)]
)
def test_every_setting_exists_and_has_its_reason(survey: Survey) -> None:
    proposal = propose(survey)
    ScalorConfig.model_validate(proposal.settings)
    tomli_w.dumps(proposal.settings)
    names = [reason.name for reason in proposal.reasons]
    assert len(set(names)) == len(names)
    for reason in proposal.reasons:
        assert value(proposal, reason.name) == reason.value
        assert 10 < len(reason.why) < 160
        assert not reason.why.endswith(".")


def test_people() -> None:
    proposal = propose(PEOPLE)
    expected = {
        "data.resize": [144, 192],
        "data.crop": None,
        "data.levels": None,
        "data.channels": None,
        "data.augment": True,
        "data.stride": 1,
        "model.grid": [18, 24],
        "model.capacity": 14,
        "model.proposals": 28,
        "model.glimpse": [24, 12],
        "model.background": "template",
        "model.anywhere": None,
        "model.sigma": 0.1,
        "prior.propagation": "momentum",
        "guide.difference": True,
        "guide.colour_blind": True,
        "model.rules.vanish_share": 0.04,
        "guide.window": None,
        "train.batch": 2,
        "train.frames": 6,
        "train.chunks": 10,
        "train.optimizer": "muon",
    }
    assert {name: value(proposal, name) for name in expected} == expected
    assert value(proposal, "model.object_width") == [5.1, 10.8]
    assert value(proposal, "model.object_height") == [12.8, 24.6]
    assert 1.5 * 6 / 2 / 72 <= value(proposal, "model.max_step") <= 0.1


def test_people_on_a_plane() -> None:
    plane = Plane(0.656, (14, 20, 30), (42, 48, 54))
    proposal = propose(with_objects(PEOPLE, plane=plane))
    assert value(proposal, "model.perspective") == 0.66
    assert "larger the lower" in why(proposal, "model.perspective")
    assert value(proposal, "model.object_width") == [7.5, 10.5]
    assert value(proposal, "model.object_height") == [18.0, 25.2]
    other = propose(with_objects(PEOPLE, plane=replace(plane, perspective=-0.3)))
    assert "smaller the lower" in why(other, "model.perspective")


def test_crops_know_of_no_plane() -> None:
    plane = Plane(0.5, (8, 9, 11), (8, 9, 11))
    proposal = propose(with_objects(PARTICLES, plane=plane))
    assert value(proposal, "model.perspective") is None
    assert value(proposal, "model.object_width") == value(propose(PARTICLES), "model.object_width")


def test_particles() -> None:
    proposal = propose(PARTICLES)
    expected = {
        "data.resize": None,
        "data.crop": [64, 64],
        "data.levels": [113, 164],
        "data.channels": 1,
        "data.augment": False,
        "train.optimizer": None,
        "data.stride": 1,
        "model.grid": [16, 16],
        "model.frame": [424, 640],
        "model.anywhere": True,
        "model.background": "template",
        "guide.window": [8, 8],
        "guide.difference": True,
        "guide.colour_blind": False,
        "model.rules.vanish_share": None,
        "prior.propagation": "recurrent",
        "train.chunks": 1,
    }
    assert {name: value(proposal, name) for name in expected} == expected
    mean = 600 * 64**2 / (424 * 640)
    assert 2 * mean < value(proposal, "model.capacity") < 5 * mean
    assert value(proposal, "model.proposals") == 2 * value(proposal, "model.capacity")
    assert value(proposal, "model.max_step") >= 9 / 3 / 32


@pytest.mark.parametrize(
    "side", [2.0, 3.5, 5.0, 7.0, 9.0, 13.0, 16.0, 17.0, 25.0, 33.0, 60.0, 140.0]
)
def test_objects_come_to_a_workable_size(side: float) -> None:
    sides = (0.9 * side, side, 1.1 * side)
    still = replace(PEOPLE, size=(480, 640), motion=None)
    proposal = propose(with_objects(still, widths=sides, heights=sides))
    frame = value(proposal, "data.resize") or [480, 640]
    scale = frame[0] / 480
    assert frame[1] / 640 == pytest.approx(scale, rel=0.05)
    assert scale <= 2
    assert 9.5 <= side * scale <= 16.5 or scale == 2 or (scale == 1 and side >= 7)
    rows, columns = value(proposal, "model.grid")
    cell = frame[0] // rows
    assert cell in (4, 8)
    assert frame == [rows * cell, columns * cell]
    low, high = value(proposal, "model.object_width")
    assert 3 <= low < high
    if side * scale > 3:
        assert low < side * scale < high
    assert all(8 <= n <= 24 and n % 2 == 0 for n in value(proposal, "model.glimpse"))


def test_sides_become_whole_cells() -> None:
    proposal = propose(with_objects(replace(PEOPLE, size=(101, 99)), widths=(9, 10, 11)))
    height, width = value(proposal, "data.resize")
    rows, columns = value(proposal, "model.grid")
    assert height % rows == width % columns == 0


def test_few_objects_or_small_frames_are_not_cropped() -> None:
    assert value(propose(with_objects(PARTICLES, count=(20, 25))), "data.crop") is None
    small = with_objects(replace(PARTICLES, size=(120, 160)), count=(40, 50))
    proposal = propose(small)
    assert value(proposal, "data.crop") is None
    assert value(proposal, "model.capacity") == 100
    assert value(proposal, "train.batch") == 4


@pytest.mark.parametrize(
    ("motion", "frames", "stride"),
    [
        (
            ObjectMotion(median=0.3, high=0.8, drift=1.0, lag=4),
            1000,
            8,
        ),  # 0.25 of 29.5 pixels a frame
        (ObjectMotion(median=1.0, high=1.5, drift=4.0, lag=4), 1000, 3),
        (ObjectMotion(median=1.0, high=1.5, drift=4.0, lag=4), 130, 2),  # too few frames for more
        (ObjectMotion(median=1.0, high=12.0, drift=4.0, lag=4), 1000, 2),  # some are fast
        (ObjectMotion(median=3.0, high=5.0, drift=12.0, lag=4), 1000, 1),
        (ObjectMotion(median=0.3, high=0.8, drift=0.6, lag=4), 1000, 1),  # diffuses
        (ObjectMotion(median=0.0, high=0.8, drift=0.0, lag=4), 1000, 1),  # stands
        (None, 1000, 1),
    ],
)
def test_stride(motion: ObjectMotion | None, frames: int, stride: int) -> None:
    proposal = propose(replace(PEOPLE, motion=motion, frames=frames))
    assert value(proposal, "data.stride") == stride
    # Frames are left out for the training alone.
    assert proposal.settings["data"].get("track_stride") == (1 if stride > 1 else None)
    step = value(proposal, "model.max_step")
    assert 0.02 <= step <= 0.3
    if motion is not None:
        assert step * 72 >= 1.5 * motion.high * stride / 2 - 0.05 or step == 0.3


def test_a_moving_camera_is_guessed_at() -> None:
    proposal = propose(replace(PEOPLE, camera=MOVING, objects=None, motion=None))
    assert value(proposal, "model.background") == "vae"
    assert value(proposal, "model.background_dim") == 24
    assert value(proposal, "guide.difference") is False
    assert value(proposal, "guide.colour_blind") is None
    assert value(proposal, "data.augment") is False
    assert value(proposal, "train.optimizer") is None
    for name in ("data.resize", "model.capacity", "model.object_width", "model.glimpse"):
        assert "a guess" in why(proposal, name)


def test_noise_and_what_no_decoder_paints_make_sigma() -> None:
    painted = replace(with_objects(PEOPLE, unpainted=0.04), noise=0.03)
    assert value(propose(painted), "model.sigma") == 0.05
    assert "eight learned shapes" in why(propose(painted), "model.sigma")
    assert value(propose(replace(painted, noise=0.3)), "model.sigma") == 0.15
    exact = replace(with_objects(PEOPLE, unpainted=0.001), noise=0.002)
    assert value(propose(exact), "model.sigma") == 0.03


def test_with_few_objects_sigma_is_a_guess_from_their_contrast() -> None:
    faint = replace(with_objects(PEOPLE, contrast=0.16), noise=0.03)
    assert value(propose(faint), "model.sigma") == 0.05
    assert "a guess" in why(propose(faint), "model.sigma")


def test_what_the_user_gave_stays() -> None:
    options = SourceOptions(
        resize=(96, 128),
        stride=2,
        start=10,
        stop=200,
        channels=1,
        crop=(48, 48),
        levels=(10, 90),
    )
    small = with_objects(
        replace(PEOPLE, options=options, size=(96, 128), channels=1),
        widths=(4, 6, 8),
        heights=(10, 14, 17),
    )
    proposal = propose(small)
    assert proposal.settings["data"] == {
        "resize": [96, 128],
        "stride": 2,
        "start": 10,
        "stop": 200,
        "channels": 1,
        "crop": [48, 48],
        "levels": [10, 90],
        "augment": False,
    }
    assert why(proposal, "data.resize") == why(proposal, "data.crop") == "as asked for"
    assert value(proposal, "model.anywhere") is True


def test_short_videos_get_fewer_chunks() -> None:
    assert value(propose(replace(PEOPLE, frames=25)), "train.chunks") == 4


def test_nothing_moves() -> None:
    with pytest.raises(UserError, match=r"nothing that moves can be made out in people\.mp4"):
        propose(replace(PEOPLE, objects=None, motion=None))
