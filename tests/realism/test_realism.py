"""Figures of realism: known values, nothing where there is nothing, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import ALONE, CPU, CommandLine, Square, run_beside_clips

from scalor_ppl.data import open_source
from scalor_ppl.data.toys import ToySource
from scalor_ppl.errors import UserError
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.programs import Program
from scalor_ppl.realism import classifier, measure
from scalor_ppl.realism.classifier import Sample, auc_and_p, two_sample_test
from scalor_ppl.realism.extraction import CROP, Crops, cut_out
from scalor_ppl.realism.features import (
    density_and_coverage,
    kernel_distance,
    nearer_to_training,
    random_features,
)
from scalor_ppl.realism.motion import look_persistence, motion_samples, wasserstein
from scalor_ppl.realism.reading import CropReader, reader_for
from scalor_ppl.realism.sides import RealismQuestion, real_clips, shuffled_in_time
from scalor_ppl.tracks.table import Tracks
from scalor_ppl.training.runs import load_run


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def noise(rng: np.random.Generator, low: int, high: int, clips: int = 40) -> Sample:
    pictures = rng.integers(low, high, (clips * 5, 3, 16, 16), dtype=np.uint8)
    return Sample(pictures, np.repeat(np.arange(clips), 5))


def test_one_distribution_cannot_be_told_apart(rng: np.random.Generator) -> None:
    test = two_sample_test(noise(rng, 0, 200), noise(rng, 0, 200), seeds=2, seed=0)
    assert test is not None
    assert 0.4 < test.auc < 0.6
    assert test.p > 0.05
    assert test.auc == pytest.approx(np.mean(test.by_seed))


def test_two_that_differ_are_told_apart_and_the_seed_decides(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(classifier, "STEPS", 60)
    sides = noise(rng, 0, 200), noise(rng, 60, 255)
    test = two_sample_test(*sides, seeds=1, seed=0)
    assert test is not None
    assert test.auc > 0.98
    assert test.p == pytest.approx(2 / 1000)
    assert two_sample_test(*sides, seeds=1, seed=0) == test


def test_too_few_clips_give_nothing(rng: np.random.Generator) -> None:
    assert two_sample_test(noise(rng, 0, 200, clips=3), noise(rng, 0, 200), 1, 0) is None


def test_the_area_counts_pairs_in_order(rng: np.random.Generator) -> None:
    scores = np.array([0.1, 0.4, 0.35, 0.8])
    second = np.array([False, False, True, True])
    auc, p = auc_and_p(scores, second, np.arange(4), rng)
    assert auc == 0.75
    assert p == pytest.approx(1 / 3, abs=0.06)  # 2 of the 6 choices of two


def test_wasserstein_of_a_shift(rng: np.random.Generator) -> None:
    values = rng.normal(size=500)
    assert wasserstein(values, values + 3) == pytest.approx(3)
    assert wasserstein(values, values[:0]) is None


def moving(centres: np.ndarray, ids: np.ndarray | None = None) -> Tracks:
    """Boxes of 4 x 9 about ``centres`` [T, K, 2]."""
    shape = centres.shape[:2]
    size = np.broadcast_to([4.0, 9.0], centres.shape)
    return Tracks(
        np.broadcast_to(np.arange(shape[1]), shape).copy() if ids is None else ids,
        np.concatenate((centres - size / 2, size), -1).astype(np.float32),
        np.ones(shape, np.float32),
        np.zeros(shape, bool),
    )


def test_what_tracks_do() -> None:
    straight = np.stack([np.arange(5) * 2.0, np.zeros(5)], -1)
    corner = np.array([[0, 0], [3, 0], [3, 3], [0, 3], [0, 0]], float)
    found = motion_samples([moving(np.stack([straight, corner], 1))])
    assert found.count.tolist() == [2] * 5
    assert found.size == pytest.approx([6.0] * 10)
    assert sorted(found.speed.tolist()) == pytest.approx([2] * 4 + [3] * 4)
    assert sorted(found.cosine.tolist()) == pytest.approx([0] * 3 + [1] * 3, abs=1e-6)
    assert sorted(found.turning.tolist()) == pytest.approx([0] * 3 + [90] * 3, abs=0.1)
    assert found.lifetime.tolist() == [5, 5]


def test_a_gap_is_no_step() -> None:
    centres = np.stack([np.arange(5) * 2.0, np.zeros(5)], -1)[:, None]
    ids = np.array([[0], [0], [-1], [0], [0]])
    found = motion_samples([moving(centres, ids)])
    assert found.speed == pytest.approx([2, 2])
    assert len(found.cosine) == 0
    assert found.lifetime.tolist() == [4]


def test_without_tracks_there_are_no_samples() -> None:
    found = motion_samples([moving(np.zeros((3, 1, 2)), np.full((3, 1), -1))])
    assert found.count.tolist() == [0, 0, 0]
    assert not len(found.speed) + len(found.turning) + len(found.size) + len(found.lifetime)


def looks(rng: np.random.Generator, *, frozen: bool) -> Crops:
    objects, frames = 20, 12
    shape = (objects, 1 if frozen else frames, 3, CROP, CROP)
    pixels = np.broadcast_to(
        rng.integers(0, 255, shape, dtype=np.uint8), (objects, frames, 3, CROP, CROP)
    )
    identity, frame = np.indices((objects, frames)).reshape(2, -1)
    flat = pixels.reshape(-1, 3, CROP, CROP)
    return Crops(flat, identity // 4, frame, identity, np.ones(len(flat), bool))


def test_looks_persist_or_are_lost(rng: np.random.Generator) -> None:
    assert look_persistence(looks(rng, frozen=True), 0) == 0
    assert look_persistence(looks(rng, frozen=False), 0) == pytest.approx(1, abs=0.02)
    crowded = looks(rng, frozen=True)
    hidden = crowded.where(np.zeros(len(crowded), bool))
    assert look_persistence(hidden, 0) is None


def test_distances_of_features(rng: np.random.Generator) -> None:
    first, same = rng.normal(size=(2, 200, 8))
    far = same + 5
    assert abs(kernel_distance(first, same)) < 0.15
    assert kernel_distance(first, far) > 100
    density, coverage = density_and_coverage(first, same)
    assert density == pytest.approx(1, abs=0.15)
    assert coverage > 0.9
    assert density_and_coverage(first, far) == (0, 0)


def test_features_are_the_same_every_time(rng: np.random.Generator) -> None:
    pictures = rng.integers(0, 255, (2, 3, 16, 16), dtype=np.uint8)
    first = random_features(pictures)
    assert first.shape == (2, 128)
    assert np.array_equal(first, random_features(pictures))


def test_what_was_memorised_is_nearer_to_training(rng: np.random.Generator) -> None:
    training, unseen = rng.integers(0, 255, (2, 50, 1, 4, 4), dtype=np.uint8)
    assert nearer_to_training(training[:20], training, unseen) == 1
    assert nearer_to_training(unseen[:20], training, unseen) == 0
    assert nearer_to_training(training, training, training) == 0.5


def test_real_clips_are_disjoint_and_shuffled_ones_have_the_same_frames() -> None:
    question = RealismQuestion(videos=8, frames=5)
    with pytest.raises(UserError, match=r"20 clips of 5 frames .* --videos 10"):
        real_clips(Square(), RealismQuestion(videos=11, frames=5))
    reference, floor = real_clips(Square(), question)
    assert reference.shape == floor.shape == (8, 5, 16, 16, 3)
    shuffled = shuffled_in_time(floor, 0)
    assert not np.array_equal(shuffled, floor)
    assert np.array_equal(np.sort(shuffled.sum((2, 3, 4)), 1), np.sort(floor.sum((2, 3, 4)), 1))


@pytest.mark.parametrize(("asked", "said"), [((7, 20), "--videos 7"), ((8, 2), "--frames 2")])
def test_too_little_is_refused(asked: tuple[int, int], said: str) -> None:
    with pytest.raises(UserError, match=said):
        RealismQuestion(*asked)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_beside_clips(tmp_path_factory)


def test_the_command(
    run: Path, tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "STEPS", 3)
    asked = ("realism", run, *ALONE, "--data", "moving-dsprites-vld")
    assert "but the run was trained on 16 x 16 x 3" in cli.refused(*asked)
    assert "--blind" in cli.refused(*asked, "--blind", 1)
    folder = tmp_path / "frames"
    folder.mkdir()
    from PIL import Image

    for t in range(60):
        Image.fromarray(Square().clip(t // 3, 1).video[0]).save(folder / f"{t:03d}.png")
    asked = ("realism", run, *ALONE, "--data", folder, "--videos", 8, "--frames", 3, "--seeds", 1)
    out, figure = tmp_path / "r.json", tmp_path / "rows.png"
    said = cli(*asked, "--json", out, "--figure", figure, "--blind", 3, "--refine", 0)
    assert said.code == 0, said
    found = json.loads(out.read_text())  # and not NaN, which is no JSON
    assert found["question"]["refine"] == 0
    assert 0 <= found["figures"]["frame_auc"]["sampled"] <= 1
    assert found["figures"]["clip_auc"]["real"] is None
    assert found["missing"]["clip_auc"] == "clips are shorter than 10 frames"
    assert found["figures"]["nearer_to_training"]["sampled"] is None
    key = figure.with_suffix(".txt").read_text().splitlines()
    assert sorted(line.split(": ")[1] for line in key) == ["real"] * 4 + ["sampled"] * 4
    with Image.open(figure) as rows:
        assert rows.width > 3 * 96


def test_shapes_are_read_and_noise_is_not(rng: np.random.Generator) -> None:
    train, test = (open_source("moving-dsprites-vld", split=split) for split in ("train", "test"))
    reader = reader_for(train, test, 0, 1)
    assert isinstance(reader, CropReader)
    assert reader.accuracy > 0.95
    assert isinstance(test, ToySource)
    unseen = test.portraits(200, 5)
    assert set(unseen.labels.tolist()) == {0, 1, 2}
    pixels = cut_out(to_video(unseen.pictures[None], CPU)[0], unseen.boxes[:, None])[:, 0]
    some = np.arange(200)
    found = reader.read(Crops(pixels, some, some, some, np.ones(200, bool)))
    assert found is not None
    assert found["confident"] > 0.85
    share = float((unseen.labels == 2).mean())
    assert found["heart"] == pytest.approx(share, abs=0.06)
    assert reader.read(Crops(pixels, some, some, some, np.zeros(200, bool))) is None
    # Of two the shares are between those of each.
    both = reader_for(train, test, 0, 2)
    assert isinstance(both, CropReader)
    each = [
        CropReader((network,), both.names, 0.0).read(Crops(pixels, some, some, some, some >= 0))
        for network in both.networks
    ]
    shares = [one["confident"] for one in each if one is not None]
    read = both.read(Crops(pixels, some, some, some, some >= 0))
    assert read is not None
    assert read["confident"] == pytest.approx(np.mean(shares))
    assert "generated" in str(reader_for(Square(), Square(), 0, 1))


def test_samples_without_objects_give_nothing_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "STEPS", 3)
    program = load_run(Path("pretrained:dsprites-vld"), CPU)
    source = open_source("moving-dsprites-vld", split="test")

    def empty(program: Program, question: RealismQuestion, tell: object) -> np.ndarray:
        return np.zeros((question.videos, question.frames, 64, 64, 3), np.uint8)

    monkeypatch.setattr(measure, "sampled_clips", empty)
    found = measure.measure_realism(program, source, RealismQuestion(8, 6, 1))
    assert found.missing["objects: sampled"] == "no objects are tracked in these clips"
    assert found.figures["objects"]["sampled"] == 0
    for name in ("crop_auc", "step_cosine", "look_persistence", "speed_distance"):
        assert found.figures[name]["sampled"] is None
        assert found.figures[name]["real"] is not None
    json.dumps(found.to_dict(), allow_nan=False)
