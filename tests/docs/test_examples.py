"""Every Python example of README and docs runs as it is printed; every command exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib
import pytest
import typer
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from typer.core import TyperGroup

import scalor_ppl
from scalor_ppl.api import evaluate, train
from scalor_ppl.cli.main import app
from scalor_ppl.config.settings import merged
from scalor_ppl.data import open_source
from scalor_ppl.programs import Program
from scalor_ppl.results.video import write_mp4
from scalor_ppl.training.runs import located

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT)
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if "_build" not in path.parts
)
RUN = [page for page in PAGES if "```python" in (ROOT / page).read_text()]
SLOW = {Path("docs/arviz.md")}  # a hundred draws


def shortly(data: str, *, settings: Mapping[str, Any] = MappingProxyType({}), **how: Any) -> Any:
    """``scalor_ppl.train`` for three steps of two clips."""
    few: dict[str, Any] = {"steps": 3, "batch": 2, "frames": 2, "warmup": 0, "image_every": 0}
    few["priors"] = {"steps": 0}
    return train(data, settings=merged(settings, {"train": few}), **how)


def roughly(program: Program, **how: Any) -> dict[str, Any]:
    """``scalor_ppl.evaluate`` on one short clip."""
    return evaluate(program, **how | {"clips": 1, "frames": 2})


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that examples run in: with ``runs/ld``, ``runs/crowd`` and two videos.

    What examples train is trained for three steps, and scored on one clip.
    """
    matplotlib.use("Agg")
    (tmp_path / "runs").mkdir()
    for name in ("ld", "crowd"):
        (tmp_path / "runs" / name).symlink_to(located(Path("pretrained:dsprites-vld")))
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    clip = open_source("moving-dsprites-vld", split="test").clip(0, frames=12)
    for name in ("crowd.mp4", "sprites.mkv"):
        write_mp4(tmp_path / name, clip.video)
    monkeypatch.setattr(scalor_ppl, "train", shortly)
    monkeypatch.setattr(scalor_ppl, "evaluate", roughly)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("workshop")
@pytest.mark.parametrize(
    "page",
    [pytest.param(p, id=str(p), marks=[pytest.mark.slow] if p in SLOW else []) for p in RUN],
)
def test_examples_run(page: Path) -> None:
    document = Sybil([PythonCodeBlockParser(), SkipParser()], path=str(ROOT)).parse(ROOT / page)
    clip = open_source("moving-dsprites-vld", split="test").clip(1, frames=2)
    document.namespace["frames"] = clip.video
    examples = list(document.examples())
    assert examples
    for example in examples:
        example.evaluate()


def commands() -> Iterator[tuple[Path, list[str]]]:
    """Each ``scalor-ppl`` line of a page, in words, without its comment."""
    for page in PAGES:
        text = (ROOT / page).read_text().replace("\\\n", " ")
        blocks = re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        inline = re.findall(r"`(scalor-ppl [^`]*)`", text)
        for line in [*"".join(blocks).splitlines(), *(" ".join(i.split()) for i in inline)]:
            if line.startswith("scalor-ppl "):
                yield page, shlex.split(line, comments=True)[1:]


def test_commands_and_their_options_exist() -> None:
    root: Any = typer.main.get_command(app)
    seen = 0
    for page, words in commands():
        command = root
        while isinstance(command, TyperGroup) and words:
            name = words.pop(0)
            assert name in command.commands, f"{page}: there is no command {name!r}"
            command = command.commands[name]
        known = {
            option
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        for word in words:
            if word.startswith("--"):
                assert word in known, f"{page}: {command.name} has no {word}"
        seen += 1
    assert seen > 50
