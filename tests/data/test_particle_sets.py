"""Sets of particles: light, noise and motion are what the set says, and files keep all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import dblquad
from tiny import CommandLine

from scalor_ppl.data import REGISTERED, SourceOptions, load_video, open_source
from scalor_ppl.data.netcdf import NetcdfSource, write_netcdf
from scalor_ppl.data.particle_specs import PARTICLE_SETS, ParticleSpec
from scalor_ppl.data.particle_truth import KnownParticles
from scalor_ppl.data.particles import ParticleSource
from scalor_ppl.data.spots import integrals, light, sensed, share_in_view
from scalor_ppl.errors import UserError
from scalor_ppl.tracks.mot_reader import read_rows

SMALL = replace(PARTICLE_SETS["particles-ld"], name="small", count=(20, 24), view=64)
MANY = replace(SMALL, count=(3000, 3000))


def source(spec: ParticleSpec = SMALL, seed: int = 0) -> ParticleSource:
    return ParticleSource(spec, split="test", seed=seed)


@pytest.mark.parametrize("name", PARTICLE_SETS)
def test_sets_are_registered_and_as_dense_as_they_say(name: str) -> None:
    opened = open_source(name, split="test")
    assert isinstance(opened, ParticleSource)
    assert REGISTERED[name] == opened.spec
    clip = opened.clip(0, 1)
    assert clip.video.shape == (1, 256, 256, 1)
    assert clip.truth is not None
    counted = clip.truth.counted(0.5).sum()
    low, high = (np.square(256 / opened.spec.world) * each for each in opened.spec.count)
    assert max(50, low - 10) <= counted <= min(300, high + 15)


def test_a_spot_is_the_integral_over_each_pixel() -> None:
    place, width = np.array([[3.3, 2.6]]), np.array([1.2])
    drawn = light(place, width, np.array([50.0]), 6, 7)

    def density(y: float, x: float) -> float:
        return 50 * np.exp(-((x - 3.3) ** 2 + (y - 2.6) ** 2) / (2 * 1.2**2))

    for row, column in ((2, 3), (0, 0), (5, 6)):
        wanted = dblquad(density, column, column + 1, row, row + 1)[0]
        assert drawn[row, column] == pytest.approx(wanted, rel=1e-9)
    assert integrals(np.array([4.0]), np.array([1.0]), 8).sum() == pytest.approx(1, abs=1e-4)
    far = integrals(np.array([0.0]), np.array([1.0]), 30)[0]
    assert far[20] == pytest.approx(far[20].clip(1e-100), rel=1e-12)  # not lost to rounding
    assert share_in_view(np.array([0.0, 50.0]), np.array(2.0), 100, 100) == pytest.approx(0.5)


def test_noise_has_the_variance_that_the_set_says() -> None:
    for spec in (PARTICLE_SETS["particles-ld"], PARTICLE_SETS["particles-ld-noisy"]):
        for level in (60.0, 100.5):
            flat = np.full(40_000, level)
            seen = sensed(flat, spec.read_noise, spec.gain, np.random.default_rng(0))
            assert seen.mean() == pytest.approx(level, abs=0.2)
            assert seen.var() == pytest.approx(spec.variance(level), rel=0.03)


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_each_kind_moves_as_it_says(kind: int) -> None:
    particles = source(MANY).particles(0, 21)
    motion = MANY.motions[kind]
    centres = particles.centres[:, particles.kinds == kind]
    lags = np.array([1, 2, 5, 20])
    found = [np.nanmean(np.square(centres[lag:] - centres[:-lag]).sum(2)) for lag in lags]
    assert found == pytest.approx(motion.squared(lags), rel=0.1)
    assert motion.alpha == (None if motion.kind in ("drifting", "bound") else 1.0)


def test_who_leaves_the_world_comes_back_as_another() -> None:
    particles = source(MANY).particles(0, 30)
    there = np.isfinite(particles.centres[..., 0])
    assert (there.sum(1) == there[0].sum()).all()
    assert there.shape[1] > there[0].sum()
    steps = np.linalg.norm(np.diff(particles.centres, axis=0), axis=2)
    assert np.nanmax(steps) < 6
    inside = particles.centres[there]
    assert inside.min() >= -SMALL.margin
    assert inside.max() <= SMALL.view + SMALL.margin


def test_a_longer_clip_begins_with_the_shorter_and_parts_make_the_whole() -> None:
    long, short = source().clip(3, 7), source().clip(3, 4)
    assert np.array_equal(long.video[:4], short.video)
    assert long.truth is not None
    assert short.truth is not None
    count = len(short.truth.ids)
    assert np.array_equal(long.truth.boxes[:4, :count], short.truth.boxes, equal_nan=True)
    parts = list(source().parts(3, 7, 3))
    assert np.array_equal(np.concatenate([part.video for part in parts]), long.video)
    assert not np.array_equal(source(seed=1).clip(3, 4).video, short.video)


def test_the_truth_lies_on_what_is_painted() -> None:
    spec = replace(SMALL, count=(1, 1), motions=SMALL.motions, read_noise=0.0, gain=0.0)
    clips = (source(spec).clip(n, 1) for n in range(50))
    seen = ((clip, clip.truth) for clip in clips if clip.truth is not None)
    clip, truth = next((clip, truth) for clip, truth in seen if truth.visible[0, 0] > 0.999)
    lit = clip.video[0, ..., 0] - spec.background
    mass = lit / lit.sum()
    centre = [(mass.sum(axis) * (np.arange(64) + 0.5)).sum() for axis in (0, 1)]
    assert centre == pytest.approx(truth.boxes[0, 0, :2] + truth.boxes[0, 0, 2:] / 2, abs=0.05)
    assert truth.boxes[0, 0, 2:] == pytest.approx([8, 8])
    assert truth.masks is not None
    assert (truth.masks[0] == 0).sum() == pytest.approx(np.pi * 16, abs=6)


def test_what_is_out_of_focus_is_ignored() -> None:
    clip = source().clip(0, 2)
    kinds = source().particles(0, 2).kinds
    assert clip.truth is not None
    assert clip.truth.ignored is not None
    assert np.array_equal(clip.truth.ignored[0], kinds == 3)
    assert clip.truth.masks is not None
    assert not set(np.unique(clip.truth.masks)) & set(np.flatnonzero(kinds == 3).tolist())


def test_files_keep_all_of_it(cli: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "a.mkv"
    said = cli("data", "make", "particles-ld", "--out", out, "--frames", 2, "--seed", 5)
    assert said.code == 0, said.err
    clip = open_source("particles-ld", split="test", seed=5).clip(0, 2)
    assert np.array_equal(load_video(out, options=SourceOptions(channels=1)).video, clip.video)
    known = KnownParticles.read(tmp_path / "a.json")
    assert known.spec == PARTICLE_SETS["particles-ld"]
    rows, truth = read_rows(tmp_path / "a.txt"), clip.truth
    assert truth is not None
    labels = np.array(rows.labels)[rows.objects]
    assert rows.boxes == pytest.approx(truth.boxes[rows.frames, labels - 1], abs=6e-4)
    blurred = known.kinds[np.searchsorted(known.labels, labels)] == "out of focus"
    assert np.array_equal(rows.ignored, blurred)
    assert blurred.any()
    assert not blurred.all()


def test_a_netcdf_file_keeps_what_is_ignored(tmp_path: Path) -> None:
    write_netcdf(source(), tmp_path / "a.nc", 2, 2)
    read, made = NetcdfSource(tmp_path / "a.nc").clip(1, 2).truth, source().clip(1, 2).truth
    assert read is not None
    assert made is not None
    assert np.array_equal(read.ignored, made.ignored)  # type: ignore[arg-type]


def test_wrong_use_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="particles-ld is generated; stride apply"):
        open_source("particles-ld", options=SourceOptions(stride=2))
    with pytest.raises(UserError, match="no such file"):
        KnownParticles.read(tmp_path / "none.json")
    (tmp_path / "other.json").write_text('{"set": 1}')
    with pytest.raises(UserError, match="not what `data make` writes"):
        KnownParticles.read(tmp_path / "other.json")
