"""Experiments as data, and the command that trains, scores and logs them."""

from __future__ import annotations

import json
import math
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny import ALONE, CPU, SETTINGS, CommandLine, Square, metrics_of, same, trained, weights_of

import scalor_ppl.config.comparisons
import scalor_ppl.config.experiments
from scalor_ppl.config.settings import merged
from scalor_ppl.data import REGISTERED
from scalor_ppl.environment import commit
from scalor_ppl.errors import UserError
from scalor_ppl.inference.scoring import tracked
from scalor_ppl.nn.layers import SubPixelDecoder
from scalor_ppl.programs.build import build_program
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.scalor.networks import ConvGlimpseEncoder, FcGlimpseEncoder
from scalor_ppl.studies import experiment as experiments
from scalor_ppl.studies.curves import read_curve
from scalor_ppl.studies.experiment import (
    TEST_SEED,
    CurveSpec,
    Experiment,
    Target,
    Trial,
    experiment_names,
    read_experiment,
)
from scalor_ppl.studies.ledger import read_entries
from scalor_ppl.training.runs import (
    CONFIG,
    export_run,
    load_run,
    located,
    pretrained_names,
    run_config,
)

LINES = Path("results", "ledger.jsonl")
TINY = Experiment(
    name="tiny",
    title="Tiny",
    preset="moving-dsprites-vld",
    settings=SETTINGS | {"train": SETTINGS["train"] | {"image_every": 3}},
    minutes=5,
    trials=(
        Trial(title="short", clips=3, frames=2, target=Target(mota=0.9)),
        Trial(title="long", clips=2, frames=4),
    ),
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory in which ``reproduce tiny`` takes seconds."""
    monkeypatch.setattr(experiments, "read_experiment", lambda name: TINY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", experiment_names())
def test_every_experiment_is_a_configuration_and_trials_on_known_sets(name: str) -> None:
    experiment = read_experiment(name)
    config = experiment.config(seed=3, folder="digits")
    assert (config.train.seed, config.data.folder) == (3, "digits")
    assert config.data.source in REGISTERED
    assert config.data.seed != TEST_SEED
    for trial in experiment.trials:
        assert (trial.data or config.data.source) in REGISTERED


def test_an_unknown_experiment_is_named_with_the_nearest(cli: CommandLine) -> None:
    assert "did you mean dsprites-vld?" in cli.refused("reproduce", "dsprites-vdl")


def test_list(cli: CommandLine) -> None:
    said = cli("reproduce")
    assert said.code == 0
    lines = [line.split(maxsplit=1) for line in said.out.splitlines()]
    # By name, each once, with the title of its file; those that RESULTS.md rests on among them.
    assert [name for name, _ in lines] == sorted({name for name, _ in lines})
    folders = (scalor_ppl.config.experiments, scalor_ppl.config.comparisons)
    files = [file for each in folders for file in Path(each.__path__[0]).glob("*.toml")]
    titles = {file.stem: tomllib.loads(file.read_text())["title"] for file in files}
    assert dict(lines) == titles
    assert titles["dsprites-vld"] == "dSprites VLD"
    assert titles["paper-dsprites-vld"] == "dSprites VLD, the paper's own choices"


def test_the_papers_own_choices_run(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All of them at once, in the paper's sizes but for the length of the training."""
    whole = read_experiment("paper-dsprites-vld")
    config = whole.config(seed=0)
    assert isinstance(config, ScalorConfig)
    assert (config.model.grid, config.model.proposals, config.model.sigma) == ((8, 8), 64, 0.2)
    assert (config.model.decoder, config.guide.encoder) == ("conv", "conv")
    assert (config.guide.mask, config.guide.attention) == ("everywhere", True)
    rules = config.model.rules
    assert (rules.rejection, rules.duplicate_rejection) == (True, False)
    assert (rules.vanish, rules.doubled, rules.near_tracked) == (False, False, None)
    train = config.train
    assert (train.estimator, train.optimizer, train.learning_rate) == ("scalor", "rmsprop", 5e-4)
    assert (train.batch, train.frames) == (16, 10)

    brief = merged(whole.settings, {"train": {"steps": 2, "batch": 1, "frames": 2, "log_every": 1}})
    trials = (whole.trials[0].model_copy(update={"clips": 1, "frames": 2}),)
    shortened = whole.model_copy(update={"settings": brief, "trials": trials})
    monkeypatch.setattr(experiments, "read_experiment", lambda name: shortened)
    monkeypatch.chdir(tmp_path)
    said = cli("reproduce", whole.name, *ALONE)
    assert said.code == 0, said
    run = Path("runs", "reproduce", whole.name, "seed_0")
    program = load_run(run, CPU)
    assert isinstance(program.model.decoder, SubPixelDecoder)
    kinds = [type(part) for part in program.guide.modules()]
    assert ConvGlimpseEncoder in kinds
    assert FcGlimpseEncoder not in kinds
    first, second = metrics_of(run)
    assert first["learning_rate"] == second["learning_rate"] == 5e-4
    for line in (first, second):
        assert math.isfinite(line["loss"])
        assert line["gradient_norm"] > 0
    # The optimizer went along the gradient: everything that learns has moved in two steps.
    torch.manual_seed(0)
    start = build_program(program.config, CPU)
    before, after = start.model.state_dict(), program.model.state_dict()
    moved = [name for name, value in before.items() if not torch.equal(value, after[name])]
    assert {"decoder", "propagation"} <= {name.split(".")[0] for name in moved}
    (entry,) = read_entries(tmp_path / LINES)
    assert (entry.experiment, entry.steps, entry.clips) == (whole.name, 2, 1)


def test_reproduce_trains_scores_and_logs(cli: CommandLine, tiny: Path) -> None:
    said = cli("reproduce", "tiny", "--seeds", "4,5", *ALONE)
    assert said.code == 0, said
    assert "to reach 0.900: NOT reached" in said.out
    lines = read_entries(tiny / LINES)
    assert [(line.trial, line.seed) for line in lines] == [
        ("short", 4),
        ("long", 4),
        ("short", 5),
        ("long", 5),
    ]
    assert [(line.clips, line.frames) for line in lines[:2]] == [(3, 2), (2, 4)]
    run = tiny / "runs" / "reproduce" / "tiny" / "seed_4"
    figures = json.loads((run / "scores.json").read_text())
    short = figures["trials"]["short"]
    assert lines[0].plain == pytest.approx(short["plain"]["mota"], abs=1e-6)
    assert lines[0].mse == pytest.approx(short["standard"]["mse"], abs=1e-6)
    assert (run / "tracked" / "sheet.png").is_file()


@pytest.mark.usefixtures("quick_workers")
def test_seeds_side_by_side_one_of_which_fails(cli: CommandLine, tiny: Path) -> None:
    other = Path("runs/reproduce/tiny/seed_5")
    trained(other)
    words = ("reproduce", "tiny", "--seeds", "4,5,6", "--jobs", 2, "--device", "cpu")
    said = cli(*words)
    assert said.code == 2, said
    error, summary = said.err.splitlines()
    assert error.startswith("error: tiny, seed 5: ")
    assert "was trained with other settings" in error
    assert summary == "2 runs reproduced, 1 failed"
    lines = read_entries(tiny / LINES)
    assert sorted((line.seed, line.trial) for line in lines) == [
        (seed, trial) for seed in (4, 6) for trial in ("long", "short")
    ]
    assert "Tiny, short, seed 4" in said.out
    # As in this process, one after the other.
    before = weights_of(Path("runs/reproduce/tiny/seed_4"))
    assert cli("reproduce", "tiny", "--seeds", 4, "--out", "alone", *ALONE).code == 0
    assert same(before, weights_of(Path("alone/tiny/seed_4")))


def test_figures_are_those_of_evaluate_with_the_same_data_seed(
    cli: CommandLine, tiny: Path
) -> None:
    cli("reproduce", "tiny", *ALONE)
    run = tiny / "runs" / "reproduce" / "tiny" / "seed_0"
    reported = json.loads((run / "scores.json").read_text())["trials"]["short"]

    def scored(*arguments: object) -> Any:
        out = tiny / "e.json"
        said = cli("evaluate", run, "--clips", 3, "--frames", 2, "--json", out, *arguments, *ALONE)
        assert said.code == 0, said
        return json.loads(out.read_text())

    assert scored("--data-seed", TEST_SEED) == reported
    assert scored() != reported


def test_reproduce_goes_on_with_its_own_run_and_no_other(
    cli: CommandLine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("reproduce", "tiny", *ALONE)
    run = tiny / "runs" / "reproduce" / "tiny" / "seed_0"
    before, logged = weights_of(run), len(metrics_of(run))
    assert cli("reproduce", "tiny", *ALONE).code == 0
    assert all((weights_of(run)[name] == tensor).all() for name, tensor in before.items())
    assert len(metrics_of(run)) == logged
    # The same run, scored by the same commit: nothing new.
    assert len(read_entries(tiny / LINES)) == 2
    # The line says where and by what the run was trained, whoever scores it again.
    (part,) = json.loads((run / "origin.json").read_text())
    said = []
    for parts in ([part | {"commit": "abc", "threads": 7}], [part, part | {"threads": 3}], []):
        (run / "origin.json").write_text(json.dumps(parts))
        assert cli("reproduce", "tiny", *ALONE).code == 0
        said.append(read_entries(tiny / LINES)[-1])
    assert (said[0].commit, said[0].scored_by) == ("abc", commit())
    assert [line.threads for line in said] == ["7", "1 then 3", "unknown"]
    other = TINY.model_copy(update={"settings": TINY.settings | {"model": {"capacity": 4}}})
    monkeypatch.setattr(experiments, "read_experiment", lambda name: other)
    assert "was trained with other settings" in cli.refused("reproduce", "tiny", *ALONE)


def test_bad_input_is_found_before_the_training(cli: CommandLine, tiny: Path) -> None:
    (tiny / "file").touch()
    refused = cli.refused("reproduce", "tiny", "--results", "file/ledger.jsonl", *ALONE)
    assert "is no folder to write to" in refused
    refused = cli.refused("reproduce", "tiny", "--seeds", "1,2", "--export", "there", *ALONE)
    assert "give one experiment and one seed" in refused
    assert "is given twice" in cli.refused("reproduce", "tiny", "tiny", *ALONE)
    assert "is a table of systems" in cli.refused("reproduce", "table-2", "tiny", *ALONE)
    assert "does not go with table-2" in cli.refused("reproduce", "table-2", "--jobs", 2)
    assert not (tiny / "runs").exists()


def test_exported_program_scores_the_same(cli: CommandLine, tiny: Path) -> None:
    said = cli("reproduce", "tiny", "--export", "shipped/tiny", *ALONE)
    assert said.code == 0, said
    shipped = tiny / "shipped" / "tiny"
    files = sorted(str(p.relative_to(shipped)) for p in shipped.rglob("*") if p.is_file())
    assert files == ["checkpoints/step_0000003/weights.safetensors", CONFIG]
    run = tiny / "runs" / "reproduce" / "tiny" / "seed_0"
    first, again = (
        tracked(load_run(place, CPU), Square(64, 64), clips=2, frames=2).scores
        for place in (run, shipped)
    )
    assert str(first) == str(again)


def test_an_export_holds_nothing_of_the_machine(tmp_path: Path) -> None:
    trained(tmp_path / "run", data={"folder": str(tmp_path)})
    export_run(tmp_path / "run", tmp_path / "shipped")
    assert run_config(tmp_path / "run").data.folder == str(tmp_path)
    assert run_config(tmp_path / "shipped").data.folder is None
    assert str(tmp_path) not in (tmp_path / "shipped" / CONFIG).read_text()


@pytest.mark.parametrize("name", pretrained_names())
def test_shipped_programs_are_small_and_load(name: str) -> None:
    folder = located(Path(f"pretrained:{name}"))
    size = sum(path.stat().st_size for path in folder.rglob("*"))
    assert size < 4e6
    program = load_run(Path(f"pretrained:{name}"), CPU)
    assert program.config.model.height == 64


def test_an_unknown_shipped_program(cli: CommandLine) -> None:
    assert "no pretrained program named 'xyz'" in cli.refused("evaluate", "pretrained:xyz", *ALONE)


def test_commit_is_unknown_without_history_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inside = tmp_path / "venv" / "scalor_ppl" / "environment.py"
    monkeypatch.setattr("scalor_ppl.environment.__file__", str(inside))
    inside.parent.mkdir(parents=True)
    assert commit() == "unknown"
    subprocess.run(("git", "init", "-q", str(tmp_path)), check=True)
    assert commit() == "unknown"


def test_export_of_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such run"):
        export_run(tmp_path / "none", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_an_export_replaces_nothing_but_an_export(cli: CommandLine, tiny: Path) -> None:
    trained(tiny / "run")
    before = weights_of(tiny / "run")
    for folder in (tiny / "run", tiny):
        with pytest.raises(UserError, match="is there and no former export"):
            export_run(tiny / "run", folder)
    refused = cli.refused("reproduce", "tiny", "--export", "run", *ALONE)
    assert "is there and no former export" in refused
    assert not (tiny / "runs").exists()
    assert same(before, weights_of(tiny / "run"))
    for _ in range(2):
        export_run(tiny / "run", tiny / "shipped")
    assert same(before, weights_of(tiny / "shipped"))
    assert {path.name for path in tiny.iterdir()} == {"run", "shipped"}


def test_large_programs_are_shipped_in_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scalor_ppl.training.runs.LARGEST", 1000)
    trained(tmp_path / "run")
    export_run(tmp_path / "run", tmp_path / "shipped")
    weights = weights_of(tmp_path / "shipped")
    assert all(tensor.dtype == torch.float16 for tensor in weights.values())
    loaded = load_run(tmp_path / "shipped", CPU).guide.state_dict()
    for name, tensor in load_run(tmp_path / "run", CPU).guide.state_dict().items():
        torch.testing.assert_close(loaded[name], tensor, rtol=1e-3, atol=1e-6)


# ---------------------------------------------------------------------- curves


def test_an_experiment_with_a_curve_writes_it_and_draws_it(
    cli: CommandLine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curved = TINY.model_copy(update={"curve": CurveSpec(every=1, clips=2)})
    monkeypatch.setattr(experiments, "read_experiment", lambda name: curved)
    assert cli("reproduce", "tiny", *ALONE).code == 0
    run = Path("runs/reproduce/tiny/seed_0")
    lines = read_curve(run)
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(0 <= line["recall"] <= 1 for line in lines)
    said = cli("curves", f"with rejection={run}", run, "--out", "new/curves.png")
    assert said.code == 0, said
    with Image.open("new/curves.png") as image:
        assert image.width > image.height
    assert "end it in .png" in cli.refused("curves", run, "--out", "curves.txt")


def test_scores_on_the_way_leave_the_training_as_it_is(
    cli: CommandLine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("reproduce", "tiny", *ALONE).code == 0
    curved = TINY.model_copy(update={"curve": CurveSpec(every=1, clips=2)})
    monkeypatch.setattr(experiments, "read_experiment", lambda name: curved)
    assert cli("reproduce", "tiny", "--out", "curved", *ALONE).code == 0
    plain = weights_of(Path("runs/reproduce/tiny/seed_0"))
    assert same(plain, weights_of(Path("curved/tiny/seed_0")))


def test_a_step_done_twice_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    lines = [f'{{"step": {s}, "mota": {m}}}\n' for s, m in ((1, 0), (2, 0), (1, 9))]
    path.write_text("".join([*lines, '{"step": 3, "mo']))  # and a line cut short is none
    assert [(line["step"], line["mota"]) for line in read_curve(tmp_path)] == [(1, 9), (2, 0)]


def test_a_run_without_a_curve(cli: CommandLine, tmp_path: Path) -> None:
    trained(tmp_path / "run")
    assert "has no curve.jsonl" in cli.refused("curves", tmp_path / "run", "--out", "a.png")
    assert "no such run" in cli.refused("curves", tmp_path / "none", "--out", "a.png")


def test_two_curves_of_one_label_are_refused(cli: CommandLine) -> None:
    assert "two runs are called a" in cli.refused("curves", "a=x", "a=y", "--out", "a.png")
