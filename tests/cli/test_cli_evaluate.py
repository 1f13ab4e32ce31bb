"""``scalor-ppl evaluate`` of several runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import ALONE, CommandLine, trained, write_clips

FEW = ("--clips", "2", "--frames", "3", "--data", "clips.nc", *ALONE)


@pytest.fixture
def seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs of other seeds, beside clips."""
    monkeypatch.chdir(tmp_path)
    write_clips(tmp_path / "clips.nc")
    for seed in range(2):
        trained(tmp_path / f"seed_{seed}", train={"seed": seed})
    return tmp_path


@pytest.mark.usefixtures("seeds", "quick_workers")
def test_several_runs_side_by_side(cli: CommandLine) -> None:
    said = cli("evaluate", "seed_0", "none", "seed_1", *FEW, "--jobs", 2, "--json", "all.json")
    assert said.code == 2, said
    error, summary = said.err.splitlines()
    assert error.startswith("error: none: no such run: ")
    assert summary == "2 runs evaluated, 1 failed"
    found = json.loads(Path("all.json").read_text())
    assert list(found) == ["seed_0", "seed_1"]
    # As each is alone.
    assert cli("evaluate", "seed_1", *FEW, "--json", "one.json").code == 0
    assert json.loads(Path("one.json").read_text()) == found["seed_1"]
    mse = [each["standard"]["mse"] for each in found.values()]
    assert mse[0] != mse[1]
    row = next(line for line in said.out.splitlines() if line.strip().startswith("MSE "))
    assert f"{np.mean(mse):.4f} ({np.std(mse, ddof=1):.4f})" in row


@pytest.mark.usefixtures("seeds")
def test_what_is_for_one_run_at_a_time(cli: CommandLine) -> None:
    for option in ("--calibrate", "--calibration", "--plot=a.png"):
        line = cli.refused("evaluate", "seed_0", "seed_1", option, *FEW)
        assert line.endswith("is for one run at a time")
    assert "is given twice" in cli.refused("evaluate", "seed_0", "./seed_0", *FEW)


@pytest.mark.usefixtures("seeds")
def test_errors_at_the_edge(cli: CommandLine) -> None:
    said = cli("evaluate", "seed_0", "--edges", *FEW, "--json", "one.json")
    assert said.code == 0, said
    assert "centres at the edge of the view" in said.out
    found = json.loads(Path("one.json").read_text())
    assert isinstance(found["edges"], list)
    assert found["standard"]["clips"] == 2
    line = cli.refused("evaluate", "seed_0", "--edges", "--calibration", *FEW)
    assert line.endswith("goes with scores, in whose place --calibration is")
