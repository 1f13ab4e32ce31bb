"""Joins over gaps: who is who, and as sure as is said."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hiding import Hiding, joined, judged, simulate
from scipy import stats

from scalor_ppl.identity import Gaps, Sight
from scalor_ppl.identity.association import likelier_than_not, marginals
from scalor_ppl.identity.motion import HISTORY, OVER, Motion
from scalor_ppl.identity.rates import Rates

# ---------------------------------------------------------------------- association


def enumerated(weights: np.ndarray) -> np.ndarray:
    """Probabilities of pairs, by all associations there are."""
    n, m = weights.shape
    total, sums = 0.0, np.zeros((n, m))
    for choice in product(range(-1, m), repeat=n):
        taken = [column for column in choice if column >= 0]
        if len(set(taken)) < len(taken):
            continue
        pairs = [(row, column) for row, column in enumerate(choice) if column >= 0]
        weight = float(np.prod([weights[pair] for pair in pairs]))
        total += weight
        for pair in pairs:
            sums[pair] += weight
    return sums / total


def test_marginals_are_those_of_all_associations() -> None:
    alone = np.array([[3.0]])
    assert marginals(alone) == pytest.approx(enumerated(alone))
    assert enumerated(alone)[0, 0] == pytest.approx(0.75)
    chain = np.array([[5.0, 0.0], [2.0, 0.5]])  # no ring: exact
    assert marginals(chain) == pytest.approx(enumerated(chain), abs=1e-5)
    random = np.random.default_rng(0)
    for _ in range(20):
        weights = np.exp(random.normal(0, 2, (4, 3)))
        assert marginals(weights) == pytest.approx(enumerated(weights), abs=0.08)


def test_nobody_is_joined_twice() -> None:
    sure = np.array([[0.9, 0.6], [0.85, 0.7], [0.2, 0.1]])
    assert likelier_than_not(sure) == [(0, 0), (1, 1)]
    assert likelier_than_not(np.array([[0.4]])) == []
    assert likelier_than_not(np.zeros((0, 3))) == []


# ---------------------------------------------------------------------- motion


def learned(paths: np.ndarray, side: float = 2.0) -> Motion:
    """From paths [n, T, 2]."""
    motion = Motion()
    for path in paths:
        for end in range(HISTORY, path.shape[0]):
            motion.learn(path[end - HISTORY : end], side)
    return motion


def test_the_region_grows_as_the_objects_do() -> None:
    random = np.random.default_rng(0)
    steps = random.normal(0, 1, (6, 500, 2))
    walk = learned(steps.cumsum(1))
    # Steps of half a side: the variance of the way grows by 1/4 a frame.
    gaps = np.array([1, 5, 20])
    ways = walk.at(gaps)
    assert ways[:, 1, 1] == pytest.approx(gaps / 4, rel=0.2)
    # Of steps that do not hang together, the velocity before tells nothing.
    assert (np.abs(ways[:, 0, 1] / ways[:, 0, 0]) < 0.35 * gaps).all()
    straight = random.normal(0, 1, (40, 1, 2)) * np.arange(120)[None, :, None]
    course = learned(straight)
    ways = course.at(gaps)
    assert ways[:, 0, 1] / ways[:, 0, 0] == pytest.approx(gaps, rel=0.05)
    assert walk.freedom > 20  # as normal as the steps are


def test_evidence_is_the_density_of_the_way() -> None:
    random = np.random.default_rng(1)
    speeds = random.normal(0, 1, (6, 500, 2))
    for t in range(1, 500):
        speeds[:, t] = 0.9 * speeds[:, t - 1] + 0.4 * speeds[:, t]
    walk = learned(speeds.cumsum(1))
    way, before, after = np.array([1.0, -0.5]), np.array([0.4, 0.0]), np.array([0.2, -0.1])
    none = np.full(2, np.nan)
    (moments,) = walk.at(np.array([4]))
    freedom = walk.freedom

    def log_t(left: np.ndarray, spread: np.ndarray) -> float:
        scale = np.kron(spread, np.eye(2)) * (freedom - 2) / freedom
        return float(stats.multivariate_t.logpdf(left.ravel(), np.zeros(left.size), scale, freedom))

    slope = moments[1:, 0] / moments[0, 0]
    spread = moments[1:, 1:] - np.outer(slope, moments[1:, 0])
    left = np.stack([way, after]) - slope[:, None] * before
    expected = {
        (False, False): log_t(way, moments[1:2, 1:2]),
        (True, False): log_t(left[0], spread[:1, :1]),
        (True, True): log_t(left, spread) - log_t(after, moments[2:, 2:]),
        (False, True): log_t(np.stack([way, after]), moments[1:, 1:])
        - log_t(after, moments[2:, 2:]),
    }
    for (knows, goes), log in expected.items():
        velocities = (before if knows else none), (after if goes else none)
        found, square = walk.evidence(np.array([4]), way[None], *(v[None] for v in velocities))
        assert found[0] == pytest.approx(log), (knows, goes)
        rest = left[0] if knows else way
        variance = spread[0, 0] if knows else moments[1, 1]
        assert square[0] == pytest.approx(np.square(rest).mean() / variance)
    # Drawn out beyond what was learned, too, the farther the later.
    assert walk.at(np.array([200]))[0, 1, 1] > walk.at(np.array([60]))[0, 1, 1]


def test_motion_goes_on_from_its_state() -> None:
    motion = learned(np.random.default_rng(2).normal(0, 1, (2, 100, 2)).cumsum(1))
    motion.learn_join(4.0, 0.9)
    again = Motion.from_state(motion.to_state())
    asked = np.array([7]), np.array([[0.3, 0.1]]), np.array([[0.1, 0.0]]), np.array([[0.1, 0.0]])
    assert again.evidence(*asked) == motion.evidence(*asked)
    assert again.stretch == motion.stretch


def test_rates_are_counted() -> None:
    rates = Rates((100, 200))
    inside, edge = np.array([100.0, 50.0]), np.array([3.0, 50.0])
    assert (rates.zone(inside, 10), rates.zone(edge, 10)) == (0, 1)
    for frame in range(1000):
        rates.learn_frame(frame, 10.0, [(1, 1.0)] if frame % 10 == 0 else [])
    inner = 80 * 180
    # One in ten frames, all at the edge.
    assert rates.births(1) * (100 * 200 - inner) == pytest.approx(0.1, rel=0.2)
    assert rates.births(0) < 0.02 * rates.births(1)
    for _ in range(30):
        rates.learn_back(0, 1.0, 5)
        rates.learn_gone(1)
    chance = [sum(rates.returning(zone, gap) for gap in range(1, 6)) for zone in (0, 1)]
    assert chance[0] > 0.5 > 0.05 > chance[1]


# ---------------------------------------------------------------------- joins


def sights(paths: dict[int, dict[int, tuple[float, float]]], frames: int) -> list[Sight]:
    """Objects of side 10 that look alike, by number and frame."""
    made = []
    for t in range(frames):
        here = [(n, places[t]) for n, places in sorted(paths.items()) if t in places]
        ids = np.array([n for n, _ in here], np.int64)
        places = np.array([place for _, place in here], float).reshape(-1, 2)
        made.append(Sight(ids, places, np.full((len(here), 2), 10.0), np.zeros((len(here), 3))))
    return made


def test_two_that_cross_behind_something_keep_their_course() -> None:
    """Both are hidden for six frames in the middle, and come out with new numbers."""
    frames, gap = 80, range(37, 43)
    right = {t: (20.0 + 2 * t, 60.0 + t) for t in range(frames)}
    left = {t: (180.0 - 2 * t, 60.0 + t) for t in range(frames)}
    walkers = {
        0: {t: place for t, place in right.items() if t < gap.start},
        1: {t: place for t, place in left.items() if t < gap.start},
        2: {t: (30.0, 20.0 + 1.5 * t) for t in range(frames)},
        3: {t: place for t, place in left.items() if t >= gap.stop},
        4: {t: place for t, place in right.items() if t >= gap.stop},
    }
    identities, joins = joined(Hiding(sights(walkers, frames), {}))
    assert {(t, join.identity, join.own, join.gap) for t, join in joins} == {
        (43, 1, 3, 7),
        (43, 0, 4, 7),
    }
    assert min(join.probability for _, join in joins) > 0.95
    assert sorted(identities[60].tolist()) == [0, 1, 2]


def test_who_is_named_by_others_is_told_how_sure_that_is() -> None:
    path = {t: (20.0 + 2 * t, 60.0) for t in range(60)}
    jump = {t: (20.0 + 2 * t, 160.0) for t in range(60)}
    for after, least, most in ((path, 0.9, 1.0), (jump, 0.0, 0.1)):
        walker = {t: p for t, p in path.items() if t < 30} | {
            t: p for t, p in after.items() if t >= 35
        }
        _, joins = joined(Hiding(sights({0: walker}, 60), {}))
        ((t, join),) = joins
        assert (t, join.identity, join.own) == (35, 0, 0)
        assert least <= join.probability <= most


def test_a_number_that_comes_back_takes_its_identity_with_it() -> None:
    path = {t: (20.0 + 2 * t, 60.0) for t in range(80)}
    walkers = {
        0: {t: p for t, p in path.items() if t < 30} | dict.fromkeys(range(50, 80), (150.0, 150.0)),
        1: {t: p for t, p in path.items() if t >= 34},
    }
    identities, joins = joined(Hiding(sights(walkers, 80), {}))
    assert [(t, j.identity, j.own) for t, j in joins][:1] == [(34, 0, 1)]
    assert identities[40].tolist() == [0]
    # Number 0 is elsewhere: the join was a mistake, and 1 is called 1 from here on.
    assert identities[50].tolist() == identities[79].tolist() == [0, 1]


@pytest.mark.parametrize("persistence", [0.0, 0.95])
def test_joins_are_right_as_often_as_they_say(persistence: float) -> None:
    said, true, there = [], [], 0
    for seed in range(4):
        hiding = simulate(seed, frames=300, hidden=0.04, persistence=persistence)
        probability, right, count = judged(hiding)
        said.append(probability)
        true.append(right)
        there += count
    probability, right = np.concatenate(said), np.concatenate(true)
    assert len(probability) > 0.75 * there > 100
    assert right.mean() > 0.8
    assert abs(probability.mean() - right.mean()) < 0.05
    for low, high in ((0.5, 0.75), (0.75, 0.92), (0.92, 1.01)):
        kept = (probability >= low) & (probability < high)
        expected = probability[kept].mean()
        chance = np.sqrt(expected * (1 - expected) / kept.sum())
        assert abs(right[kept].mean() - expected) < 0.06 + 2.5 * chance, (low, kept.sum())


def test_looks_tell_apart_what_motion_does_not() -> None:
    right = []
    for alike in (True, False):
        hiding = simulate(5, frames=150, objects=16, hidden=0.08, alike=alike)
        probability, true, _ = judged(hiding)
        right.append((true.mean(), probability.mean()))
    assert right[1][0] > 0.95
    assert right[1][0] > right[0][0]
    assert right[1][1] > right[0][1]  # and it knows


def test_gaps_go_on_from_their_state() -> None:
    hiding = simulate(1, frames=80, hidden=0.1)
    whole, _ = joined(hiding)
    seen = hiding.sights
    gaps = Gaps((200, 200), 6)
    for t in range(80):
        if t % 20 == 13:
            gaps = Gaps.from_state(gaps.to_state())
        known, _ = gaps.step(seen[t], seen[t + 1 : t + 17])
        assert np.array_equal(known, whole[t]), t
    assert OVER < len(gaps.lives[int(whole[-1][0])].places) <= HISTORY


def test_who_is_lost_beside_another_may_have_been_left_where_they_met() -> None:
    # 0 goes on at 2 pixels a frame; its tracker stays with 1, who stands there, and is lost later.
    way = {t: (20.0 + 2 * t, 50.0) for t in range(60)}
    stays = way[30]
    seen = []
    for t in range(60):
        rows = {1: (stays[0] + 4, 50.0), 9: (150.0, 120.0 + t / 2)}
        if t < 40:
            rows[0] = way[min(t, 30)]
        elif t >= 42:
            rows[20] = way[t]
        ids = sorted(rows)
        places = np.array([rows[n] for n in ids])
        seen.append(
            Sight(np.array(ids), places, np.full((3 - (40 <= t < 42), 2), 12.0), looks(ids))
        )
    gaps = Gaps((200, 200), 3)
    joins = []
    for t, sight in enumerate(seen):
        joins += gaps.step(sight, seen[t + 1 : t + 17])[1]
    assert [(join.identity, join.own) for join in joins] == [(0, 20)]
    assert joins[0].probability > 0.8
    assert joins[0].gap == 3


def looks(ids: list[int]) -> np.ndarray:
    """Nobody can be told by them."""
    return np.full((len(ids), 3), 0.5)
