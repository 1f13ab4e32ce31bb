"""Frames of guide and model as graphs: the same objective, the same gradient, or one line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cases
import pytest
import torch
from functorch.compile import aot_function, nop
from tiny import Square, metrics_of, same, trained, weights_of
from torch import Tensor
from torch._inductor.exc import InvalidCxxCompiler

from scalor_ppl import graphs
from scalor_ppl.nn.modes import MostLikely
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.objectives.estimators import make_estimator
from scalor_ppl.programs import Memory, Program
from scalor_ppl.scalor.memory import Seen
from scalor_ppl.training import frame_graphs
from scalor_ppl.training.flat_weights import FlatWeights
from scalor_ppl.training.frame_graphs import FrameGraphs
from scalor_ppl.training.layout import Layout
from scalor_ppl.training.step import TrainingStep

Slopes = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _as_in_training() -> Any:
    with fast_pyro():
        yield


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are captured, differentiated and parted as ever, and run as they are: no compiler."""

    def as_captured(function: graphs.Flat, inputs: Any) -> graphs.Flat:
        captured = aot_function(lambda *given: tuple(function(*given)), nop)
        captured(*inputs)
        return captured

    monkeypatch.setattr(frame_graphs, "differentiable_graph", as_captured)


def graphs_of(program: Program, **changes: Any) -> FrameGraphs:
    train = program.config.train.model_copy(update=changes)
    latents = program.kind_of_latents(program.config)
    return FrameGraphs(program, make_estimator(train.estimator, train.particles, latents))


def estimated(
    made: FrameGraphs, video: Tensor, driven: Mapping[str, float], seed: int = 3
) -> tuple[float, Slopes]:
    """Loss and gradient by graphs."""
    torch.manual_seed(seed)
    estimate = made.estimate(driven, video)
    assert estimate is not None
    return estimate.loss.item(), slopes(made.program, estimate.loss)


def uncaptured(
    made: FrameGraphs, video: Tensor, driven: Mapping[str, float], seed: int = 3
) -> tuple[float, Slopes]:
    """The same by the functions that the graphs were made of, with the same noise."""
    kept = {form: graph.graph for form, graph in made._graphs.items()}
    try:
        for graph in made._graphs.values():
            graph.graph = graph._flat
        return estimated(made, video, driven, seed)
    finally:
        made.program.drive(driven)
        for form, compiled in kept.items():
            made._graphs[form].graph = compiled


def slopes(program: Program, loss: Tensor) -> Slopes:
    named = {f"{p}.{n}": v for p, m in program.parts.items() for n, v in m.named_parameters()}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {name: s for name, s in zip(named, found, strict=True) if s is not None}


def assert_same(mine: tuple[float, Slopes], right: tuple[float, Slopes], share: float) -> None:
    """Losses and gradients, these relative to the largest norm of a parameter's."""
    assert mine[0] == pytest.approx(right[0], rel=share)
    assert mine[1].keys() == right[1].keys()
    largest = max(float(slope.norm()) for slope in right[1].values())
    assert largest > 0
    for name, slope in right[1].items():
        apart = float((mine[1][name] - slope).norm())
        assert apart <= share * max(float(slope.norm()), 1e-2 * largest), name


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "scalor": ("scalor", {}),
    "scalor-iwae": ("scalor", {"train": {"estimator": "iwae", "particles": 2}}),
    "scalor-analytic": ("scalor", {"train": {"estimator": "elbo-analytic"}}),
    "scalor-hard": (
        "scalor",
        {
            "model": {"presence": "hard", "background": "none"},
            "train": {"estimator": "vimco", "particles": 2},
        },
    ),
    "scalor-preset": (
        "scalor",
        {
            "model": {"centred": True, "background": "none", "proposals": 3, "decoder": "conv"},
            "guide": {"correct": True},
            "prior": {"discovery": "learned", "propagation": "momentum"},
        },
    ),
    "vrnn": ("vrnn", {}),
    "sequential-vae": ("sequential-vae", {}),
    "tiny": ("tiny", {}),
}


