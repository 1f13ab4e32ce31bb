"""The benchmark measures what it says: same computation without Pyro, objects as scripted."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyro
import pytest
import torch
import typer
from pyro import poutine
from rich.console import Console
from typer.testing import CliRunner

from scalor_ppl.cli.bench import bench, show
from scalor_ppl.config.schema import Config
from scalor_ppl.errors import UserError
from scalor_ppl.inference.posterior import infer
from scalor_ppl.programs import CountsObjects, require
from scalor_ppl.programs.configuration import checked, resolve
from scalor_ppl.programs.registry import PROGRAMS
from scalor_ppl.scalor import ScalorConfig, timing
from scalor_ppl.scalor.timing import roomy
from scalor_ppl.studies.benchmark.memory import peak_memory
from scalor_ppl.studies.benchmark.objects import time_objects
from scalor_ppl.studies.benchmark.operations import count_operations
from scalor_ppl.studies.benchmark.parts import Stopwatch, time_parts
from scalor_ppl.studies.benchmark.pyro_share import PlainRun, pyro_share
from scalor_ppl.studies.benchmark.results import ObjectsTime, Operations, Quartiles, SizeTime
from scalor_ppl.studies.benchmark.run import filled, operations_of, run_benchmark
from scalor_ppl.studies.benchmark.sizes import time_sizes
from scalor_ppl.studies.benchmark.step import Stepper, synthetic_video, time_steps

CPU = torch.device("cpu")
TINY = Path(__file__).parents[1] / "programs" / "tiny_vrnn.py"

SMALL = {
    "height": 32,
    "width": 24,
    "channels": 1,
    "grid": [2, 2],
    "capacity": 3,
    "glimpse": [6, 6],
    "what": 4,
    "hidden": 8,
}
GUIDE = {"features": 8, "lstm": 4, "hidden": 8}


def small(estimator: str = "elbo", **model: object) -> ScalorConfig:
    return ScalorConfig.model_validate(
        {"model": SMALL | model, "guide": GUIDE, "train": {"estimator": estimator}}
    )


def other(name: str) -> Config:
    """A small program that is not SCALOR: one of the package, or the user's own."""
    if name == "tiny":
        files = (str(TINY), str(TINY))
    else:
        files = (PROGRAMS[name].model, PROGRAMS[name].guide)
    small_one = {"height": 16, "width": 18, "channels": 1, "hidden": 8, "latent": 3}
    return checked({"model_file": files[0], "guide_file": files[1], "model": small_one})


