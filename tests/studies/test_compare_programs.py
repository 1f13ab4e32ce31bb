"""Runs of different programs side by side: the same clips, one bound, one sheet, time in turns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import ALONE, CPU, SETTINGS, CommandLine, Square, config_of, weights_of, write_clips

from scalor_ppl.config.settings import merged
from scalor_ppl.data import Clip
from scalor_ppl.data.spread import spread_clips
from scalor_ppl.errors import UserError
from scalor_ppl.programs import Program
from scalor_ppl.programs.build import build_program
from scalor_ppl.programs.configuration import checked
from scalor_ppl.programs.registry import PROGRAMS
from scalor_ppl.realism.sides import RealismQuestion
from scalor_ppl.studies.systems import programs as side_by_side
from scalor_ppl.studies.systems.judge import JudgingQuestion, judge
from scalor_ppl.studies.systems.programs import compare_side_by_side, minutes_of, time_in_turns
from scalor_ppl.training.loop import train
from scalor_ppl.training.runs import create_run, load_run

NAMES = ("scalor", "vrnn")
SOURCE = Square(18, 22)
QUESTION = JudgingQuestion(clips=3, bound_clips=2, particles=4, frames=4)


def build(name: str, sigma: float) -> Program:
    """A fresh program for these clips."""
    config: Any = config_of(SOURCE, model={"sigma": sigma})
    if name == "vrnn":
        size = {"height": 18, "width": 22, "channels": 3, "sigma": sigma}
        networks = {"hidden": 8, "maps": 8, "latent": 4, "features": 6}
        files = {"model_file": PROGRAMS[name].model, "guide_file": PROGRAMS[name].guide}
        tables = {"model": size | networks, "train": SETTINGS["train"]}
        config = checked(merged(files, tables))
    return build_program(config, CPU)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each, hardly trained, and ``clips.nc``."""
    folder = tmp_path_factory.mktemp("programs")
    for name in NAMES:
        program = build(name, 0.3)
        create_run(folder / name, program.config)
        train(program, SOURCE, folder / name)
    write_clips(folder / "clips.nc", SOURCE)
    return folder


def compared(runs: Path, **more: Any) -> list[Any]:
    programs = {name: load_run(runs / name, CPU) for name in NAMES}
    folders = {name: runs / name for name in NAMES}
    return compare_side_by_side(programs, folders, SOURCE, QUESTION, batch=2, **more)


def test_a_row_is_what_each_is_judged_to_do(runs: Path) -> None:
    scalor, vrnn = compared(runs)
    for row in (scalor, vrnn):
        assert row.judgement == judge(load_run(runs / row.run, CPU), SOURCE, QUESTION)
        assert row.steps == 3
        assert row.minutes == minutes_of(runs / row.run)
        assert 0 < row.minutes < 1
        assert row.forward > 0
        assert row.step > 0
        assert row.auc is None
    assert (scalor.finds, vrnn.finds) == (True, False)
    assert (scalor.judgement.bound.presence, vrnn.judgement.bound.presence) == ("hard", None)


