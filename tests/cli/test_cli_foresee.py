"""``scalor-ppl foresee``, on a shipped program and on tiny runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import (
    ALONE,
    CPU,
    CommandLine,
    Square,
    run_beside_clips,
    write_clips,
    write_images,
)

from scalor_ppl.cli.foresee import milestones
from scalor_ppl.data import open_source
from scalor_ppl.programs import Program
from scalor_ppl.studies import foreseeing
from scalor_ppl.studies.experiment import TEST_SEED
from scalor_ppl.studies.foreseeing import ForesightQuestion, foresee_clips
from scalor_ppl.training.runs import load_run

SHIPPED = "pretrained:dsprites-vld"
FEW = ("--clips", 3, "--observe", 2, "--ahead", 3, "--draws", 2, *ALONE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_beside_clips(tmp_path_factory)


@pytest.fixture
def clips(run: Path) -> Path:
    return run.parent / "clips.nc"


@pytest.fixture(scope="module")
def shipped() -> Program:
    return load_run(Path(SHIPPED), CPU)


def asked(cli: CommandLine, out: Path, *arguments: object) -> dict[str, Any]:
    said = cli("foresee", *arguments, "--json", out)
    assert said.code == 0, said
    return json.loads(out.read_text())


def test_a_shipped_program_foresees_better_than_nothing(cli: CommandLine, tmp_path: Path) -> None:
    out, figure = tmp_path / "new" / "foresight.json", tmp_path / "foresight.png"
    said = cli("foresee", f"VLD={SHIPPED}", "--clips", 6, *ALONE, "--json", out, "--figure", figure)
    assert said.code == 0, said
    document = json.loads(out.read_text())
    assert document["data"]["source"] == "moving-dsprites-vld"
    assert document["data"]["seed"] == TEST_SEED
    assert document["question"] == {
        "clips": 6, "observe": 5, "ahead": 10, "draws": 8, "seed": 0
    }  # fmt: skip
    found = document["runs"]["VLD"]
    assert found["run"] == SHIPPED
    assert found["clips"] == 6
    assert 0.8 * found["objects"] < found["matched"] <= found["objects"]
    figures = found["figures"]["all"]
    assert all(len(each["mean"]) == 10 for each in figures.values())
    assert 0 < figures["energy"]["mean"][0] < figures["draw"]["mean"][0]
    for name in ("point", "likeliest", "energy", "velocity"):
        assert figures[name]["mean"][0] < figures["stays"]["mean"][0]
        assert figures[name]["mean"][0] < figures[name]["mean"][9]
    assert figures["died"]["mean"][9] < 0.2

    lines = said.out.splitlines()
    assert lines[0].startswith(f"VLD: {found['matched']} of {found['objects']} objects")
    mean, error, median = (figures["energy"][name][9] for name in ("mean", "error", "median"))
    scores = [line for line in lines if line.strip().startswith("energy score")]
    assert len(scores) == 3
    assert scores[0].rstrip().endswith(f" {mean:.2f} +- {error:.2f} ({median:.2f})")
    assert lines[-1] == str(figure)
    with Image.open(figure) as picture:
        assert picture.width > picture.height


def test_the_seed_decides_the_draws_and_no_more(cli: CommandLine, tmp_path: Path) -> None:
    first, again, other = (
        asked(cli, tmp_path / "x.json", f"run={SHIPPED}", *FEW, "--seed", seed)["runs"]["run"]
        for seed in (1, 1, 2)
    )
    assert first == again
    one, two = first["figures"]["all"], other["figures"]["all"]
    assert one["point"] != two["point"]
    assert one["likeliest"] == two["likeliest"]
    assert one["stays"] == two["stays"]


def test_the_data_seed_decides_the_clips(cli: CommandLine, tmp_path: Path) -> None:
    counts = [
        asked(cli, tmp_path / "x.json", f"r={SHIPPED}", *FEW, "--data-seed", seed)["runs"]["r"]
        for seed in (5, 6)
    ]
    assert counts[0]["figures"]["all"]["stays"] != counts[1]["figures"]["all"]["stays"]


def test_draws_of_a_clip_agree_on_what_was_observed(shipped: Program) -> None:
    source = open_source("moving-dsprites-vld", split="test")
    question = ForesightQuestion(clips=2, observe=3, ahead=2, draws=3)
    drawn = [source.clip(i, question.frames) for i in range(2)]
    tracks = foreseeing.imagined(shipped, drawn, question)
    assert len(tracks) == 6
    for first, *others in (tracks[:3], tracks[3:]):
        for other in others:
            assert np.array_equal(first.ids[:3], other.ids[:3])
            alive = first.ids[:3] >= 0
            assert first.boxes[:3][alive] == pytest.approx(other.boxes[:3][alive], abs=1e-3)
            assert not np.array_equal(first.boxes[3:], other.boxes[3:])
    assert not any(each.discovered[3:].any() for each in tracks)


def test_batches_of_any_size_are_measured_alike(
    shipped: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source("moving-dsprites-vld", split="test")
    question = ForesightQuestion(clips=5, observe=3, ahead=2, draws=2)
    whole = foresee_clips(shipped, source, question)
    monkeypatch.setattr(foreseeing, "FRAMES_AT_ONCE", 20)
    heard: list[str] = []
    parts = foresee_clips(shipped, source, question, heard.append)
    assert heard == ["what is most likely", "clip 1 of 5", "clip 3 of 5", "clip 5 of 5"]
    assert (parts.objects, parts.matched) == (whole.objects, whole.matched)
    one, two = (each.figures["all"]["velocity"].mean for each in (whole, parts))
    assert one == pytest.approx(two, abs=1e-3)


def test_several_runs_on_a_file_with_fewer_clips(
    cli: CommandLine, run: Path, clips: Path, tmp_path: Path
) -> None:
    """Runs that learned nothing and see little: empty cells, and no complaint."""
    arguments = (f"one={run}", f"two={run}", "--data", clips, *FEW, "--clips", 50)
    figure = tmp_path / "foresight.svg"
    document = asked(cli, tmp_path / "x.json", *arguments, "--figure", figure)
    assert document["runs"]["one"]["figures"] == document["runs"]["two"]["figures"]
    assert document["runs"]["one"]["objects"] == document["runs"]["one"]["clips"] == 8
    assert "<svg" in figure.read_text()


def test_one_draw(cli: CommandLine, tmp_path: Path) -> None:
    document = asked(cli, tmp_path / "x.json", SHIPPED, *FEW, "--draws", 1)
    figures = document["runs"][SHIPPED]["figures"]["all"]
    assert figures["energy"]["mean"] == [None] * 3
    assert figures["point"] == figures["draw"]


@pytest.mark.parametrize(
    ("ahead", "frames"), [(1, [1]), (2, [1, 2]), (3, [1, 3]), (10, [1, 5, 10])]
)
def test_frames_that_the_table_tells_of(ahead: int, frames: list[int]) -> None:
    assert milestones(ahead) == frames


def test_what_is_refused(cli: CommandLine, run: Path, clips: Path, tmp_path: Path) -> None:
    small = write_clips(tmp_path / "small.nc", Square(12, 16))
    images = write_images(tmp_path / "images")
    for arguments, said in (
        ((run, run), "two runs are called"),
        ((tmp_path,), "is not a run"),
        ((run, "--figure", "foresight.txt"), "end it in .png, .svg, .pdf"),
        ((run, "--json", tmp_path), "is a folder; name a file"),
        ((run, "--data", small), "12 x 16 x 3, but the run was trained"),
        ((run, "--data", images), "has no ground truth: there is nothing to compare"),
        ((run, "--data", clips, "--ahead", 5), "fewer than the 7 of a clip"),
        ((run, SHIPPED, "--data", clips), "but the run was trained on 64 x 64 x 3"),
        ((run, "--data", "nothing"), "neither a registered set nor an existing path"),
    ):
        assert said in cli.refused("foresee", *arguments[:1], *FEW, *arguments[1:])


def test_floors_need_no_run(cli: CommandLine, tmp_path: Path) -> None:
    few = ("--clips", "20", "--observe", "10")
    said = cli("foresee", "--floors", "gswm-occlusion", *few, "--json", tmp_path / "floors.json")
    assert said.code == 0
    written = json.loads((tmp_path / "floors.json").read_text())
    assert written["question"]["clips"] == 20
    moving = written["floors"]["constant velocity and walls"]
    assert moving["matched"] == moving["objects"] == 60
    assert len(moving["mean"]) == 10
    assert max(moving["mean"]) < 1e-3
    line = next(row for row in said.out.splitlines() if row.startswith("constant velocity"))
    # Balls that pass through each other go straight on; there are no frames 11 to 20.
    assert line.split()[4:] == ["0.000", "60", "of", "60", "0.0%"]


def test_floors_are_of_the_benchmarks_sets_only(cli: CommandLine) -> None:
    assert "give one of gswm-occlusion" in cli.refused("foresee", "--floors", "moving-mnist-ld")
    for more in (("run",), ("--data", "gswm-dense"), ("--figure", "a.png")):
        assert "leave them out" in cli.refused("foresee", *more, "--floors", "gswm-dense")
    assert "give runs" in cli.refused("foresee")


def test_without_sampling_draws_are_alike(shipped: Program) -> None:
    source = open_source("moving-dsprites-vld", split="test")
    question = ForesightQuestion(clips=1, observe=3, ahead=3, draws=2)
    drawn = [source.clip(0, question.frames)]
    one, other = foreseeing.imagined(shipped, drawn, question, likeliest=True)
    again, _ = foreseeing.imagined(shipped, drawn, question, likeliest=True)
    for each in (other, again):
        assert np.array_equal(one.ids, each.ids)
        assert np.allclose(one.boxes, each.boxes, atol=1e-3, equal_nan=True)


def test_the_metric_of_the_benchmark_stands_beside_its_floors(cli: CommandLine) -> None:
    said = cli("foresee", f"r={SHIPPED}", "--data", "gswm-single-ball", *FEW, "--ahead", 7)
    assert said.code == 0
    rows = [line.split("  ")[0].strip() for line in said.out.splitlines()]
    assert rows.index("stands still") == rows.index("prediction") + 3
    assert any("of 6 draws go left" in line for line in said.out.splitlines())