OTHERS = {
    "vrnn": {"model: phi_x", "model: phi_dec", "model: f", "guide: phi_enc"},
    "sequential-vae": {"model: decoder", "guide: encoder"},
    "tiny": {"model: prior", "model: decode", "model: cell", "guide: encode"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_any_program_is_measured(name: str, tmp_path: Path) -> None:
    report = run_benchmark(
        other(name), batch=1, frames=3, steps=1, device=CPU, threads=1, sizes=False
    )
    parts = {part.name for part in report.parts}
    assert OTHERS[name] | {"the model's loop, plates", "log-densities", "draws"} <= parts
    assert sum(part.share for part in report.parts) == pytest.approx(1)
    assert report.alive is None
    assert report.objects == []
    assert report.memory.peak_bytes > report.memory.before_bytes > 0
    assert 0 < report.operations.total.kernels < report.operations.total.total
    assert report.over_arithmetic > 0
    assert report.pyro.note == ""
    assert report.pyro.share is not None
    assert report.pyro.loss_difference is not None
    assert report.pyro.loss_difference < 1e-6
    console = Console(record=True, width=100)
    show(report, console)
    assert f"3 frames of 16 x 18{chr(10)}" in console.export_text()


def test_sizes_of_any_program() -> None:
    times = time_sizes(other("vrnn"), 1, 1, 1, CPU, sizes=(16, 24))
    assert [(each.height, each.width, each.variant) for each in times] == [
        (16, 16, ""),
        (24, 24, ""),
    ]


@pytest.mark.parametrize("name", OTHERS)
def test_objects_are_refused_where_there_are_none(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} finds no objects by number: `bench --objects`"):
        run_benchmark(other(name), batch=1, frames=1, steps=1, device=CPU, objects=True)


@pytest.mark.parametrize("estimator", ["elbo", "scalor"])
@pytest.mark.parametrize("background", ["none", "vae"])
def test_the_plain_run_has_the_loss_and_gradients_of_pyro(estimator: str, background: str) -> None:
    stepper = Stepper(small(estimator, background=background), 2, 3, CPU)
    share = pyro_share(stepper, 1)
    assert share.note == ""
    assert share.loss_difference is not None
    assert share.gradient_difference is not None
    assert share.loss_difference < 1e-6
    assert share.gradient_difference < 1e-4
    assert share.share is not None
    assert share.share < 1
    # Nothing of the light primitives is left behind.
    assert pyro.sample.__module__.startswith("pyro")
    assert isinstance(pyro.plate("p", 2), pyro.plate)
    assert poutine.mask is not PlainRun._masked


def test_a_program_that_needs_more_of_pyro_has_no_share() -> None:
    stepper = Stepper(small(), 2, 2, CPU)
    whole = stepper.program.guide.forward

    def scaled(*args: object, **kwargs: object) -> object:
        with poutine.scale(scale=2.0):
            return whole(*args, **kwargs)

    stepper.program.guide.forward = scaled
    share = pyro_share(stepper, 1)
    assert share.share is None
    assert "another loss" in share.note


def test_hard_presence_has_no_share_but_a_reason() -> None:
    share = pyro_share(Stepper(small(presence="hard"), 1, 2, CPU), 1)
    assert share.share is None
    assert "hard presence" in share.note


@pytest.mark.parametrize("presence", ["relaxed", "hard"])
@pytest.mark.parametrize("objects", [1, 3, 4])
def test_scripted_objects_are_all_there_and_no_others(presence: str, objects: int) -> None:
    config = roomy(small(presence=presence, proposals=1), 4)
    stepper = Stepper(config, 2, 4, CPU)
    guide = require(stepper.program, CountsObjects, "test").finding(objects)
    scene = infer(stepper.program.model, guide, stepper.video, sample=True)
    for trackers in scene.trackers:
        assert trackers.alive.sum(1).tolist() == [objects, objects]
    assert scene.trackers[-1].next_id.tolist() == [objects, objects]


def test_scripted_presence_keeps_the_gradients_of_its_logits() -> None:
    stepper = Stepper(roomy(small(), 4), 1, 2, CPU)
    guide = require(stepper.program, CountsObjects, "test").finding(2)
    stepper.backward(stepper.forward(guide))
    head = stepper.program.guide.propagation.presence[-1]
    assert head.weight.grad.abs().sum() > 0


def test_objects_are_timed_with_room_for_all_of_them() -> None:
    times = time_objects(small(), 1, 2, 1, CPU, counts=(2, 9))
    assert [each.objects for each in times] == [2, 9]
    assert all(each.seconds.median > 0 for each in times)


def test_presence_that_cannot_be_scripted_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_PRESENT", 0.4)
    with pytest.raises(UserError, match="--no-objects"):
        time_objects(small(), 1, 2, 1, CPU, counts=(2,))


def test_sizes_keep_the_grid_or_scale_it() -> None:
    times = time_sizes(small(height=32, width=32), 1, 1, 1, CPU, sizes=(32, 48))
    assert [(each.height, each.variant) for each in times] == [
        (32, "grid 2 x 2"),
        (48, "grid 2 x 2"),
        (48, "grid 3 x 3"),
    ]


def test_a_step_leaves_the_weights_as_they_are_and_adds_up() -> None:
    stepper = Stepper(small(), 1, 2, CPU)
    before = [p.detach().clone() for p in stepper.parameters]
    step = time_steps(stepper, 3)
    assert all(torch.equal(a, b) for a, b in zip(before, stepper.parameters, strict=True))
    phases = step.forward.low + step.backward.low + step.optimizer.low
    assert 0 < phases <= step.total.high
    counts = stepper.count_parameters()
    assert counts["model"] + counts["guide"] == counts["total"]


def test_parts_cover_the_forward_pass_and_leave_no_hooks() -> None:
    stepper = Stepper(small(background="vae"), 1, 2, CPU)
    parts = time_parts(stepper, 2)
    names = {part.name for part in parts}
    assert {"rendering", "glimpse decoder", "glimpse reading", "background", "priors"} <= names
    assert {"log-densities", "accept-reject, update", "proposals: heads"} <= names
    assert sum(part.share for part in parts) == pytest.approx(1)
    assert [part.seconds for part in parts] == sorted((p.seconds for p in parts), reverse=True)
    assert "decode" not in vars(stepper.program.model)
    assert "forward" not in vars(stepper.program.guide.features)
    assert not hasattr(pyro.sample, "__wrapped__") or pyro.sample.__name__ == "sample"


def test_a_stopwatch_gives_each_function_its_own_time() -> None:
    clock = iter(range(100))
    watch = Stopwatch(lambda: float(next(clock)))
    inner = watch.wrap("inner", lambda: None)

    def both() -> None:
        inner()
        inner()

    watch.wrap("outer", both)()
    assert watch.seconds == {"outer": 3.0, "inner": 2.0}


def test_spread() -> None:
    assert Quartiles.of([2.0]) == Quartiles(2.0, 2.0, 2.0)
    assert Quartiles.of([5.0, 1.0, 3.0, 2.0, 4.0]) == Quartiles(3.0, 2.0, 4.0)


def test_memory_is_that_of_the_child_alone() -> None:
    mine = torch.ones(2**28)  # 1 GiB here must not count there
    memory = peak_memory(small(), 1, 2, CPU)
    assert memory.kind == "resident"
    assert 50 * 2**20 < memory.before_bytes <= memory.peak_bytes < 2**30
    assert mine.numel() == 2**28


def test_memory_that_cannot_be_measured_is_said() -> None:
    with pytest.raises(UserError, match="measuring memory failed"):
        peak_memory(small().model_copy(update={"model_file": "none.py"}), 1, 2, CPU)


def test_video_is_the_same_every_time_and_moves() -> None:
    config = filled(ScalorConfig())
    video = synthetic_video(config, 2, 3)
    assert video.shape == (2, 3, 3, 64, 64)
    assert torch.equal(video, synthetic_video(config, 2, 3))
    assert torch.equal(video[:, 1, :, :-1, :-1], video[:, 0, :, 1:, 1:])
    assert 0 <= video.min() <= video.max() <= 1


def test_the_report_is_written_and_shown(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    said: list[str] = []
    report = run_benchmark(
        small(),
        batch=1,
        frames=2,
        steps=1,
        device=CPU,
        threads=1,
        objects=False,
        sizes=False,
        say=said.append,
    )
    assert torch.get_num_threads() == threads
    assert said
    report.write(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["environment"]["threads"] == 1
    assert written["setting"]["config"]["model"]["capacity"] == 3
    assert written["step"]["total"]["median"] == report.step.total.median
    assert written["objects"] == []
    console = Console(record=True, width=100)
    timed = ObjectsTime(4, Quartiles(1.0, 1.0, 1.0))
    sized = SizeTime(64, 64, "grid 8 x 8", Quartiles(1.0, 1.0, 1.0))
    show(replace(report, objects=[timed], objects_ratio=1.0, sizes=[sized]), console)
    text = console.export_text()
    for expected in (
        "parameters",
        "median [ms]",
        "backward",
        "Objects present",
        "64 x 64",
        "Pyro's own share",
    ):
        assert expected in text


@pytest.mark.parametrize("wrong", ["batch", "frames", "steps", "threads"])
def test_numbers_below_one_are_refused(wrong: str) -> None:
    n = {"batch": 1, "frames": 1, "steps": 1, "threads": 1} | {wrong: 0}
    with pytest.raises(UserError, match=f"--{wrong}"):
        run_benchmark(
            small(),
            batch=n["batch"],
            frames=n["frames"],
            steps=n["steps"],
            threads=n["threads"],
            device=CPU,
        )


def test_the_command_measures_and_writes(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(bench)
    config = tmp_path / "small.toml"
    lines = ["[model]", *(f"{key} = {value}" for key, value in SMALL.items())]
    lines += ["[guide]", *(f"{key} = {value}" for key, value in GUIDE.items())]
    config.write_text("\n".join(lines))
    target = tmp_path / "bench.json"
    arguments = f"--config {config} --set model.what=3 --batch 1 --frames 2 --steps 1 --device cpu"
    result = CliRunner().invoke(
        app, [*arguments.split(), "--no-objects", "--no-sizes", "--json", str(target)]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(target.read_text())["setting"]["config"]["model"]["what"] == 3


def test_operations_are_counted_by_phase() -> None:
    stepper = Stepper(small(), 1, 2, CPU)
    counted = count_operations(stepper)
    assert counted == count_operations(stepper)
    phases = (counted.forward, counted.backward, counted.optimizer)
    assert counted.total.total == sum(phase.total for phase in phases)
    assert counted.backward.flops > counted.forward.flops > 0

    rows = torch.rand(3, 4)
    known: Any = SimpleNamespace(
        timed=lambda: None,
        forward=lambda: (rows.T @ rows).sum(),
        backward=lambda loss: None,
        update=lambda loss: None,
    )
    assert count_operations(known).total == Operations(total=3, views=1, flops=2 * 4 * 3 * 4)


def test_the_command_counts_alone(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(bench)
    arguments = ["--ops", "--model", "vrnn", "--batch", "1", "--frames", "2", "--device", "cpu"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "Operations of a step" in result.output
    assert "median" not in result.output
    assert CliRunner().invoke(app, [*arguments, "--json", str(tmp_path / "a")]).exit_code != 0


# Of batch 4, 10 frames of 64 x 64 pixels. It is the same on every machine; where it grows, look
# (`scalor-ppl bench --ops`) whether something in the loop over frames could be outside of it.
PLAIN_BOXES = ("model.centred=false", "guide.correct=false")
MOST_OPERATIONS = {(): 12_050, PLAIN_BOXES: 10_550}


@pytest.mark.parametrize("changes", MOST_OPERATIONS)
def test_a_step_has_no_more_operations_than_it_needs(changes: tuple[str, ...]) -> None:
    config = resolve("moving-dsprites-vld", changes, {})
    counted = operations_of(config, batch=4, frames=10, device=CPU)
    assert 0.95 * MOST_OPERATIONS[changes] < counted.total.total <= MOST_OPERATIONS[changes]
