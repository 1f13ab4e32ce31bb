"""The script for machines with a GPU: it parses, and its comparison would fail."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tiny import CPU, config_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``scripts/gpu_step.py`` as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import gpu_step

    return gpu_step


def test_the_script_parses() -> None:
    script = ROOT / "scripts" / "gpu_check.sh"
    subprocess.run(["sh", "-n", str(script)], check=True)
    assert script.stat().st_mode & 0o100


def test_renderers_agree_and_a_difference_is_told(
    script: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert script.compared(config_of(), CPU)
    assert capsys.readouterr().out.endswith(": ok\n")
    inner, turn = script.gradient_on, iter(range(2))

    def wrong(*given: object) -> tuple[float, torch.Tensor]:
        loss, gradient = inner(*given)
        gradient[0] += next(turn) * gradient.norm() / 10
        return loss, gradient

    monkeypatch.setattr(script, "gradient_on", wrong)
    assert not script.compared(config_of(), CPU)
    assert "gradient by 1.0e-01: NO" in capsys.readouterr().out


def test_what_is_timed_is_said(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    script.timed(config_of(), CPU, 2, 2, 1)
    said = capsys.readouterr().out
    assert said.startswith("  batch 2, 2 frames: ")
    assert "clips/s" in said
    script.waits(config_of(), CPU)
    assert "without a GPU" in capsys.readouterr().out
