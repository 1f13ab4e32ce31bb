"""Who is who after objects have covered each other."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from scalor_ppl.identity import Identities, Sight, recognised, sights_of
from scalor_ppl.identity.identities import _MEMORY
from scalor_ppl.identity.spread import LEAST
from scalor_ppl.scalor.looks import looks_of
from scalor_ppl.scalor.slots import Objects, Trackers
from scalor_ppl.tracks.table import EMPTY, Tracks

RED, GREEN, BLUE = np.eye(3)
SIDE = 10.0
Row = tuple[int, tuple[float, float], np.ndarray]  # tracker, place, colour


def sight(rows: list[Row], random: np.random.Generator) -> Sight:
    """A frame; colours flicker."""
    return Sight(
        np.array([tracker for tracker, _, _ in rows], np.int64),
        np.array([place for _, place, _ in rows], np.float64).reshape(-1, 2),
        np.full((len(rows), 2), SIDE),
        np.array([colour + random.normal(0, 0.03, 3) for _, _, colour in rows]).reshape(-1, 3),
    )


def run(frames: list[list[Row]], break_at: int | None = None) -> list[dict[int, int]]:
    """Identity by tracker, for each frame."""
    random = np.random.default_rng(0)
    sights = [sight(rows, random) for rows in frames]
    identities, found = Identities(3), []
    for t, each in enumerate(sights):
        if t == break_at:
            identities = Identities.from_state(json_round_trip(identities))
        ids = identities.step(each, sights[t + 1 : t + 17])
        found.append(dict(zip(each.ids.tolist(), ids.tolist(), strict=True)))
    return found


def json_round_trip(identities: Identities) -> dict:
    """The state as plain numbers, lists and dictionaries."""
    state = identities.to_state()
    json.dumps({k: v for k, v in state.items() if k not in ("carried", "known")})
    return state


def bystanders() -> list[Row]:
    """Two who stand apart, so that it is known how objects differ."""
    return [(100, (200.0, 20.0), GREEN), (101, (200.0, 80.0), np.array([1.0, 1.0, 0.0]))]


def crossing(*, other: np.ndarray = BLUE) -> list[list[Row]]:
    """Tracker 0 on red and 1 on the other; 1 is lost, 0 goes on with the other, 2 finds red."""
    frames = []
    for t in range(60):
        red, blue = (20.0 + 2 * t, 50.0), (140.0 - 2 * t, 50.0)
        apart = abs(red[0] - blue[0]) > SIDE / 2
        if t < 30 and apart:
            rows = [(0, red, RED), (1, blue, other)]
        elif not apart:
            rows = [(0, red, RED)]
        else:
            rows = [(0, blue, other), (2, red, RED)]
        frames.append(rows + bystanders())
    return frames


def test_without_a_meeting_numbers_are_the_trackers_own() -> None:
    frames = [[(0, (20.0, 20.0), RED), (3, (60.0, 60.0), BLUE), *bystanders()] for _ in range(30)]
    assert all(each == {0: 0, 3: 3, 100: 100, 101: 101} for each in run(frames))


def test_what_a_single_frame_shows_is_nobody() -> None:
    ghost = (7, (60.0, 60.0), BLUE)
    frames = [bystanders() for _ in range(30)]
    frames[9] = [ghost, *bystanders()]
    assert run(frames)[9] == {7: EMPTY, 100: 100, 101: 101}
    # It is not taken for one who comes later and is there, nor is that one lost.
    for t in range(10, 30):
        frames[t] = [(8, (60.0, 60.0), BLUE), *bystanders()]
    found = run(frames)
    assert found[9][7] == EMPTY
    assert all(each[8] == 8 for each in found[10:])
    assert found == run(frames, break_at=9) == run(frames, break_at=10)
    # In the first frame it may have been there before, in the last it may go on.
    frames = [[ghost, *bystanders()], *[bystanders()] * 20, [(9, (20.0, 20.0), RED), *bystanders()]]
    found = run(frames)
    assert found[0][7] == 7
    assert found[-1][9] == 9


def test_numbers_follow_looks_through_a_crossing() -> None:
    found = run(crossing())
    assert found[20][0] == 0
    assert found[20][1] == 1
    # As soon as the two are apart, with what comes after known: the number of blue is 1 again.
    parted = next(t for t, each in enumerate(found) if 2 in each)
    for each in found[parted + 1 :]:
        assert each[0] == 1
        assert each[2] == 0


def test_alike_objects_keep_the_trackers_numbers() -> None:
    assert all(each[0] == 0 for each in run(crossing(other=RED)))


def lost(gap: int, *, off: float = 0.0, speed: float = 0.0, colour: np.ndarray = RED) -> list:
    """All move on; tracker 0 is lost; tracker 1 is found some frames later, off its way."""
    frames = []
    for t in range(30 + gap + 20):
        rows: list[Row] = []
        way = speed * t
        if t < 30:
            rows = [(0, (50.0 + way, 50.0), RED)]
        elif t >= 30 + gap:
            rows = [(1, (50.0 + way + off, 50.0), colour)]
        frames.append(rows + [(i, (x + way, y), c) for i, (x, y), c in bystanders()])
    return frames


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (lost(5), 0),
        (lost(_MEMORY - 1), 0),
        (lost(_MEMORY + 2), 1),
        (lost(5, off=4), 0),
        # Nobody moves here: this is somebody else.
        (lost(5, off=6), 1),
        # It went on as it was seen to go, or about so.
        (lost(5, speed=3), 0),
        (lost(5, speed=3, off=10), 0),
        (lost(5, speed=3, off=40), 1),
        (lost(20, speed=3, off=40), 0),
        (lost(5, colour=BLUE), 1),
    ],
)
def test_the_lost_are_recognised_near_their_place(frames: list[list[Row]], expected: int) -> None:
    assert run(frames)[-1][1] == expected


def test_an_object_without_looks_of_its_own_is_nobody() -> None:
    frames = [[(0, (50.0, 50.0), RED), *bystanders()] for _ in range(LEAST - 1)]
    frames += [[(1, (50.0, 50.0), RED), *bystanders()] for _ in range(20)]
    assert run(frames)[-1][1] == 1


@pytest.mark.parametrize("break_at", [10, 31, 45])
def test_a_break_changes_nothing(break_at: int) -> None:
    assert run(crossing(), break_at) == run(crossing())


def test_no_two_are_alike_and_memory_stays_small() -> None:
    random = np.random.default_rng(1)
    identities = Identities(3)
    colours = random.random((400, 3))
    frames = []
    for t in range(400):
        alive = range(max(0, t - 12), t + 1)  # a new one each frame, gone after 13
        places = random.random((len(alive), 2)) * 60
        rows = [(i, tuple(place), colours[i]) for i, place in zip(alive, places, strict=True)]
        frames.append(sight(rows, random))
    for t, each in enumerate(frames):
        ids = identities.step(each, frames[t + 1 : t + 17])
        assert len(set(ids.tolist())) == len(ids)
        assert set(ids.tolist()) <= set(range(t + 1))
    assert len(identities.known) <= 13 + _MEMORY + 1
    assert max(len(known.met) for known in identities.known.values()) <= 13 + _MEMORY


def test_nobody_is_taken_for_one_lost_elsewhere() -> None:
    # 1 meets 0 and goes out of sight at the right; then 0 goes over to a stranger like it.
    frames = []
    for t in range(70):
        rows: list[Row] = [(0, (50.0, 50.0), RED if t < 45 else BLUE)]
        if t < 40:
            rows.append((1, (20.0 + 4 * t, 50.0), BLUE))
        frames.append(rows + bystanders())
    assert {each[0] for each in run(frames)} == {0}


def trackers(mask: torch.Tensor, where: torch.Tensor) -> Trackers:
    """One object a frame with this mask ``[h, w]`` in this box."""
    glimpse = torch.zeros(1, 1, 4, *mask.shape)
    glimpse[0, 0, 3] = mask
    one = torch.ones(1, 1)
    box = where[None, None]
    objects = Objects(one, box, box, one, one[..., None], glimpse, box)
    alive, ids = one.bool(), torch.zeros(1, 1, dtype=torch.int64)
    return Trackers(objects, alive, ids, alive, ids[0], ids, ids[0])


def test_looks_are_the_frames_colours_from_top_to_bottom() -> None:
    video = torch.zeros(1, 2, 3, 24, 24)
    video[:, :, :, 6:10] = torch.tensor([1.0, 0, 0]).view(3, 1, 1)
    video[:, :, :, 10:14] = torch.tensor([0, 1.0, 0]).view(3, 1, 1)
    video[:, :, :, 14:18] = torch.tensor([0, 0, 1.0]).view(3, 1, 1)
    # A box of 12 pixels about the middle, read pixel by pixel.
    box = torch.tensor([0.0, 0.0, 0.5, 0.5])
    looks = looks_of(video, [trackers(torch.ones(12, 12), box)] * 2)
    assert looks.shape == (1, 2, 1, 9)
    torch.testing.assert_close(looks[0, 1, 0], torch.eye(3).flatten())
    # The mask alone counts, and its thirds, not the box's.
    upper = torch.zeros(12, 12)
    upper[:4] = 1
    looks = looks_of(video, [trackers(upper, box)] * 2)
    torch.testing.assert_close(looks[0, 0, 0], torch.tensor([1.0, 0, 0]).repeat_interleave(3))


def test_an_empty_mask_has_no_colour() -> None:
    looks = looks_of(torch.rand(1, 1, 3, 24, 24), [trackers(torch.zeros(8, 8), torch.ones(4) / 4)])
    assert torch.equal(looks, torch.zeros(1, 1, 1, 9))


def clip() -> tuple[Tracks, np.ndarray, np.ndarray]:
    """`crossing` in arrays: 5 slots, in another order in each frame."""
    random = np.random.default_rng(3)
    frames = crossing()
    ids = np.full((len(frames), 5), -1, np.int64)
    where = np.zeros((len(frames), 5, 4), np.float32)
    looks = np.zeros((len(frames), 5, 3), np.float32)
    for t, rows in enumerate(frames):
        for slot, (tracker, place, colour) in zip(random.permutation(5), rows, strict=False):
            ids[t, slot] = tracker
            where[t, slot] = *(np.array(place) / 100 - 1), SIDE / 200, SIDE / 200
            looks[t, slot] = colour + random.normal(0, 0.03, 3)
    empty = np.zeros(ids.shape)
    return Tracks(ids, np.zeros((*ids.shape, 4)), empty, empty.astype(bool)), where, looks


def test_tracks_of_a_clip_get_identities() -> None:
    tracks, where, looks = clip()
    found = recognised(tracks, where, looks, (200, 200))
    assert np.array_equal(found.ids == -1, tracks.ids == -1)
    last = dict(zip(tracks.ids[-1].tolist(), found.ids[-1].tolist(), strict=True))
    assert last == {0: 1, 2: 0, 100: 100, 101: 101, -1: -1}
    assert found.boxes is tracks.boxes
    for t, each in enumerate(sights_of(tracks.ids, where, looks, (200, 200))):
        assert len(each.ids) == (tracks.ids[t] != -1).sum()
        assert each.sides == pytest.approx(SIDE)