SLOW = [pytest.param(n, marks=pytest.mark.slow) if n.startswith("scalor") else n for n in CASES]


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("case", SLOW)
def test_gradients_are_those_of_the_program(case: str) -> None:
    name, tables = CASES[case]
    program = cases.build(name, **tables)
    made = graphs_of(program)
    for step, frames in ((0, 2), (150, 3), (400, 5)):
        driven = program.drive_to(step)  # schedules move: nothing of them is in the graphs
        video = cases.clip(frames)
        found = estimated(made, video, driven)
        assert_same(found, uncaptured(made, video, driven), 1e-5)
    assert len(made._graphs) == 3


@pytest.mark.parametrize("case", CASES)
def test_frames_add_up_to_the_clip(case: str) -> None:
    """Most likely latents taken: one pass of the whole clip, and frame by frame by its memory."""
    name, tables = CASES[case]
    program = cases.build(name, **tables)
    program.drive_to(0)
    made = graphs_of(program)
    video = cases.clip(4)
    guide = MostLikely()(program.guide)
    estimator: Any = made.estimator
    whole = estimator.log_weights(program.model, guide, (video,), {})
    weigh = frame_graphs._Weighed(estimator, program.model, program.guide)
    weigh.__dict__["_modules"].pop("guide")
    weigh.guide = guide
    memory: Memory | None = None
    values = []
    views = made._viewed((video,), None)
    for t, (frame, view) in enumerate(zip(video.split(1, 1), views.frames, strict=True)):
        value, _, states = weigh([frame], memory, view)
        memory = Memory(t + 1, *states)
        values.append(value)
    summed = torch.stack(values).sum(0)
    torch.testing.assert_close(summed, whole.value, rtol=1e-5, atol=1e-3)
    mine = summed.sum().item(), slopes(program, summed.sum())
    right = whole.value.sum().item(), slopes(program, whole.value.sum())
    assert_same(mine, right, 1e-4)


def test_views_of_two_parts_are_those_of_the_whole() -> None:
    """What comes before a part is known by its memory, which the views hold then."""
    guide, video = cases.build("scalor").guide, cases.clip(4)
    whole = guide.view_frames(video, memory=None)
    first = guide.view_frames(video[:, :2], memory=None)
    memory = Memory(2, None, Seen(None, first.last))
    second = guide.view_frames(video[:, 2:], memory=memory)
    assert second.memory == guide.remembering(memory, None)
    parts = [*first.frames, *second.frames, second.last]
    for mine, right in zip(parts, [*whole.frames, whole.last], strict=True):
        for own, other in zip(Layout(mine).tensors, Layout(right).tensors, strict=True):
            torch.testing.assert_close(own, other)


# ------------------------------------------------------------------------------ where it cannot be


def refusal(program: Program, caplog: pytest.LogCaptureFixture, frames: int = 3) -> str:
    """Why there are no graphs; twice asked, once told."""
    made = graphs_of(program)
    driven = program.drive_to(0)
    with caplog.at_level(logging.WARNING, "scalor_ppl"):
        for _ in range(2):
            assert made.estimate(driven, cases.clip(frames)) is None
    (record,) = caplog.records
    said = record.getMessage()
    assert "\n" not in said
    assert said.startswith("train.compile: steps are not compiled, only slower: ")
    return said


def test_without_a_compiler(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", missing)
    assert "no C++ compiler was found" in refusal(cases.build("scalor"), caplog)


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_a_prior_that_counts_frames(caplog: pytest.LogCaptureFixture) -> None:
    """Chances of discovery that fall with the frame's number: a graph would have one of them."""
    program = cases.build("scalor", prior={"discovery": "mixture"})
    assert "depends on the frame's number" in refusal(program, caplog)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("share", [1.02, 0.98])
def test_a_wrong_gradient_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, share: float
) -> None:
    """The loss to the last digit, the gradient of one input wrong by two per cent."""
    honest: Any = frame_graphs.differentiable_graph

    def wrong(function: graphs.Flat, inputs: Any) -> graphs.Flat:
        graph = honest(function, inputs)

        def run(*given: Tensor) -> Any:
            skewed = [each * share - (each * (share - 1)).detach() for each in given[-1:]]
            return graph(*given[:-1], *skewed)

        return run

    monkeypatch.setattr(frame_graphs, "differentiable_graph", wrong)
    assert "not what the program computes (gradient" in refusal(cases.build("vrnn"), caplog)


