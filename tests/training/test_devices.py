"""What a processor computes fast, and what is said where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from tiny import ALONE, CPU, SETTINGS, CommandLine, Square, write_clips

from scalor_ppl.config.settings import merged
from scalor_ppl.training import devices
from scalor_ppl.training.devices import has_bfloat16_units, warn_of_precision

X86 = {"architecture": "x86_64", "avx2": True, "avx512_f": True, "avx512_bf16": False}
BFLOAT16 = {"train": {"precision": "bfloat16"}}
ARM = {"architecture": "arm64", "neon": True, "bf16": False}


def processor(monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, Any] | None) -> None:
    """A processor of these capabilities; none is a torch that cannot tell."""
    if capabilities is None:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        (X86, False),
        (X86 | {"avx512_bf16": True}, True),
        (X86 | {"amx_bf16": True}, True),
        (ARM, False),
        (ARM | {"bf16": True}, True),
        (None, None),
    ],
)
def test_bfloat16_units(
    capabilities: dict[str, Any] | None,
    expected: bool | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    processor(monkeypatch, capabilities)
    assert has_bfloat16_units(CPU) is expected
    warn_of_precision("float32", CPU)
    assert not caplog.messages
    warn_of_precision("bfloat16", CPU)
    assert len(caplog.messages) == (expected is False)


def test_a_gpu_is_asked_for_its_own_units(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def supported(including_emulation: bool = True) -> bool:
        asked.append(including_emulation)
        return False

    monkeypatch.setattr(devices.torch.cuda, "is_bf16_supported", supported)
    assert has_bfloat16_units(torch.device("cuda")) is False
    assert asked == [False]


def test_a_training_says_so_once_and_goes_on(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(monkeypatch, X86)
    clips = write_clips(tmp_path / "clips.nc", Square())
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(merged(SETTINGS, BFLOAT16)))
    given = ("--config", tmp_path / "tiny.toml", "--data", clips, *ALONE)
    said = cli("train", *given, "--steps", 1, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    assert said.err.count("this processor has no bfloat16 units") == 1
    assert (tmp_path / "run" / "config.toml").is_file()
