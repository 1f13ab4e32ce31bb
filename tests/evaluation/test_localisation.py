"""Errors of positions beside their bound: of tracks whose errors are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import CommandLine

from scalor_ppl.data.particle_specs import PARTICLE_SETS
from scalor_ppl.data.particle_truth import KnownParticles
from scalor_ppl.data.particles import ParticleSource
from scalor_ppl.data.toy_video import write_toy_video
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.localisation import (
    centres_of,
    isolated,
    localisation,
    matched,
    recall_at,
)
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.mot_reader import read_rows
from scalor_ppl.tracks.mot_rows import track_row

SOURCE = ParticleSource(PARTICLE_SETS["particles-ld"], split="test")
SIZE = (256, 256)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_video(SOURCE, tmp_path_factory.mktemp("clip") / "clip.mkv", 12)


@pytest.fixture(scope="module")
def known(truth: Path) -> BoxTable:
    return read_rows(truth)


@pytest.fixture(scope="module")
def particles(truth: Path) -> KnownParticles:
    return KnownParticles.read(truth.with_suffix(".json"))


def moved(known: BoxTable, by: np.ndarray) -> BoxTable:
    """The rows in focus, displaced by [R, 2], all as sure."""
    focused = ~known.ignored
    boxes = known.boxes.copy()
    boxes[:, :2] += by
    return replace(known, boxes=boxes, confidence=np.ones(len(known))).kept(focused)


def test_errors_and_bias_are_those_that_were_made(
    known: BoxTable, particles: KnownParticles
) -> None:
    noise = np.random.default_rng(0).normal(0, [0.1, 0.2], (len(known), 2))
    noise += [0.05, -0.1]
    found = moved(known, noise)
    spread = np.tile([0.1, 0.2], (len(found), 1))
    places = localisation(found, known, particles, size=SIZE, spread=spread)
    for each in (places.isolated, places.every):
        assert each.bias == pytest.approx([0.05, -0.1], abs=0.03)
        assert each.rms == pytest.approx(np.hypot([0.05, -0.1], [0.1, 0.2]), rel=0.12)
        assert each.spread == pytest.approx([0.1, 0.2], rel=0.15)
        assert each.bound == pytest.approx([0.032, 0.032], rel=0.1)
        wanted = np.sqrt(np.square(each.rms).sum() / np.square(each.bound).sum())
        assert each.ratio == pytest.approx(wanted)
    assert 0 < places.isolated.count < places.every.count
    assert places.every.count == (~known.ignored).sum()
    # Half a deviation off in both coordinates: nine tenths become .856.
    assert places.every.coverage == pytest.approx(0.856, abs=0.04)
    assert places.every.z_spread == pytest.approx(np.sqrt(1.25), rel=0.06)
    assert [point[1:] for point in places.curve] == [(1.0, 1.0)]


def test_only_what_stands_alone_is_isolated() -> None:
    frames = np.array([0, 0, 0, 0, 1])
    centres = np.array([[50.0, 50], [61.9, 50], [100, 100], [7.9, 200], [50, 50]])
    alone = isolated(frames, centres, np.full(5, 2.0), SIZE)
    assert alone.tolist() == [False, False, True, False, True]
    # A wide spot is farther to be away from.
    wide = np.array([2.0, 2.0, 2.0, 2.0, 2.0])
    centres[1] = [73.9, 50]
    assert isolated(frames, centres, wide, SIZE)[:2].all()
    wide[1] = 6.0
    assert not isolated(frames, centres, wide, SIZE)[:2].any()


def test_what_finds_the_unfocused_is_set_aside_and_ghosts_are_wrong(
    known: BoxTable, particles: KnownParticles
) -> None:
    blurred = replace(known, confidence=np.full(len(known), 0.3)).kept(known.ignored)
    hits = matched(blurred, known, 4.0)
    assert len(hits.found) < 0.2 * len(blurred)
    assert len(hits.found) + len(hits.aside) == len(blurred)
    good = moved(known, np.zeros((len(known), 2)))
    order = np.argsort(np.concatenate((good.frames, blurred.frames)), kind="stable")
    both = replace(
        good,
        frames=np.concatenate((good.frames, blurred.frames))[order],
        objects=np.concatenate((good.objects, blurred.objects))[order],
        boxes=np.concatenate((good.boxes, blurred.boxes))[order],
        confidence=np.concatenate((good.confidence, blurred.confidence))[order],
    )
    places = localisation(both, known, particles, size=SIZE)
    assert [point.recall for point in places.curve] == [1.0, 1.0]
    assert places.curve[0].precision > 0.98
    ghosts = replace(
        good, boxes=good.boxes + np.array([0, 0, 1000, 1000]), confidence=good.confidence / 2
    )
    half = np.arange(len(good)) % 2 == 0
    mixed = replace(
        good,
        boxes=np.where(half[:, None], good.boxes, ghosts.boxes),
        confidence=np.where(half, good.confidence, ghosts.confidence),
    )
    curve = localisation(mixed, known, particles, size=SIZE).curve
    assert [round(point.precision, 2) for point in curve] == [0.5, 1.0]
    assert recall_at(curve, 0.9) == pytest.approx(0.5, abs=0.01)


def test_the_command(cli: CommandLine, truth: Path, known: BoxTable, tmp_path: Path) -> None:
    found = moved(known, np.full((len(known), 2), 0.1))
    tracks, out = tmp_path / "tracks.txt", tmp_path / "out.json"
    rows = zip(found.frames, found.objects, found.boxes, strict=True)
    tracks.write_text("".join(track_row(int(f), int(n), box, 0.9) for f, n, box in rows))
    said = cli("score", tracks, truth, "--localisation", "--json", out)
    assert said.code == 0, said.err
    written = json.loads(out.read_text())["localisation"]
    assert written["all"]["bias"] == pytest.approx([0.1, 0.1], abs=1e-3)
    assert "+0.100, +0.100" in said.out
    assert f"{written['isolated']['ratio']:.2f}" in said.out
    other = tmp_path / "other.txt"
    other.write_text(truth.read_text())
    assert "other.json" in cli.refused("score", tracks, other, "--localisation")


def test_files_that_do_not_belong_together(known: BoxTable, particles: KnownParticles) -> None:
    fewer = replace(particles, labels=particles.labels + 1000)
    with pytest.raises(UserError, match="do not agree"):
        localisation(known, known, fewer, size=SIZE)
    with pytest.raises(UserError, match="no track lies within 4 pixels"):
        localisation(moved(known, np.full((len(known), 2), 1e4)), known, particles, size=SIZE)
    assert centres_of(known)[0] == pytest.approx(known.boxes[0, :2] + known.boxes[0, 2:] / 2)
