"""What several commands take, parsed."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalor_ppl.cli.options import labelled
from scalor_ppl.errors import UserError


def test_folders_with_equals_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("lr=0.1/run", "0.1/run", "beta=2"):
        Path(name).mkdir(parents=True)
    assert labelled(["lr=0.1/run"]) == {"lr=0.1/run": Path("lr=0.1/run")}
    assert labelled(["mine=lr=0.1/run"]) == {"mine": Path("lr=0.1/run")}
    assert labelled(["beta=2"]) == {"beta=2": Path("beta=2")}
    assert labelled(["mine=0.1/run", "x=./beta=2"]) == {
        "mine": Path("0.1/run"),
        "x": Path("beta=2"),
    }
    # Not there: named whole in what is said about it.
    assert labelled(["/runs/lr=0.2/run"]) == {"/runs/lr=0.2/run": Path("/runs/lr=0.2/run")}
    with pytest.raises(UserError, match="two runs are called a"):
        labelled(["a=beta=2", "a=0.1/run"])
