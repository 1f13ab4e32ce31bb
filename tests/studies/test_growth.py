"""Time and memory as one thing at a time grows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny import CommandLine, config_of, write_settings

from scalor_ppl.errors import UserError
from scalor_ppl.studies.benchmark import growth
from scalor_ppl.studies.benchmark.growth import Series, measure_growth
from scalor_ppl.studies.benchmark.results import PeakMemory


@pytest.fixture(autouse=True)
def _told_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is not measured in a process of its own but told: 2 MiB for each frame of a video."""

    def told(config: object, batch: int, frames: int, device: object) -> PeakMemory:
        return PeakMemory(batch * frames * 2 * 2**20 + 5, 5, "resident")

    monkeypatch.setattr(growth, "peak_memory", told)


def test_what_grows_is_read() -> None:
    assert Series.parsed("frames=4, 8").amounts == [4, 8]
    assert Series.parsed("size=64,128").amounts == [64**2, 128**2]
    assert Series.parsed("size=64x96,128x96").amounts == [64 * 96, 128 * 96]
    grid = Series.parsed("model.grid=2x2,4x2")
    assert grid.amounts == [4, 8]
    assert grid.changed(config_of(), "4x2") == config_of(model={"grid": [4, 2]})
    more = Series.parsed("model.capacity=3,9").changed(config_of(), "9")
    assert more == config_of(model={"capacity": 9})
    wide = Series.parsed("size=16x24,32x24").changed(config_of(), "32x24")
    assert (wide.model.height, wide.model.width) == (32, 24)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("frames", "give what grows and through which values"),
        ("frames=4,x", "give what grows and through which values"),
        ("frames=4,0", "give what grows and through which values"),
        ("frames=4", "give two values at least, from little to much"),
        ("frames=8,4", "give two values at least, from little to much"),
        ("frame=4,8", "frame is none of frames, batch, size; did you mean frames"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Series.parsed(text)


def test_a_series_changes_one_thing() -> None:
    series = [Series.parsed("batch=1,3"), Series.parsed("model.capacity=3,6")]
    first, second = measure_growth("tiny", config_of(), series, batch=2, frames=2, rounds=1)
    assert [(line.batch, line.frames, line.amount_x) for line in first] == [
        (1, 2, 1.0),
        (3, 2, 3.0),
    ]
    assert [(line.batch, line.frames, line.value) for line in second] == [(2, 2, "3"), (2, 2, "6")]
    assert [line.memory_mib for line in first] == [4.0, 12.0]
    assert [line.memory_x for line in first] == [1.0, 3.0]
    for line in (*first, *second):
        assert 0 < line.forward_ms < line.step_ms
    assert first[1].step_x == pytest.approx(first[1].step_ms / first[0].step_ms, abs=2e-3)


def test_command(cli: CommandLine, tmp_path: Path) -> None:
    settings = write_settings(tmp_path / "tiny.toml")
    ledger = tmp_path / "growth.jsonl"
    words = ("growth", "--config", settings, "--batch", 1, "--frames", 2, "--rounds", 1)
    said = cli(*words, "--vary", "model.grid=2x2,4x2", "--results", ledger)
    assert said.code == 0, said
    assert "tiny, batch 1, frames 2" in said.out
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert [(line["quantity"], line["value"]) for line in lines] == [
        ("model.grid", "2x2"),
        ("model.grid", "4x2"),
    ]
    assert "model.gird" in cli.refused(*words, "--vary", "model.gird=2x2,4x2")
    assert "end its name in .jsonl" in cli.refused(*words, "--results", tmp_path / "a.txt")
