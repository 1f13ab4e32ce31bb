"""Few, large, slow and resting animals on floors with little to hold on to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arenas import Animal, film
from scenes import write_images

from scalor_ppl.data import SourceOptions
from scalor_ppl.fitting.kinds import Given
from scalor_ppl.fitting.modes import mode_image
from scalor_ppl.fitting.objects import ObjectStatistics
from scalor_ppl.fitting.reasons import Belief, beliefs
from scalor_ppl.fitting.survey import Survey, survey
from scalor_ppl.scalor.proposal import propose

SIZE = (96, 144)


def look(tmp_path: Path, video: np.ndarray, **given: Any) -> Survey:
    folder = write_images(tmp_path / "video", video)
    return survey(folder, SourceOptions(), given=Given(**given))


def seen(found: Survey) -> ObjectStatistics:
    assert found.static
    assert found.objects is not None
    return found.objects


def believed(found: Survey, name: str) -> Belief:
    known = beliefs(found, propose(found).objects)
    return next(belief for belief in known if belief.name == name)


@pytest.mark.parametrize("level", [40, 200])
@pytest.mark.parametrize("specks", [0, 10])
def test_a_large_slow_animal_on_a_plain_floor(tmp_path: Path, level: int, specks: int) -> None:
    animal = Animal((48, 50), (60, 44), (0, 0.5), level=level)
    objects = seen(look(tmp_path, film(SIZE, [animal], specks=specks)))
    assert objects.widths[1] == pytest.approx(60, abs=4)
    assert objects.heights[1] == pytest.approx(44, abs=4)
    assert objects.count == (1, 1)


def test_an_animal_that_covers_a_third_of_the_frame(tmp_path: Path) -> None:
    animal = Animal((48, 60), (80, 74), (0, 0.4))
    objects = seen(look(tmp_path, film(SIZE, [animal])))
    assert objects.widths[1] == pytest.approx(80, rel=0.1)
    assert objects.heights[1] == pytest.approx(74, rel=0.1)


@pytest.mark.parametrize(("first", "last"), [(0.8, 0.0), (0.5, 0.4), (0.1, 0.8)])
def test_animals_that_rest_most_of_the_time(tmp_path: Path, first: float, last: float) -> None:
    moving = 200 * (1 - first - last)
    one = Animal((28, 25), (30, 20), (0, 90 / moving), rests=first, rests_later=last)
    two = Animal((70, 110), (30, 20), (0, -80 / moving), rests=first, rests_later=last)
    video = film(SIZE, [one, two], 200)
    found = look(tmp_path, video)
    objects = seen(found)
    assert objects.widths[1] == pytest.approx(30, abs=4)
    assert objects.heights[1] == pytest.approx(20, abs=4)
    assert objects.count == (2, 2)
    assert found.motion is not None
    assert found.motion.median == pytest.approx(85 / moving, rel=0.15)
    assert found.motion.resting == pytest.approx(first + last, abs=0.15)
    # Nobody is left in the scene.
    assert np.abs(mode_image(video) - 120).max() < 15


def test_one_does_not_move_for_half_of_the_video_and_another_does(tmp_path: Path) -> None:
    sleeper = Animal((30, 30), (36, 26), (0.3, 1.5), rests=0.5)
    walker = Animal((75, 20), (36, 26), (0, 0.9))
    objects = seen(look(tmp_path, film(SIZE, [sleeper, walker], 100)))
    assert objects.widths[1] == pytest.approx(36, abs=4)
    assert objects.count == (2, 2)


def test_one_that_creeps(tmp_path: Path) -> None:
    found = look(tmp_path, film(SIZE, [Animal((48, 40), (40, 30), (0, 0.15))], 300))
    assert seen(found).widths[1] == pytest.approx(40, abs=4)
    assert found.motion is not None
    assert found.motion.drift / found.motion.lag == pytest.approx(0.15, rel=0.3)
    assert found.motion.directed


@pytest.mark.parametrize(
    "ways",
    [
        {"grain": 15.0, "pan": 1.0},
        {"specks": 14, "pan": 1.0},
        {"specks": 14, "pan": -0.4},
        {"specks": 14, "shake": 4},
        {"grain": 15.0, "shake": 4},
    ],
    ids=["panned", "panned plain", "slowly", "shaken plain", "shaken"],
)
def test_a_camera_that_moves(tmp_path: Path, ways: dict[str, Any]) -> None:
    animal = Animal((48, 60), (36, 26), (0, 0.3))
    found = look(tmp_path, film((120, 180), [animal], 60, **ways))
    assert not found.static
    assert found.objects is None
    assert believed(found, "camera").value == "moves"
    assert believed(found, "size").sure == "not sure"


@pytest.mark.parametrize(
    ("size", "animal", "frames"),
    [
        ((40, 60), Animal((20, 14), (18, 12), (0, 0.4)), 60),
        ((480, 640), Animal((240, 180), (150, 100), (0, 8)), 24),
    ],
    ids=["small", "large"],
)
def test_frames_small_and_large(
    tmp_path: Path, size: tuple[int, int], animal: Animal, frames: int
) -> None:
    objects = seen(look(tmp_path, film(size, [animal], frames)))
    assert objects.widths[1] == pytest.approx(animal.box[0], rel=0.2)
    assert objects.heights[1] == pytest.approx(animal.box[1], rel=0.2)
    assert objects.count == (1, 1)


def test_two_sizes_of_animals(tmp_path: Path) -> None:
    animals = [Animal((50, 50), (60, 44), (0.2, 0.8))]
    animals += [Animal((100, 30), (18, 14), (0, 1.2)), Animal((20, 190), (18, 14), (0.3, -1))]
    found = look(tmp_path, film((130, 220), animals, 90))
    objects = seen(found)
    small, large = objects.kinds
    assert small == pytest.approx((18, 14), abs=3)
    assert large == pytest.approx((60, 44), abs=4)
    assert objects.count[1] == pytest.approx(3, abs=1)
    settings = propose(found).settings
    scale = settings["data"]["resize"][1] / 220
    low, high = settings["model"]["object_width"]
    assert low <= 18 * scale
    assert high >= 60 * scale


def test_animals_that_meet_are_no_second_size(tmp_path: Path) -> None:
    """Two that lie side by side for half of the time, and then part."""
    one = Animal((40, 40), (30, 24), (0, 0.0))
    two = Animal((40, 68), (30, 24), (0, 1.0), rests=0.5)
    objects = seen(
        look(tmp_path, film(SIZE, [one, two, Animal((75, 20), (30, 24), (0, 0.8))], 120))
    )
    assert objects.kinds == ()
    assert objects.widths[1] == pytest.approx(30, abs=4)


def test_one_that_turns_has_boxes_for_either_way(tmp_path: Path) -> None:
    found = look(tmp_path, film(SIZE, [Animal((48, 40), (44, 22), (0, 0.6), turns=True)], 80))
    objects = seen(found)
    assert objects.turning
    for sides in (objects.widths, objects.heights):
        assert sides[0] == pytest.approx(22, abs=4)
        assert sides[2] == pytest.approx(44, abs=4)
    settings = propose(found).settings["model"]
    assert settings["object_width"] == settings["object_height"]


def test_what_the_user_says_counts(tmp_path: Path) -> None:
    video = film(SIZE, [Animal((48, 40), (40, 30), (0, 0.8))], 60)
    objects = seen(look(tmp_path / "a", video, size=(50.0, 36.0)))
    assert objects.widths[1] == pytest.approx(50)
    assert objects.heights[1] == pytest.approx(36)
    found = look(tmp_path / "b", video, count=3)
    assert seen(found).count == (3, 3)
    # A third of the animal's area each.
    assert seen(found).size == pytest.approx((40 * 30 / 3) ** 0.5, rel=0.15)
    assert believed(found, "number").why == "given by you"
    # Two that were taken for one are told apart by their number, at the size of either.
    pair = [Animal((48, 40), (26, 20), (0, 0.8)), Animal((48, 62), (26, 20), (0, 0.8))]
    together = film(SIZE, [*pair, Animal((15, 20), (26, 20), (0, 0.6))], 60)
    assert seen(look(tmp_path / "c", together, count=3)).widths[1] == pytest.approx(26, abs=4)


def test_a_moving_camera_takes_what_the_user_says(tmp_path: Path) -> None:
    video = film((120, 180), [Animal((48, 60), (36, 26), (0, 0.3))], 60, grain=15, pan=1.0)
    found = look(tmp_path, video, size=(36.0, 26.0), count=1)
    assert not found.static
    proposal = propose(found)
    assert (proposal.objects.widths[1], proposal.objects.heights[1]) == (36, 26)
    assert proposal.settings["model"]["capacity"] == 8
    assert "as you say" in next(r.why for r in proposal.reasons if r.name == "model.capacity")


def test_how_sure_it_is(tmp_path: Path) -> None:
    found = look(tmp_path / "a", film(SIZE, [Animal((48, 40), (40, 30), (0, 0.8))], 60, specks=9))
    assert {believed(found, name).sure for name in ("camera", "size", "number", "motion")} == {
        "sure"
    }
    assert believed(found, "number").value == "1 in view"
    bare = look(tmp_path / "b", film(SIZE, [Animal((48, 60), (76, 70), (0, 0.5))], 40))
    assert believed(bare, "camera").sure != "sure"
    assert "no detail tells" in believed(bare, "camera").why
