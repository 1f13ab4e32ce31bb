"""Positions measured in frames: as exact as noise allows, whatever box an object is painted in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from scalor_ppl.data.particle_specs import PARTICLE_SETS
from scalor_ppl.data.spots import light, sensed
from scalor_ppl.evaluation.cramer_rao import position_bound
from scalor_ppl.programs.capabilities import ObjectArrays
from scalor_ppl.render.boxes import where_from_boxes
from scalor_ppl.tracking.registration import Registered, measured, register
from scalor_ppl.tracks.table import Tracks

SIDE, WIDTH, CELLS = 64, 2.0, 14
SPEC = PARTICLE_SETS["particles-ld"]


def spots(centres: np.ndarray, seed: int = 0) -> Tensor:
    """A noisy frame ``[1, 1, H, W]`` of spots at [N, 2]."""
    count = len(centres)
    level = SPEC.background + light(
        centres, np.full(count, WIDTH), np.full(count, SPEC.peak), SIDE, SIDE
    )
    seen = sensed(level, SPEC.read_noise, SPEC.gain, np.random.default_rng(seed))
    return torch.tensor(seen / 255.0)[None, None]


def painted(centres: np.ndarray, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Boxes and glimpses as a decoder makes them: a bright spot anywhere in a wide full mask."""
    rng = np.random.default_rng(seed)
    count = len(centres)
    sides = rng.uniform(11, 13, (count, 2))
    corner = centres - sides / 2 + rng.uniform(-0.8, 0.8, (count, 2))
    cell = (np.arange(CELLS) + 0.5) / CELLS
    # What is painted is off, too: by up to a third of a pixel.
    off = centres + rng.uniform(-0.3, 0.3, (count, 2))
    x = corner[:, :1] + sides[:, :1] * cell - off[:, :1]
    y = corner[:, 1:] + sides[:, 1:] * cell - off[:, 1:]
    shape = np.exp(-(x[:, None] ** 2 + y[:, :, None] ** 2) / (2 * WIDTH**2 + 1 / 6))
    bright = rng.uniform(0.8, 1.2, (count, 1, 1))
    colour = (SPEC.background + SPEC.peak * bright * shape) / 255
    disc = np.hypot(cell[:, None] - 0.5, cell - 0.5) < 0.48
    glimpse = np.stack([colour, np.broadcast_to(0.95 * disc, colour.shape)], 1)
    return torch.tensor(np.concatenate((corner, sides), 1)), torch.tensor(glimpse)


def registered(centres: np.ndarray, seed: int = 0) -> Registered:
    boxes, glimpses = painted(centres, seed + 1)
    return register(
        spots(centres, seed), boxes, glimpses, torch.zeros(len(centres), dtype=torch.long)
    )


def grid(seed: int) -> np.ndarray:
    """Sixteen places that stand alone."""
    nodes = np.stack(np.meshgrid(*[np.arange(8.0, 64, 16)] * 2), -1).reshape(-1, 2)
    return nodes + np.random.default_rng(seed).uniform(-1, 1, nodes.shape)


def test_errors_come_near_the_bound_and_are_what_is_stated() -> None:
    errors, z = [], []
    for seed in range(12):
        truth = grid(seed)
        found = registered(truth, seed)
        assert not found.spread.isnan().any()
        errors.append(found.centres.numpy() - truth)
        z.append(errors[-1] / found.spread.numpy())
    every = np.concatenate(errors)
    bound = position_bound(
        grid(0),
        np.full(16, WIDTH),
        np.full(16, SPEC.peak),
        background=SPEC.background,
        read_noise=SPEC.read_noise,
        gain=SPEC.gain,
    ).mean()
    assert np.sqrt(np.square(every).mean()) < 1.25 * bound
    assert abs(every.mean(0)).max() < 0.01
    assert 0.85 <= (abs(np.concatenate(z)) < 1.645).mean() <= 0.95
    assert np.concatenate(z).std() == pytest.approx(1, abs=0.15)


def test_neighbours_are_told_apart() -> None:
    truth = np.array([[30.0, 31.3], [35.5, 32.1]])
    errors = [registered(truth, seed).centres.numpy() - truth for seed in range(8)]
    assert np.sqrt(np.square(errors).mean()) < 0.12


def test_frames_and_colours_are_kept_apart() -> None:
    truth = np.array([[20.2, 20.7], [40.4, 41.1]])
    boxes, glimpses = painted(truth)
    frames = torch.cat([spots(truth[n : n + 1], n) for n in range(2)])
    red = torch.cat((frames, torch.full_like(frames, 0.1)), 1)
    dark = torch.full_like(glimpses[:, :1], 0.1)
    coloured = torch.cat((glimpses[:, :1], dark, glimpses[:, 1:]), 1)
    found = register(red, boxes, coloured, torch.arange(2))
    assert found.centres.numpy() == pytest.approx(truth, abs=0.15)


def test_what_cannot_be_measured_keeps_the_centre_of_what_is_painted() -> None:
    truth = np.array([[32.0, 32.0], [1.0, 30.0], [50.0, 12.0]])
    boxes, glimpses = painted(truth)
    frame = spots(truth[:2])  # nothing is at the third; the second is half out of view
    found = register(frame, boxes, glimpses, torch.zeros(3, dtype=torch.long))
    assert found.spread.isnan().all(1).tolist() == [False, True, True]
    assert found.centres.numpy() == pytest.approx(truth, abs=0.5)
    # Nothing is painted: the middle of the box.
    glimpses[0, 1] = 0
    found = register(frame, boxes, glimpses, torch.zeros(3, dtype=torch.long))
    assert found.centres[0].numpy() == pytest.approx(
        (boxes[0, :2] + boxes[0, 2:] / 2).numpy(), abs=0.05
    )
    assert found.spread[0].isnan().all()


def test_no_objects() -> None:
    nothing = register(
        spots(np.zeros((0, 2))), torch.zeros(0, 4), torch.zeros(0, 2, 8, 8), torch.zeros(0).long()
    )
    assert nothing.centres.shape == nothing.spread.shape == (0, 2)


def test_tracks_get_what_was_measured() -> None:
    truth = np.array([[20.2, 20.7], [40.4, 41.1]])
    boxes, glimpses = painted(truth)
    where = np.zeros((1, 2, 3, 4))
    where[0, :, :2] = where_from_boxes(boxes, (SIDE, SIDE)).numpy()
    pictures = np.zeros((1, 2, 3, 2, CELLS, CELLS))
    pictures[0, :, :2] = glimpses.numpy()
    none = np.zeros((1, 2, 3, 1))
    ids = np.array([[0, 1, -1], [0, 1, -1]])
    tracks = Tracks(ids, np.zeros((2, 3, 4)), np.ones((2, 3)), np.zeros((2, 3), dtype=bool))
    video = torch.cat([spots(truth, seed)[0][None] for seed in range(2)])
    found = measured(tracks, video, ObjectArrays(where, none, none, pictures))
    assert found.centres is not None
    assert found.spread is not None
    for t in range(2):
        assert found.centres[t, :2] == pytest.approx(truth, abs=0.15)
    assert np.isnan(found.centres[:, 2]).all()
    assert (found.spread[:, :2] < 0.06).all()
    assert np.array_equal(found.ids, ids)
