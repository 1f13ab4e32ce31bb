"""A calibration from its fit over the run's folder to tracks, draws and exports."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import ALONE, CPU, CommandLine, Square, trained, write_clips

from scalor_ppl.data import open_source
from scalor_ppl.errors import UserError
from scalor_ppl.inference.alignment import aligned
from scalor_ppl.inference.calibrating import fit_calibration, judge_calibration
from scalor_ppl.inference.certainty import (
    UNCALIBRATED,
    calibrated_draws,
    deviations_in_words,
)
from scalor_ppl.inference.draws import draw_posterior, reference_tracks
from scalor_ppl.inference.trees import posterior_tree
from scalor_ppl.results.samples import Samples, by_object
from scalor_ppl.tracks.deviations import FILE, Calibration, ScaleModel, write_calibration
from scalor_ppl.tracks.table import EMPTY
from scalor_ppl.training.runs import check_export, export_run, load_run, located

SET = "moving-dsprites-vld"
STATED = 0.8


def constant(refine: int = 0) -> Calibration:
    """The same deviation everywhere."""
    scale = ScaleModel({"constant": float(np.log(STATED))}, 5.0, 1.0)
    return Calibration(scale, scale, refine, {"source": "squares", "seed": 1, "clips": 2})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run that finds an object in most cells."""
    folder = tmp_path_factory.mktemp("calibrating") / "run"
    trained(folder, model={"first_rate": 0.5})
    return folder


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A copy of a program that finds what there is."""
    shutil.copytree(located(Path(f"pretrained:{SET.removeprefix('moving-')}")), tmp_path / "run")
    (tmp_path / "run" / FILE).unlink(missing_ok=True)
    return tmp_path / "run"


def test_a_run_has_the_calibration_of_its_refinement(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    assert load_run(tmp_path / "run", CPU).calibration is None
    assert deviations_in_words(load_run(tmp_path / "run", CPU)) == UNCALIBRATED
    write_calibration(tmp_path / "run", constant())
    program = load_run(tmp_path / "run", CPU)
    assert program.calibration == constant()
    assert program.for_size((16, 16)).calibration == constant()
    assert load_run(tmp_path / "run", CPU, refine=2).calibration is None
    assert "squares (seed 1)" in deviations_in_words(program)

    export_run(tmp_path / "run", tmp_path / "made")
    assert load_run(tmp_path / "made", CPU).calibration == constant()
    check_export(tmp_path / "made")


def test_fitted_deviations_hold_what_they_promise(shipped: Path) -> None:
    program = load_run(shipped, CPU)
    fitted_on = open_source(SET, split="train", seed=777)
    calibration = fit_calibration(program, fitted_on, clips=6, frames=5)
    assert calibration.fitted_on["seed"] == 777
    assert calibration.fitted_on["split"] == "train"
    assert "deviation" not in calibration.size.coefficients
    write_calibration(shipped, calibration)
    program = load_run(shipped, CPU)
    honesty = judge_calibration(program, fitted_on, clips=6, frames=5, draws=5)
    assert honesty.calibrated
    assert honesty.centre.coverage[0.9] == pytest.approx(0.9, abs=0.03)
    assert honesty.size is not None
    assert honesty.size.coverage[0.9] == pytest.approx(0.9, abs=0.03)
    assert honesty.count is not None
    assert honesty.count.count == 30
    assert honesty.presence.counts.sum() > 50


def test_draws_have_the_deviations_that_the_calibration_states(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    before = posterior_tree(load_run(tmp_path / "run", CPU), Square().clip(2, 3).video, draws=30)
    assert "guide_std_x" not in before["sample_stats"].to_dataset()
    write_calibration(tmp_path / "run", constant())
    program = load_run(tmp_path / "run", CPU)
    clip = Square().clip(2, 3).video
    spread = reference_tracks(program, clip).spread
    assert spread is not None
    living = np.isfinite(spread)
    assert living.any()
    np.testing.assert_allclose(spread[living], STATED, rtol=1e-5)
    tree = posterior_tree(program, clip, draws=30)
    posterior, stats = tree["posterior"].to_dataset(), tree["sample_stats"].to_dataset()
    changed = stats["calibrated"].values
    assert changed.any()
    drawn = posterior["centre_x"].values[0][:, changed]
    drawn = drawn[:, np.isfinite(drawn).sum(0) >= 20]  # that have draws beyond the central 90 %
    assert drawn.shape[1] >= 2
    low, high = np.nanquantile(drawn, (0.05, 0.95), axis=0, method="weibull")
    np.testing.assert_allclose(high - low, 2 * 1.6448536 * STATED, rtol=0.02)
    own = before["posterior"].to_dataset()["centre_x"].values[0]
    np.testing.assert_allclose(
        stats["guide_std_x"].values[changed], np.nanstd(own[:, changed], axis=0), rtol=1e-3
    )
    assert "squares" in posterior["centre_x"].attrs["deviations"]
    assert before["posterior"].to_dataset()["centre_x"].attrs["deviations"] == UNCALIBRATED


def test_calibrated_draws_lie_about_the_most_likely_account(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    too_wide = replace(constant(), size=replace(constant().size, offset=(0.3, -0.2)))
    write_calibration(tmp_path / "run", too_wide)
    program = load_run(tmp_path / "run", CPU)
    clip = Square().clip(2, 3).video
    reference = reference_tracks(program, clip)
    samples, _ = draw_posterior(program, clip, draws=30, seed=0, images=0)
    assert isinstance(samples, Samples)
    names, identities = aligned(reference, samples.tracks)
    honest = calibrated_draws(program, reference, names, by_object(samples, identities))
    assert honest is not None
    t, k = np.nonzero(reference.ids != EMPTY)
    column = np.searchsorted(names, reference.ids[t, k])
    moved = honest.changed[t, column]
    assert moved.any()
    t, k, column = t[moved], k[moved], column[moved]
    middle = np.nanmedian(honest.objects.centres[:, t, column], axis=0)
    np.testing.assert_allclose(middle, reference.middles()[t, k], atol=1e-4)
    sides = np.nanmedian(honest.objects.boxes[:, t, column, 2:], axis=0)
    found = reference.boxes[..., 2:] - too_wide.oversizes(reference, program.size)
    np.testing.assert_allclose(sides, found[t, k], atol=1e-4)


def test_too_few_draws_are_refused(run: Path) -> None:
    with pytest.raises(UserError, match="at least 5"):
        judge_calibration(load_run(run, CPU), Square(), clips=1, frames=2, draws=3)


def test_the_command_prints_draws_and_writes(
    cli: CommandLine, tmp_path: Path, shipped: Path
) -> None:
    out = tmp_path / "figures.json"
    said = cli(
        *("evaluate", shipped, "--calibrate", "--clips", 6, "--frames", 5, "--draws", 5),
        *("--json", out, *ALONE),
    )
    assert said.code == 0, said
    assert "covered" in said.out
    assert ": calibrated" in said.out
    assert (shipped / FILE).is_file()
    assert (shipped / "calibration.png").read_bytes().startswith(b"\x89PNG")
    figures = json.loads(out.read_text())["calibration"]
    assert figures["calibrated"] is True
    assert figures["centre"]["coverage"].keys() == {"0.5", "0.8", "0.9", "0.95"}
    assert figures["presence"]["bins"]


def test_what_cannot_be_calibrated(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    write_clips(tmp_path / "clips.nc")
    command = ("evaluate", run, "--calibrate", "--clips", 1, "--frames", 2, *ALONE)
    assert "no registered set" in cli.refused(*command, "--data", tmp_path / "clips.nc")
    shipped = ("evaluate", "pretrained:dsprites-vld", "--calibrate", *ALONE)
    assert "a run of your own" in cli.refused(*shipped)
