"""Refinement as a graph: the same descent, and one line where it cannot be had."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from conftest import Build, Pair
from tiny import ALONE, CommandLine, Square, run_beside_clips, write_video
from torch import Tensor, nn
from torch._inductor.exc import InvalidCxxCompiler

from scalor_ppl import graphs
from scalor_ppl.inference.posterior import infer
from scalor_ppl.models.scalor import Latents
from scalor_ppl.programs import Program
from scalor_ppl.programs.memory import mapped
from scalor_ppl.scalor import compiled_descent
from scalor_ppl.scalor.compiled_descent import CompiledDescent
from scalor_ppl.scalor.descent import Descent, Rows, descend, descent_of
from scalor_ppl.scalor.settings import GuideConfig

CONFIG = GuideConfig(refine=12)


def beginning(pair: Pair) -> Descent:
    """A descent from random looks, about boxes that overlap."""
    torch.manual_seed(2)
    presence = torch.full((2, 4), 9.0)
    latents = Latents(
        presence, torch.randn(2, 4, 4), torch.randn(2, 4), torch.randn(2, 4, pair.model.config.what)
    )
    after = pair.model.updated_trackers(None, None, *latents)
    k = pair.model.config.capacity
    beside = 4 + pair.model.config.what + (pair.model.config.occlusion is not None)
    rows = Rows(
        torch.rand(2, k, 2) - 0.5,
        torch.full((2, k, 2), 0.5),
        torch.randn(2, k, beside),
        torch.ones(2, k, beside),
    )
    image, behind = pair.video(2, 2).unbind(1)
    return Descent(*mapped(Tensor.detach, tuple(descent_of(image, behind, rows, after, CONFIG))))


def ready(build: Build, **settings: Any) -> Pair:
    """A program with a background, for inference."""
    pair = build(rules=False, background="vae", centred=True, **settings)
    pair.model.eval()
    pair.guide.eval()
    return pair


@torch.no_grad()
def both(pair: Pair, compiled: CompiledDescent) -> tuple[Tensor, Tensor, float]:
    """What the graph finds, what the steps find, and the largest movement of these."""
    descent = beginning(pair)
    right = descend(pair.model, descent, CONFIG)
    moved = (right - descent.start.guess).abs().max().item()
    return compiled(pair.model, descent, CONFIG), right, moved


@pytest.mark.parametrize("occlusion", [None, 2.0])
def test_it_goes_where_the_steps_go(build: Build, occlusion: float | None) -> None:
    pair = ready(build, occlusion=occlusion)
    compiled = CompiledDescent()
    found, right, moved = both(pair, compiled)
    assert compiled.graphs == 1
    assert moved > 0.3
    # Where a depth hardly matters its gradient is rounding, which Adam makes as large as others.
    near = 1e-3 if occlusion is None else 5e-3
    torch.testing.assert_close(found, right, rtol=0, atol=near * moved)
    # Other weights, the same graph: nothing of them is part of it.
    with torch.no_grad():
        for weights in pair.model.parameters():
            weights.mul_(1.2)
    changed, right, _ = both(pair, compiled)
    assert compiled.graphs == 1
    assert (changed - found).abs().max() > 0.01 * moved
    torch.testing.assert_close(changed, right, rtol=0, atol=near * moved)


def test_videos_are_inferred_alike(build: Build) -> None:
    scenes = []
    for compiles in (False, True):
        pair = ready(build, guide={"refine": 6})
        with torch.no_grad():
            pair.guide.proposal.presence[-1].bias.fill_(1.0)  # type: ignore[union-attr]
        program = pair.program.compiled() if compiles else pair.program
        still = pair.video(2, 1).expand(-1, 3, -1, -1, -1)
        scenes.append(infer(program.model, program.guide, still))
    assert program.guide.descend.graphs == 1
    assert all(each.alive.any() for each in scenes[0].trackers)
    for one, other in zip(scenes[0].trackers, scenes[1].trackers, strict=True):
        assert torch.equal(one.ids, other.ids)
        torch.testing.assert_close(one.objects.where, other.objects.where, rtol=0, atol=1e-4)
    torch.testing.assert_close(scenes[0].image, scenes[1].image, rtol=0, atol=1e-4)


def test_a_rebuilt_program_is_compiled_too(build: Build) -> None:
    program = ready(build, guide={"refine": 6}).program.compiled()
    rebuilt = program.refined(3)
    assert isinstance(rebuilt.guide.descend, CompiledDescent)
    assert rebuilt.guide.descend is not program.guide.descend


# ------------------------------------------------------------------------------ where it cannot be


def warned(caplog: pytest.LogCaptureFixture) -> str:
    """The one warning, of one line."""
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    return record.getMessage()


def refused(pair: Pair, caplog: pytest.LogCaptureFixture) -> str:
    """Why there is no graph; twice asked, once told, and the steps are taken as they are."""
    compiled = CompiledDescent()
    with caplog.at_level(logging.WARNING, "scalor_ppl"):
        for _ in range(2):
            found, right, _ = both(pair, compiled)
            assert torch.equal(found, right)
    assert compiled.graphs == 0
    return warned(caplog)


def test_without_a_compiler(
    build: Build, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", missing)
    said = refused(ready(build), caplog)
    assert said == (
        "refinement is not compiled, only slower: no C++ compiler was found: install g++ or "
        "clang, or set CXX"
    )


class Undecided(nn.Module):
    """A decoder that looks at its values to choose its way."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, what: Tensor) -> Tensor:
        return self.decoder(what) if what.sum() > -1e9 else self.decoder(-what)


