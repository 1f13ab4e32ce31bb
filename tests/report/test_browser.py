"""The page in a real browser: it loads without a complaint, and its script runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

pytest_plugins = "report_fixtures"

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER: Final = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=2000",
    "--dump-dom",
)

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(NAMES)} is installed")


def loaded(page: Path, profile: Path) -> tuple[str, list[str]]:
    """The page after its script has run, and what the browser's console says."""
    command = (str(BROWSER), *FLAGS, f"--user-data-dir={profile}", page.as_uri())
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_the_page_loads(made: Callable[..., str], run: Path, tmp_path: Path) -> None:
    page = made(run, "--frames", 3)
    path = tmp_path / "made" / "report.html"
    shown, said = loaded(path, tmp_path / "profile")
    assert not said
    assert shown.count("<section") == page.count("<section")
    # The script took over from the browser's own controls.
    videos = shown.count("<video")
    assert videos == 3
    assert "controls" not in "".join(re.findall(r"<video[^>]*>", shown))
    assert not re.findall(r"<div hidden", shown)
    assert not re.findall(r"https?://", shown)


def test_what_is_not_in_the_file_is_refused(
    made: Callable[..., str], run: Path, tmp_path: Path
) -> None:
    """The browser does complain where there is a reason to: the test above is not blind."""
    page = made(run, "--frames", 3)
    outside = tmp_path / "outside.html"
    outside.write_text(page.replace("<main>", '<main><img src="http://localhost/a.png">'))
    _, said = loaded(outside, tmp_path / "profile")
    assert any("Content Security Policy" in line for line in said)
