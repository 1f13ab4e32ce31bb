"""A run on clips of its own, and the command by which its report is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from tiny import ALONE, trained, write_clips
from typer.testing import CliRunner

from scalor_ppl.cli.report import report
from scalor_ppl.errors import UserError

Refused = Callable[..., str]
Made = Callable[..., str]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a background that hardly learned anything, on eight clips of six frames."""
    folder = tmp_path_factory.mktemp("report")
    clips = write_clips(folder / "clips.nc")
    background = {"background": "vae", "background_dim": 2, "first_rate": 0.5}
    trained(folder / "run", data={"source": str(clips)}, model=background)
    return folder / "run"


def _invoke(*arguments: object) -> BaseException | None:
    """Run the command; the error by which it refused, if it did."""
    app = typer.Typer()
    app.command()(report)
    result = CliRunner().invoke(app, [*map(str, arguments), *ALONE])
    if result.exit_code and not isinstance(result.exception, UserError):
        raise AssertionError(result.output) from result.exception
    return result.exception


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Make a report, and read it."""

    def make(*arguments: object) -> str:
        out = tmp_path / "made" / "report.html"
        error = _invoke(*arguments, "--out", out)
        assert error is None
        assert [path.name for path in out.parent.iterdir()] == ["report.html"]
        return out.read_text(encoding="utf-8")

    return make


@pytest.fixture
def refused() -> Refused:
    """The line by which the command refuses its input."""

    def refuse(*arguments: object) -> str:
        error = _invoke(*arguments)
        assert error is not None
        assert len(str(error).splitlines()) == 1
        return str(error)

    return refuse