def test_a_program_that_cannot_be_captured(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    pair = ready(build)
    pair.model.decoder = Undecided(pair.model.decoder)
    assert refused(pair, caplog).startswith("refinement is not compiled, only slower: ")


@pytest.mark.parametrize("share", [1.02, float("nan")])
def test_a_wrong_graph_is_not_used(
    build: Build, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, share: float
) -> None:
    """What some settings of Inductor have made: a gradient that is wrong by two per cent."""

    def wrong(function: Any, inputs: Any) -> Any:
        def run(*arguments: Tensor) -> list[Tensor]:
            found = list(function(*arguments))
            found[3] = found[3] * share
            return found

        return run

    monkeypatch.setattr(compiled_descent, "compiled_graph", wrong)
    assert "gradient is not that of the program" in refused(ready(build), caplog)


def test_programs_without_refinement_say_so(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    pair = ready(build)
    with caplog.at_level(logging.WARNING, "scalor_ppl"):
        program = pair.program.compiled()
    assert warned(caplog) == "--compile: without --refine there is nothing to be compiled"
    assert program.guide.descend is descend


def test_other_programs_say_so(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    program = ready(build, guide={"refine": 6}).program
    with caplog.at_level(logging.WARNING, "scalor_ppl"):
        assert Program.compiled(program) is program
    assert warned(caplog) == "--compile: nothing of the inference of scalor can be compiled"


def test_track_takes_it(
    cli: CommandLine, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the command line, where no graph can be had: tracks as they are, and one line."""
    run = run_beside_clips(tmp_path_factory)
    monkeypatch.setattr(graphs, "check_compiler", refuse)
    video, tables = write_video(run.parent / "square.mp4", Square()), []
    for more in ([], ["--compile"]):
        out = run.parent / f"tracks{len(more)}.csv"
        said = cli("track", run, video, "--out", out, "--refine", 2, *more, *ALONE)
        assert said.code == 0, said
        tables.append(out.read_text())
        assert ("refinement is not compiled" in said.err) == bool(more)
    assert tables[0] == tables[1]


def refuse(*_: Any) -> None:
    raise graphs.GraphError("no C++ compiler was found")