@pytest.mark.parametrize("estimator", ["stl", "scalor"])
def test_estimators_that_are_no_sum_over_frames(
    caplog: pytest.LogCaptureFixture, estimator: str
) -> None:
    program = cases.build("scalor", train={"estimator": estimator, "compile": True})
    with caplog.at_level(logging.WARNING, "scalor_ppl"):
        step = TrainingStep(program)
    (record,) = caplog.records
    assert f"the estimator {estimator} is no sum over frames" in record.getMessage()
    step.drive_to(0)
    assert step.estimate(cases.clip(2), traces=False).traces is not None


# ------------------------------------------------------------------------------ in a training


@pytest.mark.parametrize(
    ("steps", "frames", "wanted"),
    [(1000, 10, False), (9000, 10, True), (9000, {"start": 2, "end": 10, "steps": 4000}, True)],
)
def test_auto_compiles_long_trainings(steps: int, frames: Any, wanted: bool) -> None:
    program = cases.build("tiny", train={"steps": steps, "frames": frames, "compile": "auto"})
    assert (TrainingStep(program)._graphs is not None) == wanted


def test_weights_are_one_tensor_with_one_gradient() -> None:
    program = cases.build("scalor")
    module = torch.nn.ModuleList([program.model, program.guide])
    module[0].requires_grad_(False)
    weights = FlatWeights(module)
    flat, *constant = weights.tensors()
    learns = [each for each in module.parameters() if each.requires_grad]
    assert flat.shape == (sum(each.numel() for each in learns),)
    found = weights.named([flat, *constant])
    named = dict([*module.named_parameters(), *module.named_buffers()])
    assert found.keys() == named.keys()
    for name, tensor in named.items():
        assert found[name].equal(tensor), name
    chosen = {n for n, p in module.named_parameters() if p.requires_grad}
    torch.stack([found[name].square().sum() for name in chosen]).sum().backward()
    for each in learns:
        torch.testing.assert_close(each.grad, 2 * each.detach())


LONG: dict[str, Any] = {"steps": 6, "log_every": 3, "compile": True}


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_training_takes_it(tmp_path: Path) -> None:
    """Parameters move, and the logged steps tell what they do; with clips that follow others."""
    train = LONG | {"chunks": 2}
    program, outcome = trained(tmp_path / "whole", Square(), train=train)
    assert outcome.skipped == 0
    figures = metrics_of(tmp_path / "whole")
    assert [each["step"] for each in figures] == [3, 6]
    assert {"kl_where_disc", "objects", "log_likelihood"} <= figures[0].keys()
    plain, _ = trained(tmp_path / "plain", Square(), train=train | {"compile": False})
    # Other noise in the steps by graphs.
    assert not same(weights_of(tmp_path / "whole"), weights_of(tmp_path / "plain"))
    for part, modules in plain.parts.items():
        for (name, mine), other in zip(
            program.parts[part].named_parameters(), modules.parameters(), strict=True
        ):
            assert torch.isfinite(mine).all(), name
            assert (mine - other).abs().max() < 0.2, name


@pytest.mark.slow
@pytest.mark.parametrize("inplace", [False, True])
def test_one_step_of_inductor(monkeypatch: pytest.MonkeyPatch, inplace: bool) -> None:
    """Compiled for good: the gradient to 1e-5, also where buffers are written again in place.

    With these, another torch's gradients were wrong by per cent (see `graphs.OPTIONS`).
    """
    monkeypatch.setitem(graphs.OPTIONS, "inplace_buffers", inplace)
    program = cases.build("tiny")
    made, video = graphs_of(program), cases.clip(2)
    driven = program.drive_to(0)
    found = estimated(made, video, driven)
    assert_same(found, uncaptured(made, video, driven), 1e-5)
    assert_same(estimated(made, video, driven, 4), uncaptured(made, video, driven, 4), 1e-5)
