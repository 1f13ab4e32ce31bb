"""Discs that bounce: momentum and energy are kept, nothing overlaps, the toy set has collisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scalor_ppl.data import TOY_SETS, Truth, open_source
from scalor_ppl.data.collisions import bounce, closest

NAME = "moving-dsprites-colliding"
FAR = 1e6  # bounds that nothing reaches


def discs(*rows: tuple[float, float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Places and velocities of x, y, vx, vy."""
    table = np.array(rows, dtype=np.float64)
    return table[:, :2].copy(), table[:, 2:].copy()


def bounced(
    place: np.ndarray, velocity: np.ndarray, frames: int, *, radius: float = 1.0, wall: float = FAR
) -> tuple[np.ndarray, np.ndarray]:
    """Ways and velocities of discs of one radius between walls at -wall and wall."""
    bound = np.full_like(place, wall)
    return bounce(place, velocity, -bound, bound, np.full(len(place), radius), frames)


def crowd(seed: int, count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Discs of radius 1 on a lattice within 6 of the origin, with random velocities."""
    random = np.random.default_rng(seed)
    lattice = np.stack(np.meshgrid([-4.5, -1.5, 1.5, 4.5], [-4.5, -1.5, 1.5, 4.5]), -1)
    place = random.permutation(lattice.reshape(-1, 2))[:count] + random.uniform(-0.4, 0.4, 2)
    return place, random.normal(0, 1.5, (count, 2))


def truth_of(index: int, frames: int = 15) -> Truth:
    truth = open_source(NAME, split="test").clip(index, frames).truth
    assert truth is not None
    return truth


def test_head_on_discs_exchange_their_velocities() -> None:
    place, velocity = discs((0, 0, 1, 0), (5, 0, -2, 0))
    places, velocities = bounced(place, velocity, 4)
    # 3 between their rims, closed at 3 a frame: they touch in frame 1.
    assert places[1] == pytest.approx(np.array([(1, 0), (3, 0)]))
    assert places[3] == pytest.approx(np.array([(-3, 0), (5, 0)]))
    assert velocities[3] == pytest.approx(np.array([(-2, 0), (1, 0)]))


def test_a_glancing_collision_keeps_what_is_along_the_tangent() -> None:
    # In contact at once; the line of centres lies at 45 degrees.
    place, velocity = discs((0, 0, 1, 0), (2**0.5, 2**0.5, 0, 0))
    _, velocities = bounced(place, velocity, 2)
    assert velocities[1] == pytest.approx(np.array([(0.5, -0.5), (0.5, 0.5)]))


def test_discs_that_meet_between_two_frames_do_not_pass_through_each_other() -> None:
    place, velocity = discs((0, 0, 20, 0), (12, 0, -20, 0))
    places, _ = bounced(place, velocity, 3)
    assert (places[:, 1, 0] - places[:, 0, 0] >= 2).all()


def test_walls_reflect_centres() -> None:
    place, velocity = discs((0, 0, 3, 0.5))
    places, velocities = bounced(place, velocity, 6, wall=4.0)
    assert places[:, 0, 0] == pytest.approx([0, 3, 2, -1, -4, -1])
    assert places[:, 0, 1] == pytest.approx(np.arange(6) * 0.5)
    assert np.abs(velocities) == pytest.approx(np.broadcast_to(np.abs(velocity), (6, 1, 2)))


@pytest.mark.parametrize("seed", range(5))
def test_momentum_and_energy_are_conserved(seed: int) -> None:
    place, velocity = crowd(seed)
    _, velocities = bounced(place, velocity, 200)
    assert not np.allclose(velocities[-1], velocities[0])  # they did collide
    momentum, energy = velocities.sum(1), np.square(velocities).sum((1, 2))
    assert momentum == pytest.approx(np.broadcast_to(momentum[0], momentum.shape))
    assert energy == pytest.approx(np.full(200, energy[0]))


@pytest.mark.parametrize("seed", range(5))
def test_a_crowded_box_never_overlaps_and_keeps_its_energy(seed: int) -> None:
    place, velocity = crowd(seed, 14)
    # 20 times slower, so that what happens between frames is seen too.
    places, velocities = bounced(place, velocity / 20, 4000, wall=6.0)
    assert np.abs(places).max() <= 6 + 1e-6
    assert min(closest(frame) for frame in places) >= 2 - 1e-6
    energy = np.square(velocities).sum((1, 2))
    assert energy == pytest.approx(np.full(4000, energy[0]))


def test_discs_do_not_stick_together() -> None:
    """After a contact two discs are apart until another one, or a wall, comes between."""
    place, velocity = crowd(1)
    places, _ = bounced(place, velocity / 20, 4000, wall=6.0)
    apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=-1)
    touching = apart[:, *np.triu_indices(len(place), 1)] < 2.01
    ends = np.diff(touching.astype(int), axis=0)
    assert (ends == 1).sum() > 20
    assert touching.mean() < 0.02


def test_overlapping_discs_part() -> None:
    place, velocity = discs((0, 0, 1, 0), (1, 0, -1, 0))
    places, _ = bounced(place, velocity, 3)
    assert np.linalg.norm(places[2, 1] - places[2, 0]) == pytest.approx(5)


def test_discs_at_rest_in_contact_end_the_frame() -> None:
    place, velocity = discs((0, 0, 0, 0), (2, 0, 0, 0), (1, 3**0.5, 0, -1e-12))
    places, _ = bounced(place, velocity, 3)
    assert places[2] == pytest.approx(place)


def test_a_lone_place_is_close_to_none() -> None:
    assert closest(np.zeros((1, 2))) == np.inf
    assert closest(np.array([(0.0, 0), (3, 4), (30, 40)])) == pytest.approx(5)


# ------------------------------------------------------------------------------------ the toy set


def test_objects_start_apart_and_stay_wholly_in_view() -> None:
    spec = TOY_SETS[NAME]
    for index in range(100):
        truth = truth_of(index)
        assert (truth.visible == 1).all()
        assert truth.boxes[..., :2].min() >= 0
        assert (truth.boxes[..., :2] + truth.boxes[..., 2:]).max() <= 64
        centres = truth.boxes[0, :, :2] + truth.boxes[0, :, 2:] / 2
        # A box's centre is not quite that of the disc.
        assert closest(centres) >= spec.size - 1


def test_objects_collide_once_or_twice_each_in_15_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def heard(*given: Any) -> tuple[np.ndarray, np.ndarray]:
        asked.append(given)
        return bounce(*given)

    monkeypatch.setattr("scalor_ppl.data.toys.bounce", heard)
    collisions = objects = 0
    for index in range(60):
        truth_of(index)
        place, velocity, low, high, radius, frames = asked[-1]
        # 100 steps a frame: at most one collision of an object in each.
        _, slow = bounce(place, velocity / 100, low, high, radius, 100 * (frames - 1) + 1)
        turned = (slow[1:] != slow[:-1]).any(-1)
        wall = (np.abs(slow[1:]) == np.abs(slow[:-1])).all(-1)
        collisions += int((turned & ~wall).sum())
        objects += len(place)
    assert 1.4 <= collisions / objects <= 2.0


def test_a_longer_clip_begins_with_the_shorter_one() -> None:
    made = open_source(NAME)
    assert np.array_equal(made.clip(5, 20).video[:10], made.clip(5, 10).video)
