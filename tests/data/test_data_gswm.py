"""G-SWM's benchmark: balls keep their energy, stay apart and in view; a fork and a maze."""

from __future__ import annotations

import numpy as np
import pytest

from scalor_ppl.data import REGISTERED, Clip, Truth, open_source
from scalor_ppl.data.balls import go_on
from scalor_ppl.data.collisions import closest
from scalor_ppl.data.discs import Discs, DiscSource
from scalor_ppl.data.gswm_specs import CELLS, GSWM_SETS
from scalor_ppl.data.maze import draw_maze
from scalor_ppl.errors import UserError

BALLS = [name for name, spec in GSWM_SETS.items() if spec.motion == "bounce"]


def source(name: str) -> DiscSource:
    opened = open_source(name, split="test")
    assert isinstance(opened, DiscSource)
    return opened


def truth_of(clip: Clip) -> Truth:
    assert clip.truth is not None
    return clip.truth


def layers(name: str, shown: Discs) -> list[np.ndarray]:
    """[T, n, 2] centres of the balls that collide with each other, layer by layer."""
    return np.split(shown.centres, max(GSWM_SETS[name].layers, 1), axis=1)


@pytest.mark.parametrize(
    ("name", "count", "radius", "frames"),
    [
        ("gswm-occlusion", {3}, 8, 100),
        ("gswm-interaction", {3}, 8, 100),
        ("gswm-two-layer", {6}, 8, 100),
        ("gswm-dense", {16}, 5, 100),
        ("gswm-single-ball", {1}, 7, 9),
        ("gswm-maze", {3, 4}, 64 / 14, 99),
    ],
)
def test_sets_are_those_published(name: str, count: set[int], radius: float, frames: int) -> None:
    spec = GSWM_SETS[name]
    assert REGISTERED[name] is spec
    assert spec.frames == frames
    clips = [source(name).clip(index, 3) for index in range(12)]
    assert {len(truth_of(clip).ids) for clip in clips} == count
    assert {clip.video.shape for clip in clips} == {(3, 64, 64, 3)}
    for clip in clips:
        truth = truth_of(clip)
        assert truth.object_size == pytest.approx(2 * radius)
        assert truth.boxes[..., 2:] == pytest.approx(2 * radius, abs=1e-4)
        assert (truth.visible == 1).all()
        assert truth.masks is not None
        # The front one covers the area of a disc.
        front = (truth.masks == truth.ids[-1]).sum((1, 2))
        assert front == pytest.approx(np.pi * radius**2, rel=0.06)


@pytest.mark.parametrize("name", BALLS)
def test_balls_stay_in_view_and_keep_their_energy(name: str) -> None:
    spec = GSWM_SETS[name]
    for index in range(8):
        shown = source(name).discs(index, 100)
        assert shown.centres.min() >= spec.radius - 1e-6
        assert shown.centres.max() <= 64 - spec.radius + 1e-6
        energy = np.square(shown.velocities).sum((1, 2))
        assert energy == pytest.approx(np.full(100, 9.0 * shown.centres.shape[1]))
        steps = np.linalg.norm(np.diff(shown.centres, axis=0), axis=-1)
        if spec.layers:
            assert steps.max() > 3.1  # some have been hit
        else:
            assert np.linalg.norm(shown.velocities, axis=-1) == pytest.approx(3)


@pytest.mark.parametrize("name", [name for name in BALLS if GSWM_SETS[name].layers])
def test_balls_of_a_layer_never_overlap(name: str) -> None:
    size = GSWM_SETS[name].size
    for index in range(8):
        shown = source(name).discs(index, 100)
        assert closest(shown.centres[0]) >= size
        for layer in layers(name, shown):
            assert min(closest(frame) for frame in layer) >= size - 1e-6


def test_layers_and_balls_without_them_pass_through_each_other() -> None:
    for name in ("gswm-occlusion", "gswm-two-layer", "gswm-dense"):
        shown = source(name).discs(0, 100)
        nearest = min(closest(frame) for frame in shown.centres)
        assert nearest < GSWM_SETS[name].size / 2


def test_colours() -> None:
    blue, red = (0, 0, 1), (1, 0, 0)
    assert source("gswm-dense").discs(0, 1).colours.tolist() == [[*blue]] * 8 + [[*red]] * 8
    assert source("gswm-two-layer").discs(0, 1).colours.tolist() == [[*blue]] * 3 + [[*red]] * 3
    distinct = {
        name: {len(np.unique(source(name).discs(n, 1).colours, axis=0)) for n in range(30)}
        for name in ("gswm-occlusion", "gswm-interaction")
    }
    assert distinct == {"gswm-occlusion": {3}, "gswm-interaction": {1, 2, 3}}


