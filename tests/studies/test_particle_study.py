"""Trackers on known particles: one whose errors are made, and trackpy where it is installed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scalor_ppl.data.particle_truth import KnownParticles
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.positions import Positions
from scalor_ppl.studies.particle_figure import draw_curves
from scalor_ppl.studies.particles import ParticleResult, compare_on_clip, make_clip, of_kind
from scalor_ppl.tracks.mot_reader import read_rows
from scalor_ppl.tracks.mot_rows import track_row

NAME, ERROR = "particles-ld", 0.1


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(NAME, 3, 16, tmp_path_factory.mktemp("particles"))


def noisy_truth(clip: Path, folder: Path) -> Path:
    """Tracks that are the truth in focus with an error of a tenth of a pixel."""
    known, rng = read_rows(clip.with_suffix(".txt")), np.random.default_rng(0)
    tracks = folder / "tracks.txt"
    with tracks.open("w") as file:
        for n in np.flatnonzero(~known.ignored):
            box = known.boxes[n] + [*rng.normal(0, ERROR, 2), 0, 0]
            file.write(track_row(int(known.frames[n]), int(known.objects[n]), box, 0.9))
    return tracks


def test_a_clip_is_made_once(clip: Path) -> None:
    before = clip.stat().st_mtime_ns
    assert make_clip(NAME, 3, 16, clip.parent) == clip
    assert clip.stat().st_mtime_ns == before
    with pytest.raises(UserError, match="particles is no set of particles"):
        make_clip("particles", 0, 16, clip.parent)


def test_tracks_of_a_kind(clip: Path, tmp_path: Path) -> None:
    known = read_rows(clip.with_suffix(".txt"))
    particles = KnownParticles.read(clip.with_suffix(".json"))
    tracks = read_rows(noisy_truth(clip, tmp_path))
    spread = np.full((len(tracks), 2), ERROR)
    spread[0] = 0.5
    free, stated = of_kind(Positions(tracks, spread), known, particles, "free")
    assert stated is not None
    assert len(stated) == len(free)
    labels = np.array(tracks.labels)[np.unique(free.objects)]
    # Ids of these tracks are places among the labels of the truth, and one more.
    kinds = particles.kinds[np.searchsorted(particles.labels, np.array(known.labels)[labels - 1])]
    assert (kinds == "free").all()
    assert 25 < len(labels) < 70


def test_a_tracker_beside_trackpy(clip: Path, tmp_path: Path) -> None:
    pytest.importorskip("trackpy")
    ours, theirs, truth = compare_on_clip(NAME, 3, clip, noisy_truth)
    assert (ours.tracker, theirs.tracker, truth.tracker) == ("scalor", "trackpy", "true positions")
    assert ours.places is not None
    assert theirs.places is not None
    assert ours.places.isolated.pixels == pytest.approx(ERROR, rel=0.1)
    assert ours.places.isolated.ratio == pytest.approx(ERROR / 0.032, rel=0.12)
    assert ours.recall == (1.0, 1.0)
    # trackpy comes near what can be known, and finds what stands alone.
    assert 0.95 < theirs.places.isolated.ratio < 1.4
    assert abs(theirs.places.isolated.bias).max() < 0.01
    assert 0.7 < theirs.recall[0] <= 1.0
    for each in (ours, theirs, truth):
        check_line(each)
    # Of trackpy's diameters the best: what is less precise finds more.
    recalls, precisions = zip(*((p.recall, p.precision) for p in theirs.curve), strict=True)
    assert list(recalls) == sorted(recalls)
    assert list(precisions) == sorted(precisions, reverse=True)
    assert (recalls[-1], truth.curve) == (pytest.approx(theirs.recall[0], abs=0.1), ())
    draw_curves([ours, theirs, truth], tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (504, 456)
    # 57 to 71 in view, seven tenths of them free: D of about 1400 steps of two coordinates.
    assert truth.limit.diffusion == pytest.approx(np.sqrt(2 / 1400), rel=0.25)
    assert truth.limit.diffusion_fitted > 2 * truth.limit.diffusion
    assert truth.limit.alpha_fitted > truth.limit.alpha
    low, high = truth.motion.fit.diffusion[1:]
    reach = 1.68 * truth.limit.diffusion
    assert (high - low) / 2 / 0.25 == pytest.approx(reach, rel=0.35)


def check_line(result: ParticleResult) -> None:
    line = json.loads(json.dumps(result.to_dict()))
    assert line["free_diffusion"] == pytest.approx(0.25, rel=0.25)
    assert (line["set"], line["seed"], line["true_diffusion"]) == (NAME, 3, 0.25)
    assert {"alpha_low", "limit_diffusion", "limit_alpha_fitted"} <= line.keys()
    assert ({"ratio", "recall_95", "coverage"} <= line.keys()) == (result.places is not None)
