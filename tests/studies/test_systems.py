"""Systems side by side: the table as data, its cells trained, judged, resumed and written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import ALONE, CommandLine, trained, weights_of, write_digits

from scalor_ppl.config.settings import preset_names
from scalor_ppl.errors import UserError
from scalor_ppl.programs import Program
from scalor_ppl.programs.registry import PROGRAMS
from scalor_ppl.studies.experiment import TEST_SEED
from scalor_ppl.studies.ledger import append_entry, read_ledger
from scalor_ppl.studies.systems import cells as cells_module
from scalor_ppl.studies.systems import table as tables
from scalor_ppl.studies.systems.cells import parse_given
from scalor_ppl.studies.systems.entries import SystemEntry
from scalor_ppl.studies.systems.judge import Judgement, floor_of, judge
from scalor_ppl.studies.systems.table import parse_table, read_table, table_names
from scalor_ppl.training import budget
from scalor_ppl.training.runs import run_config

LINES = Path("results", "table-2.jsonl")
TINY = """
title = "Tiny"
frames = 3
[sets]
small = { title = "small", sigma = 0.3, data = { source = "moving-dsprites-vld" } }
digits = { title = "digits", sigma = 0.3, data = { source = "moving-mnist-vld" } }
own = { title = "own", sigma = 0.3, trained_share = 0.5, data = { tiles = [1, 2] } }
[systems]
vrnn = { title = "VRNN", program = "vrnn" }
vae = { title = "VAE", program = "sequential-vae", sets = ["small", "own"] }
[paper.vrnn]
small = { nll = 22.33, mse = 0.0018 }
[paper.sqair]
small = { nll = 22.63 }
"""
SMALL: dict[str, Any] = {
    "model": {"latent": 3, "hidden": 8, "features": 8, "maps": 8},
    "train": {"steps": 3, "batch": 2, "frames": 3, "warmup": 0, "log_every": 1},
}
CELLS = [("small", "vrnn"), ("small", "vae"), ("digits", "vrnn")]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory in which ``reproduce table-2`` takes seconds."""
    monkeypatch.setattr(tables, "read_table", lambda name: parse_table(name, TINY))
    monkeypatch.setattr(tables, "read_preset", lambda name: SMALL)
    monkeypatch.setattr(budget, "ROUNDS", 1)
    monkeypatch.setattr(budget, "TIMED", 1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def reproduce(cli: CommandLine, *more: object) -> Any:
    few = ("--clips", 4, "--bound-clips", 3, "--particles", 5, "--minutes", 0.002)
    return cli("reproduce", "table-2", *few, *ALONE, *more)


# -------------------------------------------------------------------------------------- the table


@pytest.mark.parametrize("name", table_names())
def test_every_cell_is_a_configuration_of_its_program(name: str, tmp_path: Path) -> None:
    table = read_table(name)
    sets = [column for column, clips in table.sets.items() if not clips.recorded]
    for column, row in table.cells(sets, list(table.systems)):
        config = table.config(column, row, seed=3, video=None, folder=tmp_path)
        assert config.model_file == PROGRAMS[table.systems[row].program].model
        assert (config.train.seed, config.train.image_every) == (3, 0)
        assert config.data.source == table.sets[column].data["source"]
        assert config.model.sigma == table.sets[column].sigma
        assert config.data.seed != TEST_SEED


def test_the_columns_are_as_scalors_presets_are() -> None:
    """Else runs that ship with the package would not belong into the table."""
    table = read_table("table-2")
    for column, clips in table.sets.items():
        if clips.recorded:
            continue
        shipped = run_config(Path(f"pretrained:{column}"))
        own = table.config(column, "scalor", seed=0, video=None, folder=None)
        assert own.model.sigma == shipped.model.sigma
        assert own.data.source == shipped.data.source
        assert own.data.augment == shipped.data.augment


def test_the_papers_figures_are_those_of_its_table() -> None:
    table = read_table("table-2")
    assert table.figures_of_paper("mnist-md", "vrnn").nll == 7.71
    assert table.figures_of_paper("mnist-md", "scalor").nll == 7.82
    assert table.figures_of_paper("dsprites-ld", "sqair").mse == 0.0918
    assert table.figures_of_paper("natural", "sequential-vae").mse is None


def test_presets_fit_and_steps_come_from_them() -> None:
    table = read_table("table-2")
    given: Any = {"seed": 0, "video": None, "folder": None}
    vld = table.config("dsprites-vld", "vrnn", **given)
    assert vld.train.steps == 2400  # vrnn-moving-dsprites-vld
    md = table.config("dsprites-md", "vrnn", **given)
    assert md.train.steps == 5400  # of low density, the default
    assert md.data.source == "moving-dsprites-md"
    assert "natural-patches" in preset_names()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ('a = { title = "A", program = "vrn" }', "did you mean vrnn"),
        ('a = { title = "A", program = "vrnn", presets = { default = "vrnn-x" } }', "no preset"),
        ('a = { title = "A", program = "vrnn", sets = ["x"] }', "no set 'x'"),
        ('a = { title = "A", programme = "vrnn" }', "programme"),
        ("a = ", "table t"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(wrong: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_table("t", f'title = "T"\nframes = 3\nsets = {{}}\n[systems]\n{wrong}\n')


def test_a_column_may_be_judged_on_another_set_than_it_is_trained_on(tmp_path: Path) -> None:
    table = read_table("sqair-digits")
    folder = write_digits(tmp_path / "digits")
    config = table.config("pairs", "vrnn", seed=0, video=None, folder=folder)
    assert config.data.source == "moving-mnist-two"
    source = table.sets["pairs"].held_out(config.data, 8, 10, None)
    assert source.name == "moving-mnist-pair"
    truths = [source.clip(n, 2).truth for n in range(8)]
    assert [len(truth.ids) for truth in truths if truth is not None] == [2] * 8
    with pytest.raises(UserError, match="'nowhere' is no registered set"):
        parse_table(
            "t", TINY.replace("sigma = 0.3, data", 'sigma = 1, tested_on = "nowhere", data')
        )


def test_runs_are_given_by_system_or_by_cell() -> None:
    found = parse_given(["vrnn=runs/{set}/v", "vrnn/small=pretrained:x"], CELLS)
    assert found == {
        ("small", "vrnn"): Path("pretrained:x"),
        ("digits", "vrnn"): Path("runs/digits/v"),
    }
    for text, message in {
        "vrnn": "write it as",
        "vrnn/=a": "write it as",
        "sqair=a": "no such cell",
        "vae/digits=a": "no such cell",
    }.items():
        with pytest.raises(UserError, match=message):
            parse_given([text], CELLS)
    with pytest.raises(UserError, match="given twice"):
        parse_given(["vrnn=a", "vrnn=b"], CELLS)


# ----------------------------------------------------------------------------------- the command


def test_cells_are_trained_judged_and_written_down(cli: CommandLine, tiny: Path) -> None:
    said = reproduce(cli, "--seeds", "4,5")
    assert said.code == 0, said
    assert "digits is left out: it wants --data-dir" in said.err
    assert "own is left out: it wants --video" in said.err
    assert "NLL bound" in said.out
    assert "sqair (paper only)" in said.out
    assert "mean" in said.out
    lines = read_ledger(tiny / LINES, SystemEntry)
    found = [(line.set, line.system, line.seed, line.origin) for line in lines]
    assert found == [
        (*cell, "trained")
        for cell in (
            ("small", "VRNN", 4),
            ("small", "VRNN", 5),
            ("small", "VAE", 4),
            ("small", "VAE", 5),
        )
    ]
    first = lines[0]
    assert (first.clips, first.bound_clips, first.particles, first.frames) == (4, 3, 5, 3)
    assert (first.sigma, first.budget, first.presence) == (0.3, 0.002, None)
    assert first.nll_bound == pytest.approx(-first.bound / 64**2, abs=1e-4)
    assert first.nll_floor == pytest.approx(floor_of(0.3, 9), abs=1e-6)
    assert first.nll_bound > first.nll_floor
    assert first.nll_misfit is not None
    assert first.nll_rest is not None
    assert first.nll_latents is not None
    assert first.nll_drawn is not None
    parts = first.nll_floor + first.nll_misfit + first.nll_rest
    assert parts == pytest.approx(first.nll_bound, abs=1e-5)
    assert (first.paper_nll, first.paper_mse) == (22.33, 0.0018)
    assert (first.over, first.nll_over, first.nll_over_error) == (None, None, None)
    other = lines[2]
    assert (other.paper_nll, other.over) == (None, "VRNN")
    assert other.nll_over == pytest.approx(other.nll_bound - first.nll_bound, abs=2e-6)
    assert other.nll_over_error is not None
    with Image.open("runs/reproduce/table-2/small/side_by_side.png") as image:
        assert image.height > 4 * 64  # the clip, and two rows of each


def test_the_same_command_goes_on_and_measures_nothing_twice(
    cli: CommandLine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("--sets", "small", "--systems", "vae")
    assert reproduce(cli, *few).code == 0
    run = tiny / "runs/reproduce/table-2/small/vae/seed_0"
    weights = weights_of(run)
    judged: list[str] = []

    def counted(program: Program, *rest: Any) -> Judgement:
        judged.append(program.name)
        return judge(program, *rest)

    monkeypatch.setattr(cells_module, "judge", counted)
    said = reproduce(cli, *few)
    assert said.code == 0
    assert judged == []
    assert "has the line of small, vae already" in said.out
    assert len(read_ledger(tiny / LINES, SystemEntry)) == 1
    assert all(torch.equal(weights[name], tensor) for name, tensor in weights_of(run).items())
    # Another question, or a spoilt file, is measured.
    (run / "cell.json").write_text("{")
    assert reproduce(cli, *few).code == 0
    assert judged == ["sequential-vae"]
    assert (
        cli(
            "reproduce",
            "table-2",
            *few,
            "--clips",
            2,
            "--bound-clips",
            2,
            "--particles",
            2,
            "--minutes",
            0.002,
            *ALONE,
        ).code
        == 0
    )
    assert len(judged) == 2
    refused = cli.refused("reproduce", "table-2", *few, "--minutes", 0.003, *ALONE)
    assert "was planned with other settings" in refused


def test_a_run_that_is_given_is_judged_and_not_trained(
    cli: CommandLine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reproduce(cli, "--systems", "vrnn", "--seeds", "7").code == 0
    run = tiny / "runs/reproduce/table-2/small/vrnn/seed_7"
    before = read_ledger(tiny / LINES, SystemEntry)[0]
    out = ("--out", "other", "--results", "others.jsonl", "--systems", "vrnn")
    assert reproduce(cli, *out, "--run", f"vrnn={run}").code == 0
    assert not list((tiny / "other").rglob("checkpoints"))
    (line,) = read_ledger(tiny / "others.jsonl", SystemEntry)
    assert (line.origin, line.seed, line.budget) == ("given", 7, None)
    assert line.nll_bound == pytest.approx(before.nll_bound)
    assert line.steps == before.steps
    assert line.minutes is not None
    assert line.processor_minutes == before.processor_minutes
    assert line.processor_minutes is not None


def test_a_given_run_of_digits_needs_no_folder_of_its_own(cli: CommandLine, tiny: Path) -> None:
    """As those that ship with the package have none."""
    few = ("--sets", "digits", "--systems", "vrnn", "--data-dir", write_digits(tiny / "digits"))
    assert reproduce(cli, *few).code == 0
    run = tiny / "runs/reproduce/table-2/digits/vrnn/seed_0"
    text = (run / "config.toml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("folder")]
    assert len(lines) == len(text.splitlines()) - 1
    (run / "config.toml").write_text("\n".join(lines))
    said = reproduce(cli, *few, "--run", f"vrnn={run}", "--out", "other")
    assert said.code == 0, said
    assert (tiny / "other/table-2/digits/side_by_side.png").is_file()


def test_runs_that_do_not_belong_are_refused_before_anything_is_trained(
    cli: CommandLine, tiny: Path
) -> None:
    trained(tiny / "scalor")
    assert reproduce(cli, "--systems", "vrnn").code == 0
    vrnn = tiny / "runs/reproduce/table-2/small/vrnn/seed_0"

    def refused(*more: object) -> str:
        return cli.refused("reproduce", "table-2", "--out", "new", *ALONE, *more)

    assert "is a run of scalor" in refused("--run", f"vrnn={tiny / 'scalor'}")
    text = (vrnn / "config.toml").read_text()
    (vrnn / "config.toml").write_text(text.replace("sigma = 0.3", "sigma = 0.2"))
    assert "bounds of different sigmas do not compare" in refused("--run", f"vrnn={vrnn}")
    (vrnn / "config.toml").write_text(text.replace("dsprites-vld", "dsprites-ld"))
    assert "which is not small" in refused("--run", f"vrnn={vrnn}")
    assert "no such run" in refused("--run", "vrnn=nowhere")
    assert "did you mean small" in refused("--sets", "smal")
    assert "--video" in refused("--sets", "own")
    assert "needs the MNIST files" in refused("--sets", "digits")
    assert "--table does not go with table-2" in refused("--table")
    assert "is for tables of systems: sqair-digits, table-2" in cli.refused(
        "reproduce", "--sets", "small"
    )
    assert not (tiny / "new").exists()


def test_a_recording_is_held_out_from_a_frame_on(cli: CommandLine, tiny: Path) -> None:
    frames = Path("frames")
    frames.mkdir()
    random = np.random.default_rng(0)
    for number in range(24):
        pixels = random.integers(0, 255, (16, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(frames / f"{number:02d}.png")
    few = ("--sets", "own", "--systems", "vae", "--video", frames)
    said = reproduce(cli, *few)
    assert said.code == 0, said
    run = tiny / "runs/reproduce/table-2/own/vae/seed_0"
    config = run_config(run)
    assert (config.data.start, config.data.stop) == (0, 12)
    table = parse_table("t", TINY)
    source = table.sets["own"].held_out(config.data, 100, 3, frames)
    # 12 frames of each of two tiles; 20 starts of 3 frames, of which 7 lie apart.
    assert source.starts(3) == 7
    shown = [source.clip(n, 3) for n in range(7)]
    first = np.asarray(Image.open(frames / "12.png"))[:, :16]
    assert np.array_equal(shown[0].video[0], first)
    assert len({clip.name for clip in shown}) == 7
    assert read_ledger(tiny / LINES, SystemEntry)[0].clips == 4
    whole = (run / "config.toml").read_text().replace("stop = 12", "stop = 20")
    (run / "config.toml").write_text(whole)
    refused = cli.refused("reproduce", "table-2", *few, "--run", f"vae={run}", "--out", "n", *ALONE)
    assert "was trained on frames that are held out here, from 12 on" in refused


def test_lines_of_one_measurement_are_written_once(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    line = SystemEntry(
        set="a", system="b", seed=0, origin="given", sigma=0.1, nll_bound=1.0, nll_floor=0.0,
        particles=1, bound=-2.0, ess=1.0, bound_clips=1, mse=0.1, clips=1, frames=1, parameters=1,
        steps=1, threads="1", hardware="h", commit="c", scored_by="c", date="2026-01-01",
    )  # fmt: skip
    assert append_entry(path, line)
    assert not append_entry(path, line)
    assert append_entry(path, line.model_copy(update={"minutes": 2.0}))
    assert not append_entry(path, line.model_copy(update={"minutes": 2.1}))
    path.write_text('{"set": "a"}\n')
    with pytest.raises(UserError, match="line 1"):
        append_entry(path, line)