def test_positions_are_where_the_discs_are_painted() -> None:
    made = source("gswm-interaction")
    clip = made.clip(5, 20)
    truth = truth_of(clip)
    light = clip.video.astype(np.float64)
    grid = np.stack(np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5), axis=-1)
    for n in range(3):
        # All balls are apart, so that each is alone in its own box.
        for t in range(20):
            left, top = np.floor(truth.boxes[t, n, :2]).astype(int)
            part = slice(max(top, 0), top + 18), slice(max(left, 0), left + 18)
            near = np.linalg.norm(grid[part] - truth.middles()[t, n], axis=-1) < 7.9
            weight = light[t][part].max(-1) * near
            middle = (grid[part] * weight[..., None]).sum((0, 1)) / weight.sum()
            assert middle == pytest.approx(truth.middles()[t, n], abs=0.15)


@pytest.mark.parametrize("name", GSWM_SETS)
def test_a_longer_clip_begins_with_the_shorter_one_and_comes_in_parts(name: str) -> None:
    made = source(name)
    short, long = made.clip(4, 5), made.clip(4, 9)
    assert np.array_equal(short.video, long.video[:5])
    assert np.array_equal(truth_of(short).boxes, truth_of(long).boxes[:5])
    parts = list(made.parts(4, 9, 4))
    assert np.array_equal(np.concatenate([part.video for part in parts]), long.video)


def test_a_single_ball_goes_left_or_right_as_often() -> None:
    made = source("gswm-single-ball")
    ends = np.array([made.discs(index, 9).centres[:, 0] for index in range(400)])
    assert ends[:, :5] == pytest.approx(
        np.broadcast_to([(32, 7), (32, 13.25), (32, 19.5), (32, 25.75), (32, 32)], (400, 5, 2))
    )
    assert ends[:, -1, 1] == pytest.approx(57)
    assert {round(x, 6) for x in ends[:, -1, 0]} == {7.0, 57.0}
    assert 0.4 < (ends[:, -1, 0] < 32).mean() < 0.6


def test_a_single_ball_has_9_frames() -> None:
    with pytest.raises(UserError, match="has 9 frames in a row, fewer than the 10"):
        source("gswm-single-ball").clip(0, 10)


def test_mazes_have_no_dead_ends_and_are_in_one_piece() -> None:
    mazes = [draw_maze(np.random.default_rng(seed)) for seed in range(40)]
    assert len({maze.tobytes() for maze in mazes}) > 30
    for free in mazes:
        assert free[[0, -1]].all()
        assert free[:, [0, -1]].all()
        assert not free[1::2, 1::2].any()
        padded = np.pad(free, 1)
        around = [np.roll(padded, s, a)[1:-1, 1:-1] for s in (1, -1) for a in (0, 1)]
        ways = np.sum(around, axis=0)
        assert ways[free].min() >= 2
        reached = np.zeros_like(padded)
        reached[1, 1] = True
        for _ in range(CELLS**2):
            reached |= padded & np.any(
                [np.roll(reached, s, a) for s in (1, -1) for a in (0, 1)], axis=0
            )
        assert np.array_equal(reached, padded)


def test_agents_stay_in_corridors_and_never_turn_back() -> None:
    made = source("gswm-maze")
    for index in range(10):
        shown = made.discs(index, 99)
        assert shown.behind is not None
        cells = shown.centres * CELLS / 64 - 0.5
        assert cells[::2] == pytest.approx(cells[::2].round())
        columns, rows = np.moveaxis(shown.centres.astype(int), -1, 0)
        assert (shown.behind[rows, columns] == 0).all()
        steps = np.diff(cells[::2], axis=0)
        assert np.abs(steps).sum(-1) == pytest.approx(1)
        assert (np.sum(steps[1:] * steps[:-1], axis=-1) > -0.5).all()
        assert len(np.unique(shown.colours, axis=0)) == shown.centres.shape[1]


def test_going_on_from_a_frame_is_the_rest_of_the_clip() -> None:
    spec = GSWM_SETS["gswm-two-layer"]
    shown = source("gswm-two-layer").discs(3, 30)
    places, velocities = go_on(spec, shown.centres[10], shown.velocities[10], 20)
    assert places == pytest.approx(shown.centres[10:])
    assert velocities == pytest.approx(shown.velocities[10:])