def test_time_is_taken_in_turns_and_leaves_everything_as_it_is(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    inner = side_by_side._seen

    def noted(program: Any, video: Any) -> None:
        order.append(program.name)
        inner(program, video)

    monkeypatch.setattr(side_by_side, "_seen", noted)
    programs = {name: load_run(runs / name, CPU) for name in NAMES}
    before = {name: weights_of(runs / name) for name in NAMES}
    clips = np.stack([SOURCE.clip(n, 3).video for n in range(2)])
    forward, step = time_in_turns(programs, clips)
    assert order == [*NAMES] * (side_by_side.ROUNDS + 1)
    assert set(forward) == set(step) == set(NAMES)
    for name, program in programs.items():
        for part, module in program.parts.items():
            for key, tensor in module.state_dict().items():
                assert torch.equal(tensor, before[name][f"{part}.{key}"])
            assert all(parameter.grad is None for parameter in module.parameters())


def test_realism_is_asked_for(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    class Found:
        figures = {  # noqa: RUF012
            "clip_auc": {"sampled": 0.9, "real": 0.5},
            "frame_auc": {"sampled": 0.8, "real": 0.4},
        }

    def measured(program: Any, source: Any, question: Any, *, tell: Any) -> Found:
        asked.append((program.name, question.videos))
        return Found()

    monkeypatch.setattr(side_by_side, "measure_realism", measured)
    monkeypatch.setattr(side_by_side, "ROUNDS", 1)
    rows = compared(runs, realism=RealismQuestion(8, 10))
    assert asked == [("scalor", 8), ("vrnn", 8)]
    assert {(row.auc, row.auc_floor) for row in rows} == {(0.9, 0.5)}
    short = compared(runs, realism=RealismQuestion(8, 4))
    assert {(row.auc, row.auc_floor) for row in short} == {(0.8, 0.4)}


# ----------------------------------------------------------------------------------- the command


def test_the_command_prints_writes_and_draws(cli: CommandLine, runs: Path, tmp_path: Path) -> None:
    few = ("--clips", 3, "--bound-clips", 2, "--particles", 4, "--frames", 4)
    where = ("--data", runs / "clips.nc", "--out", tmp_path / "out")
    said = cli("compare", "--programs", *(runs / name for name in NAMES), *few, *where, *ALONE)
    assert said.code == 0, said
    assert "NLL bound" in said.out
    assert "do not compare" not in said.out
    document = json.loads((tmp_path / "out" / "compare.json").read_text())
    rows = document["rows"]
    assert [Path(row["run"]).name for row in rows] == [*NAMES]
    assert len(rows[0]["judgement"]["errors"]) == 3
    assert rows[0]["judgement"]["bound"]["particles"] == 4
    assert rows[0]["mse"] == pytest.approx(np.mean(rows[0]["judgement"]["errors"]))
    assert document["question"]["data"]["source"].endswith("clips.nc")
    with Image.open(tmp_path / "out" / "compare.png") as image:
        assert image.height > 6 * 18  # the clip, three rows of one and two of the other


def test_bounds_of_two_sigmas_are_said_not_to_compare(
    cli: CommandLine, runs: Path, tmp_path: Path
) -> None:
    other = build("vrnn", 0.5)
    create_run(tmp_path / "other", other.config)
    train(other, SOURCE, tmp_path / "other")
    few = ("--clips", 2, "--bound-clips", 1, "--particles", 2, "--frames", 3)
    where = ("--data", runs / "clips.nc", "--out", tmp_path / "out")
    said = cli("compare", "--programs", runs / "vrnn", tmp_path / "other", *few, *where, *ALONE)
    assert said.code == 0, said
    assert "different model.sigma: their bounds do not compare" in said.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--programs", "--train"), "--train does not go with --programs"),
        (("--programs", "--estimators", "elbo"), "--estimators does not go with --programs"),
        (("--programs", "--minutes", 1), "--minutes does not go with --programs"),
        (("--programs", "--particles", "1,5"), "with --programs give one number"),
        (("--programs", "--observe", 10), "--observe 10: clips have 10 frames"),
        (("--programs", "--frames", 1), "--observe 0: clips have 1 frames"),
        (("--realism", 8), "--realism needs --programs"),
        (("--observe", 5), "--observe needs --programs"),
    ],
)
def test_options_that_do_not_go_together(
    cli: CommandLine, runs: Path, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    out = ("--out", tmp_path / "out")
    assert message in cli.refused("compare", runs / "vrnn", *options, *out, *ALONE)
    assert not (tmp_path / "out").exists()


def test_runs_are_wanted_each_once(cli: CommandLine, runs: Path) -> None:
    assert "give their folders" in cli.refused("compare", "--programs", *ALONE)
    twice = (runs / "vrnn", runs / "vrnn")
    assert "is given twice" in cli.refused("compare", "--programs", *twice, *ALONE)


# ---------------------------------------------------------------------------- clips that lie apart


class Reel:
    """Twenty frames, each as bright as its number; clips overlap."""

    name = "reel"
    height = width = 4
    channels = 1
    overlapping = True

    def __len__(self) -> int:
        return 20

    def starts(self, frames: int) -> int:
        return max(0, 21 - frames)

    def clip(self, index: int, frames: int) -> Any:
        if frames > 20:
            raise UserError("reel is too short")
        numbers = np.arange(index, index + frames, dtype=np.uint8)
        return Clip(np.broadcast_to(numbers[:, None, None, None], (frames, 4, 4, 1)), None, "c")


def test_spread_clips_share_no_frame_and_reach_to_the_end() -> None:
    clips = spread_clips(Reel(), 100, 3)
    shown = [clips.clip(n, 3).video[:, 0, 0, 0].tolist() for n in range(clips.starts(3))]
    assert shown == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11], [12, 13, 14], [15, 16, 17]]
    few = spread_clips(Reel(), 2, 3)
    assert [few.clip(n, 3).video[0, 0, 0, 0] for n in range(2)] == [0, 17]
    assert spread_clips(Reel(), 1, 20).clip(0, 20).video[-1, 0, 0, 0] == 19
    with pytest.raises(UserError, match="has no clip 2 of 3 frames: there are 2"):
        few.clip(2, 3)
    assert few.starts(4) == 0
    assert spread_clips(SOURCE, 2, 3) is SOURCE  # its clips do not overlap
    with pytest.raises(UserError, match="too short"):
        spread_clips(Reel(), 5, 21)
