"""What several commands take, parsed."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalor_ppl.cli.names import told_apart
from scalor_ppl.cli.options import labelled, parse_seeds
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


def test_files_are_told_apart_by_what_it_takes(tmp_path: Path) -> None:
    names = ("a/one/tracks.txt", "b/one/tracks.txt", "b/two/tracks.txt", "walk.txt", "c/walk.csv")
    paths = [tmp_path / name for name in names]
    told = told_apart(paths)
    assert list(told.values()) == paths
    assert list(told)[:3] == ["a/one/tracks.txt", "b/one/tracks.txt", "two/tracks.txt"]
    assert list(told)[3:] == ["walk.txt", "walk.csv"]
    assert list(told_apart(paths[3:4])) == ["walk"]
    with pytest.raises(UserError, match=r"walk\.txt is given twice"):
        told_apart([*paths, tmp_path / "a" / ".." / "walk.txt"])


def test_a_seed_counts_once() -> None:
    assert parse_seeds("0, 2,1") == [0, 2, 1]
    with pytest.raises(UserError, match="--seeds 0,1,0: one is there twice"):
        parse_seeds("0,1,0")
