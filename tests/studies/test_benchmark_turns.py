"""Ways in turns: the same work, told apart by processor time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import ALONE, CPU, CommandLine, Square, config_of, run_beside_clips

from scalor_ppl import graphs
from scalor_ppl.errors import UserError
from scalor_ppl.studies.benchmark import turns
from scalor_ppl.studies.benchmark.turns import in_turns, step_in_turns
from scalor_ppl.training.frame_graphs import FrameGraphs


def test_all_ways_get_their_turn_in_every_round() -> None:
    done: list[str] = []
    work = torch.rand(400, 400)

    def slow() -> None:
        done.append("slow")
        for _ in range(20):
            work @ work

    def quick() -> None:
        done.append("quick")

    ways = in_turns({"slow": slow, "quick": quick}, 3, 6)
    assert done == ["slow", "quick"] * 4
    assert [each.name for each in ways] == ["slow", "quick"]
    assert ways[0].seconds.median > ways[1].seconds.median
    assert ways[0].rate == pytest.approx(6 / ways[0].seconds.median)
    with pytest.raises(UserError, match="--steps"):
        in_turns({"quick": quick}, 0, 1)


def test_a_step_is_taken_with_and_without_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def none(self: FrameGraphs, driven: Any, *arguments: Any, memory: Any = None) -> None:
        asked.append(arguments[0].shape[1])

    monkeypatch.setattr(FrameGraphs, "estimate", none)
    ways = step_in_turns(config_of(), batch=2, frames=3, rounds=2, device=CPU)
    assert [each.name for each in ways] == ["as it is", "compiled"]
    assert asked == [3, 3, 3]
    assert ways[0].frames == 6


def test_inference_from_the_command_line(
    cli: CommandLine, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a compiler: refined twice as it is, and a line that says so."""
    run: Path = run_beside_clips(tmp_path_factory)
    monkeypatch.setattr(graphs, "check_compiler", refuse)
    monkeypatch.setattr(turns, "open_data", lambda *_: Square())
    out = run.parent / "turns.json"
    said = cli(
        *("bench", "--run", run, "--refine", 2, "--frames", 2, "--steps", 2, "--json", out),
        *ALONE,
    )
    assert said.code == 0, said
    assert "refinement is not compiled" in said.err
    figures = json.loads(out.read_text())
    names = [each["name"] for each in figures["ways"]]
    assert names == ["networks alone", "refined, 2 steps", "refined, compiled"]
    alone, refined, _ = (each["seconds"]["median"] for each in figures["ways"])
    assert 0 < alone < refined


def refuse(*_: Any) -> None:
    raise graphs.GraphError("no C++ compiler was found")
