"""Time and memory against the number of objects: what is held fixed, what is measured in turns."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from PIL import Image
from tiny import ALONE, CPU, CommandLine, config_of

from scalor_ppl.cli.scaling import configurations, parse_counts
from scalor_ppl.config.schema import Config
from scalor_ppl.errors import UserError
from scalor_ppl.programs.build import build_program
from scalor_ppl.programs.configuration import checked
from scalor_ppl.programs.registry import PROGRAMS
from scalor_ppl.scalor import ScalorConfig, ScalorProgram, timing
from scalor_ppl.studies.benchmark import scaling
from scalor_ppl.studies.benchmark.memory import peak_memory
from scalor_ppl.studies.benchmark.results import Quartiles
from scalor_ppl.studies.benchmark.scaling import CONSTANT, EXACT, NO_ROOM, WALL, measure_scaling
from scalor_ppl.studies.benchmark.scaling_lines import ScalingEntry
from scalor_ppl.studies.benchmark.step import Stepper
from scalor_ppl.studies.ledger import read_ledger
from scalor_ppl.studies.systems.judge import parameters_of

FEW: Any = {"batch": 1, "frames": 2, "rounds": 2, "device": CPU, "threads": 1}


def small_vrnn() -> Config:
    files = PROGRAMS["vrnn"]
    size = {"height": 16, "width": 16, "channels": 3}
    model = {**size, "latent": 3, "hidden": 8, "features": 8, "maps": 8}
    return checked({"model_file": files.model, "guide_file": files.guide, "model": model})


def test_only_what_is_said_differs() -> None:
    configs = {"scalor": config_of(), "vrnn": small_vrnn()}
    report = measure_scaling(configs, (2, 6), memory=False, **FEW)
    series = report.series()
    assert list(series) == [("scalor", CONSTANT), ("scalor", EXACT), ("vrnn", NO_ROOM)]
    for points in series.values():
        assert [point.objects for point in points] == [2, 6]
        assert all(point.forward.median > 0 and point.step.median > 0 for point in points)
        assert points[0].memory is None
        assert points[0].mebibytes is None
    for key in (("scalor", CONSTANT), ("vrnn", NO_ROOM)):
        assert len({point.parameters for point in series[key]}) == 1
    # With room for two there are four cells, as in the configuration.
    few, _ = series["scalor", EXACT]
    assert few.parameters == parameters_of(build_program(config_of(), CPU))
    assert report.environment["threads"] == 1
    assert report.setting["rounds"] == 2
    json.dumps(report.to_dict(), allow_nan=False)


def test_exact_room_is_for_so_many_and_constant_room_for_the_most() -> None:
    config = config_of(model={"capacity": 5, "proposals": 4})
    exact = ScalorProgram.with_exact_room(config, 3)
    roomy = ScalorProgram.with_room(config, 3)
    assert isinstance(exact, ScalorConfig)
    assert isinstance(roomy, ScalorConfig)
    assert (exact.model.capacity, exact.model.proposals, exact.model.grid) == (3, 3, (2, 2))
    assert (roomy.model.capacity, roomy.model.proposals) == (5, 4)
    assert exact.guide == roomy.guide == config.guide


def test_all_take_turns_up_and_down_and_the_first_round_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[tuple[str, int, bool]] = []
    run = scaling._Runner.run

    def noted(self: Any, *, keep: bool) -> None:
        order.append((self.room, self.objects, keep))
        run(self, keep=keep)

    monkeypatch.setattr(scaling._Runner, "run", noted)
    measure_scaling({"vrnn": small_vrnn()}, (1, 2, 3), memory=False, **FEW)
    rounds = [order[n : n + 3] for n in range(0, 9, 3)]
    assert [[objects for _, objects, _ in each] for each in rounds] == [
        [3, 2, 1],
        [1, 2, 3],
        [3, 2, 1],
    ]
    assert [each[0][2] for each in rounds] == [False, True, True]


def test_frames_of_two_sizes_are_refused() -> None:
    wide = small_vrnn().with_model(width=20)
    with pytest.raises(UserError, match="one size of frames, not a 16 x 16 x 3, b 16 x 20"):
        measure_scaling({"a": small_vrnn(), "b": wide}, (1, 2), memory=False, **FEW)


def test_a_program_that_finds_another_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_PRESENT", 0.4)
    with pytest.raises(UserError, match="was told to find 2 objects and found 0"):
        measure_scaling({"scalor": config_of()}, (2, 3), memory=False, **FEW)


def test_memory_is_of_a_child_that_finds_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int | None] = []

    def noted(*arguments: Any, objects: int | None) -> Any:
        told.append(objects)
        return peak_memory(*arguments, objects=objects) if len(told) == 1 else None

    monkeypatch.setattr(scaling, "peak_memory", noted)
    report = measure_scaling({"scalor": config_of(), "vrnn": small_vrnn()}, (2, 3), **FEW)
    assert told == [2, 3, 2, 3, None, None]
    mebibytes = report.points[0].mebibytes
    assert mebibytes is not None
    assert 0 <= mebibytes < 500


def test_the_processors_clock_does_not_count_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def slept(*arguments: Any, **more: Any) -> None:
        time.sleep(0.2)

    monkeypatch.setattr(scaling, "infer", slept)
    (first, _), (again, _) = (
        measure_scaling({"v": small_vrnn()}, (1, 2), memory=False, clock=clock, **FEW).points
        for clock in ("wall", "processor")
    )
    assert first.forward.median > 0.2
    assert again.forward.median < 0.1
    with pytest.raises(UserError, match="--clock sun"):
        measure_scaling({"v": small_vrnn()}, (1, 2), clock="sun", **FEW)


def test_a_forward_pass_has_no_gradients_and_a_step_leaves_the_weights() -> None:
    stepper = Stepper(small_vrnn(), 1, 2, CPU)
    before = [parameter.detach().clone() for parameter in stepper.parameters]
    guide = stepper.program.guide
    runner = scaling._Runner("v", NO_ROOM, 1, stepper.config, stepper, guide, WALL)
    runner.run(keep=True)
    runner.run(keep=False)
    assert len(runner.forward) == len(runner.step) == 1
    assert min(runner.forward[0], runner.step[0]) > 0
    assert all((a == b).all() for a, b in zip(before, stepper.parameters, strict=True))
    assert Quartiles.of(runner.step).median == runner.step[0]


# ----------------------------------------------------------------------------------- the command


def test_the_command_prints_writes_and_draws(cli: CommandLine, tmp_path: Path) -> None:
    for name, config in {"one": config_of(), "two": small_vrnn()}.items():
        document = tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
        (tmp_path / f"{name}.toml").write_text(document)
    files = [tmp_path / f"{name}.toml" for name in ("one", "two")]
    few = ("--objects", "2,3", "--batch", 1, "--frames", 2, "--rounds", 1, "--no-memory")
    lines = tmp_path / "lines.jsonl"
    outputs = ("--figure", tmp_path / "s.png", "--json", tmp_path / "s.json", "--results", lines)
    said = cli("scaling", *files, *few, *outputs, *ALONE, "--trust")
    assert said.code == 0, said
    assert "constant room" in said.out
    assert "exact room" in said.out
    assert "no objects" in said.out
    with Image.open(tmp_path / "s.png") as image:
        assert image.width > image.height  # two panels, as memory was not measured
    points = json.loads((tmp_path / "s.json").read_text())["points"]
    assert [(point["room"], point["objects"]) for point in points] == [
        (CONSTANT, 2), (CONSTANT, 3), (EXACT, 2), (EXACT, 3), (NO_ROOM, 2), (NO_ROOM, 3),
    ]  # fmt: skip
    entries = read_ledger(lines, ScalingEntry)
    assert {line.program for line in entries} == {"one", "two"}  # the files' names, no paths
    assert [(line.room, line.objects) for line in entries] == [
        (point["room"], point["objects"]) for point in points
    ]
    few_ms, many_ms = (1e3 * point["forward"]["median"] for point in points[:2])
    assert entries[1].forward_ms == pytest.approx(many_ms, abs=0.01)
    assert entries[1].forward_x == pytest.approx(many_ms / few_ms, abs=0.001)
    assert (entries[0].forward_x, entries[2].step_x, entries[0].memory_mib) == (1, 1, None)
    refused = cli.refused("scaling", "vrnn", "--results", tmp_path / "lines.txt")
    assert "end its name in .jsonl" in refused


def test_counts_and_programs_that_are_none_are_refused(cli: CommandLine) -> None:
    assert parse_counts("64, 4,4") == (4, 64)
    for text in ("4", "a,b", "0,4", "4,,8"):
        assert "--objects" in cli.refused("scaling", "--objects", text)
    assert set(configurations(None)) == set(PROGRAMS)
    assert "did you mean vrnn" in cli.refused("scaling", "vrn")
    assert "is given twice" in cli.refused("scaling", "vrnn", "vrnn")
    assert "end it in .png" in cli.refused("scaling", "--figure", "a.txt")
