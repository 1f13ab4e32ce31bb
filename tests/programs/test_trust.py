"""A run's folder executes nothing of its own, unless its user said so."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import tomli_w
from tiny import ALONE, CommandLine, config_of, write_images

import scalor_ppl
from scalor_ppl.errors import UserError
from scalor_ppl.programs import trust
from scalor_ppl.programs.configuration import read_config, resolve
from scalor_ppl.training.runs import create_run

EVIL = """
from pathlib import Path
Path("executed").touch()
from scalor_ppl.models.scalor import build_model
from scalor_ppl.guides.scalor import build_guide
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing was trusted yet; what is, is noted here."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "scalor-ppl" / trust.STORE


@pytest.fixture
def evil(place: Path, state: Path) -> Path:
    """A file that leaves a trace when it is run."""
    (place / "evil.py").write_text(EVIL)
    return place / "evil.py"


@pytest.mark.parametrize(
    "settings",
    [
        {"model_file": "evil.py"},
        {"model_file": "evil.py:build_model"},
        {"guide_file": "evil.py"},
        {"model_file": "evil"},
        {"prior": {"propagation": "evil.py:Prior"}},
        {"prior": {"discovery": "evil:Prior"}},
        {"train": {"estimator": "evil:Estimator"}},
        {"train": {"estimator": "os:system"}},
    ],
)
def test_a_hostile_configuration_executes_nothing(
    settings: dict[str, object], cli: CommandLine, evil: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(evil.parent)
    run = Path("hostile")
    run.mkdir()
    (run / "config.toml").write_text(tomli_w.dumps(settings))
    for words in (
        ("track", run, "video.mp4", "--out", "a.txt"),
        ("train", "--resume", "--out", run),
        ("evaluate", run),
        ("generate", run),
        ("foresee", run),
        ("report", run),
        ("compare", run),
        ("train", "--config", run / "config.toml"),
    ):
        said = cli.refused(*words)
        assert "config.toml names " in said, words
        assert "give --trust once" in said
    with pytest.raises(UserError, match="give --trust once"):
        scalor_ppl.load(run)
    assert not Path("executed").exists()


def test_a_run_trained_with_ones_own_file_just_works(
    cli: CommandLine, evil: Path, state: Path
) -> None:
    write_images(evil.parent / "frames")
    own = ("--config", "tiny.toml", "--data", "frames", "--model", "evil.py")
    said = cli("train", *own, "--out", "run", *ALONE)
    assert said.code == 0, said
    assert json.loads(state.read_text()) == [str(evil.resolve())]
    assert cli("generate", "run", "--frames", 2, *ALONE).code == 0
    # On another machine, or for somebody else, it is asked about, once.
    state.unlink()
    said_no = cli.refused("generate", "run", "--frames", 2, *ALONE)
    assert f"names {evil.resolve()}, code that is not of scalor-ppl" in said_no
    assert cli("generate", "run", "--frames", 2, "--trust", *ALONE).code == 0
    assert cli("generate", "run", "--frames", 2, *ALONE).code == 0
    state.unlink()
    assert scalor_ppl.load("run", "cpu", trust=True).config.model_file == str(evil.resolve())
    scalor_ppl.load("run", "cpu")


def test_what_ships_is_never_asked_about(state: Path, tmp_path: Path) -> None:
    create_run(tmp_path / "run", config_of())
    read_config(tmp_path / "run" / "config.toml")
    scalor_ppl.load("pretrained:dsprites-vld", "cpu")
    shipped = {"model_file": "models/scalor.py", "guide_file": "scalor_ppl.guides.scalor"}
    pyro = {"train": {"estimator": "pyro.infer:Trace_ELBO"}}
    assert trust.foreign_code(shipped | pyro) == []
    assert not state.exists()


def test_what_the_command_line_names_is_not_asked_about(evil: Path) -> None:
    config = resolve("tiny.toml", [], {"model_file": "evil.py"})
    assert config.model_file == "evil.py"


def test_code_is_found_wherever_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {
        "model_file": "mine.py",
        "guide_file": "mine.py:build",
        "prior": {"a": "sub/own.py:Prior", "b": "package.module:Prior", "c": "markov"},
        "data": {"source": "films/a.mp4", "list": ["x.py:Y"]},
        "train": {"steps": 3, "estimator": "iwae"},
    }
    here = os.fspath(tmp_path.resolve())
    assert trust.foreign_code(settings) == [
        f"{here}/mine.py",
        f"{here}/sub/own.py",
        "package.module",
        f"{here}/x.py",
    ]


def test_a_spoilt_or_unwritable_memory_only_forgets(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust.remember(["a.module"])
    state.write_text("{not json")
    with pytest.raises(UserError, match="names a\\.module"):
        trust.check_trusted({"model_file": "a.module"}, Path("x.toml"))
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with trust.trusting():
        trust.check_trusted({"model_file": "a.module"}, Path("x.toml"))
