"""Several processes train one program: as one process would, and all of them or none."""

from __future__ import annotations

import logging
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from several import each_value, several
from tiny import CPU, Square, config_of, metrics_of, same, trained, weights_of
from torch import Tensor

from scalor_ppl.data import make_batch
from scalor_ppl.data.batches import Share
from scalor_ppl.errors import ElsewhereError, RankLostError, TrainingError, UserError
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.parallel.ranks import ALONE, Ranks, joined_ranks
from scalor_ppl.programs import Program
from scalor_ppl.programs.build import build_program
from scalor_ppl.training import loop as training
from scalor_ppl.training.checkpoints import last_checkpoint, load_training
from scalor_ppl.training.devices import pick_device
from scalor_ppl.training.loop import Outcome, train
from scalor_ppl.training.runs import METRICS, create_run
from scalor_ppl.training.start import start_training
from scalor_ppl.training.state import OTHERS
from scalor_ppl.training.step import TrainingStep

BATCH = 4
Tables = dict[str, Any]


def run_of(ranks: Ranks, run: Path, *, resume: bool = False, **tables: Any) -> Outcome:
    """A tiny training by several processes."""
    config = config_of(**tables)
    program = build_program(config, CPU)
    if ranks.first and not resume:
        create_run(run, config)
    return train(program, Square(), run, resume=resume, ranks=ranks)


# ---------------------------------------------------------------------- the same gradient


class SharedNoise:
    """Noise of which each rank draws the rows of its own videos."""

    def __init__(self, patch: pytest.MonkeyPatch, ranks: Ranks) -> None:
        self.share = Share(ranks.rank, ranks.count).of(BATCH)
        self.ranks = ranks
        self.inner = {"rand": torch.rand, "randn": torch.randn}
        patch.setattr(
            torch, "bernoulli", lambda chance: (torch.rand(chance.shape) < chance).float()
        )
        self.random = torch.Generator().manual_seed(5)
        patch.setattr(torch, "rand", lambda shape, **_: self("rand", shape))
        patch.setattr(torch, "randn", lambda shape, **_: self("randn", shape))
        patch.setattr(
            torch.distributions.normal, "_standard_normal", lambda shape, **_: self("randn", shape)
        )

    def __call__(self, kind: str, shape: Any) -> Tensor:
        whole = (self.ranks.count * shape[0], *shape[1:])
        return self.inner[kind](whole, generator=self.random)[self.share]


def gradient_of(ranks: Ranks, frames: int, tables: Tables) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradient of one step on a batch that all processes share."""
    program = build_program(config_of(**tables), CPU)
    program.drive_to(0)
    batch = make_batch(
        Square(), 0, batch=BATCH, frames=frames, seed=0, share=Share(ranks.rank, ranks.count)
    )
    video = to_video(batch.video, CPU)
    step = TrainingStep(program, ranks)
    with pytest.MonkeyPatch.context() as patch:
        SharedNoise(patch, ranks)
        loss = step.per_frame(step.estimate(video).loss, video)
    step.backward(loss)
    gradient = {
        f"{part}.{name}": parameter.grad
        for part, module in program.parts.items()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    return ranks.mean(loss).item(), gradient


@pytest.mark.parametrize(
    ("frames", "tables"),
    [
        (3, {}),
        (1, {}),
        (3, {"train": {"estimator": "dreg", "particles": 1}}),
        (2, {"model": {"presence": "hard", "background": "vae", "background_dim": 2}}),
    ],
    ids=["elbo", "one-frame", "dreg", "hard"],
)
def test_the_gradient_of_two_processes_is_that_of_one(frames: int, tables: Tables) -> None:
    loss, alone = gradient_of(ALONE, frames, tables)
    learning = sum(
        len([*p.parameters()]) for p in build_program(config_of(**tables), CPU).parts.values()
    )
    assert (len(alone) < learning) == (frames == 1)  # one frame: nothing is propagated
    both = each_value(2, gradient_of, frames, tables)
    largest = max(slope.abs().max().item() for slope in alone.values())
    for other_loss, gradient in both:
        assert other_loss == pytest.approx(loss, rel=1e-5)
        assert gradient.keys() == alone.keys()
        for name, slope in gradient.items():
            assert (slope - alone[name]).abs().max().item() < 1e-5 * largest, name
    assert same(both[0][1], both[1][1])


def test_the_shares_of_a_batch_are_the_batch() -> None:
    given: Tables = {"batch": 6, "frames": 2, "seed": 3, "augment": True, "chunks": 2}
    for upright in (False, True):
        for number in range(3):
            whole = make_batch(Square(), number, **given, upright=upright)
            parts = [
                make_batch(Square(), number, **given, upright=upright, share=Share(n, 3))
                for n in range(3)
            ]
            assert np.array_equal(np.concatenate([part.video for part in parts]), whole.video)
            if whole.corner is not None:
                corners = [part.corner for part in parts if part.corner is not None]
                assert np.array_equal(np.concatenate(corners), whole.corner)
    with pytest.raises(UserError, match=r"batch = 6 cannot be shared by 4 .* train.batch=4"):
        Share(0, 4).of(6)
    with pytest.raises(UserError, match=r"train\.batch=4"):
        Share(0, 4).of(2)


# ---------------------------------------------------------------------- the same weights

GROWING = {"steps": 4, "frames": {"start": 1, "end": 3}, "batch": BATCH}


def weights_after(ranks: Ranks, run: Path, tables: Tables) -> tuple[dict[str, Tensor], Tensor]:
    """Weights of this process after its steps, and its random state."""
    config = config_of(**tables)
    program = build_program(config, CPU)
    if ranks.first:
        create_run(run, config)
    train(program, Square(), run, ranks=ranks)
    weights = {
        f"{part}.{name}": tensor
        for part, module in program.parts.items()
        for name, tensor in module.state_dict().items()
    }
    return weights, torch.get_rng_state()


def test_ranks_stay_equal_bit_for_bit_and_one_of_them_writes(tmp_path: Path) -> None:
    run = tmp_path / "run"
    tables = {"train": GROWING | {"image_every": 2}}
    (first, noise), (second, other_noise) = each_value(2, weights_after, run, tables)
    assert same(first, second)
    assert not torch.equal(noise, other_noise)
    assert same(first, weights_of(run))
    assert [line["step"] for line in metrics_of(run)] == [1, 2, 3, 4]
    trained(tmp_path / "alone", train=GROWING)
    one, two = metrics_of(tmp_path / "alone"), metrics_of(run)
    assert one[0].keys() == two[0].keys()
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], rel=0.2)  # other noise, same clips


def means(ranks: Ranks) -> dict[str, float]:
    """Of figures that are not the same on all ranks."""
    return ranks.mean_of(
        {"loss": 1.0 + ranks.rank, ("even", "odd")[ranks.rank % 2]: 8.0 * ranks.rank}
    )


def test_figures_are_means_over_the_ranks_that_have_them() -> None:
    expected = {"loss": 2.0, "even": 8.0, "odd": 8.0}
    assert each_value(3, means) == [expected] * 3
    assert means(ALONE) == {"loss": 1.0, "even": 0.0}


# ---------------------------------------------------------------------- ends


def signalled(ranks: Ranks, run: Path, number: int, tables: Tables) -> Outcome:
    """A training in which the last process gets a signal in its third step."""
    inner, steps = training.to_video, iter(range(99))

    def struck(*given: Any) -> Tensor:
        if next(steps) == 2 and ranks.rank == ranks.count - 1:
            os.kill(os.getpid(), number)
        return inner(*given)

    vars(training)["to_video"] = struck
    return run_of(ranks, run, **tables)


CHUNKS = {"steps": 7, "batch": BATCH, "frames": 2, "chunks": 3, "checkpoint_every": 2}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_ends_all_with_a_checkpoint(number: int, tmp_path: Path) -> None:
    run = tmp_path / "run"
    outcomes = each_value(2, signalled, run, number, {"train": CHUNKS | {"checkpoint_every": 99}})
    assert {(each.step, each.interrupted) for each in outcomes} == {(3, True)}
    assert {each.checkpoint for each in outcomes} == {last_checkpoint(run)}
    assert last_checkpoint(run).name == "step_0000003"


def going_on(ranks: Ranks, run: Path, tables: Tables) -> Outcome:
    """A training that goes on."""
    return run_of(ranks, run, resume=True, **tables)


def test_a_killed_process_ends_all_and_the_run_goes_on(tmp_path: Path) -> None:
    """As if nothing had happened: random states and memories are kept by rank."""
    tables = {"train": CHUNKS}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    each_value(2, run_of_tables, whole, tables)
    left, killed = several(2, signalled, broken, signal.SIGKILL, tables)
    assert killed.code == -signal.SIGKILL
    assert isinstance(left.value, RankLostError)
    assert "rank 0 of 2: another process of this training has ended" in str(left.value)
    assert "\n" not in str(left.value)
    assert last_checkpoint(broken).name == "step_0000002"
    states = load_training(last_checkpoint(broken))
    assert len(states[OTHERS]) == 1
    assert "memory" in states
    assert "memory" in states[OTHERS][0]
    outcomes = each_value(2, going_on, broken, tables)
    assert [each.step for each in outcomes] == [7, 7]
    assert same(weights_of(broken), weights_of(whole))
    assert metrics_of(broken, clock=False) == metrics_of(whole, clock=False)


def run_of_tables(ranks: Ranks, run: Path, tables: Tables) -> Outcome:
    """A tiny training by several processes."""
    return run_of(ranks, run, **tables)


def test_a_run_goes_on_with_fewer_processes_and_with_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    each_value(2, run_of_tables, run, {"train": CHUNKS | {"steps": 2}})
    with caplog.at_level(logging.WARNING):
        assert going_on(ALONE, run, {"train": CHUNKS | {"steps": 4}}).step == 4
    assert "is of another number of processes (2, not 1)" in caplog.text
    assert OTHERS not in load_training(last_checkpoint(run))
    both = each_value(2, going_on, run, {"train": CHUNKS | {"steps": 6}})
    assert [each.step for each in both] == [6, 6]
    assert [line["step"] for line in metrics_of(run)] == [1, 2, 3, 4, 5, 6]
    assert all(math.isfinite(line["loss"]) for line in metrics_of(run))


def test_alone_nothing_of_other_ranks_is_kept(tmp_path: Path) -> None:
    trained(tmp_path / "run", train=CHUNKS | {"steps": 2})
    kept = load_training(last_checkpoint(tmp_path / "run"))
    assert kept.keys() == {
        "step",
        "optimizer",
        "random",
        "memory",
        "skipped",
        "in_a_row",
        "seconds",
        "processor_seconds",
    }


# ---------------------------------------------------------------------- what is wrong


def poisoned(ranks: Ranks, run: Path, patience: int) -> tuple[Outcome, list[str], Tensor]:
    """A training of four steps; one clip of the second rank is no number in two of them."""
    inner, steps, said = training.to_video, iter(range(99)), []

    def spoilt(*given: Any) -> Tensor:
        video = inner(*given)
        if next(steps) in (1, 2) and ranks.rank == 1:
            video[1, 2] = math.nan
        return video

    vars(training)["to_video"] = spoilt
    vars(training.log)["warning"] = lambda text, *values: said.append(text % values)
    config = config_of(train={"steps": 4, "batch": BATCH, "patience": patience})
    program = build_program(config, CPU)
    if ranks.first:
        create_run(run, config)
    outcome = train(program, Square(), run, ranks=ranks)
    return outcome, said, torch.cat([p.detach().flatten() for p in program.model.parameters()])


def test_a_clip_that_is_no_number_is_left_out_by_all(tmp_path: Path) -> None:
    (one, said, weights), (two, nothing, others) = each_value(2, poisoned, tmp_path / "run", 3)
    assert (one.skipped, two.skipped) == (2, 2)
    assert torch.equal(weights, others)
    assert len(said) == 1
    assert said[0].startswith("step 2 was skipped: frame 2 of video 1 is nan")
    assert nothing == []


def test_several_in_a_row_are_told_by_one(tmp_path: Path) -> None:
    told, silent = several(2, poisoned, tmp_path / "run", 2)
    assert isinstance(told.value, TrainingError)
    assert "2 steps in a row were not finite" in str(told.value)
    assert "frame 2 of video 1 is nan" in str(told.value)
    assert isinstance(silent.value, ElsewhereError)
    assert silent.value.code == 1


def started(ranks: Ranks, run: Path, batch: int) -> Outcome:
    """A training from its checks on."""
    return start_training(
        config_of(train={"batch": batch}), run, device="cpu", source=Square(), ranks=ranks
    )


def test_mistakes_are_told_by_one_and_end_all(tmp_path: Path) -> None:
    told, silent = several(2, started, tmp_path / "run", 3)
    assert isinstance(told.value, UserError)
    assert "train.batch = 3 cannot be shared by 2 processes" in str(told.value)
    assert isinstance(silent.value, ElsewhereError)
    assert silent.value.code == 2
    assert not (tmp_path / "run").exists()
    outcomes = each_value(2, started, tmp_path / "run", 2)
    assert [each.step for each in outcomes] == [3, 3]
    told, silent = several(2, started, tmp_path / "run", 2)
    assert "is a run already" in str(told.value)
    assert isinstance(silent.value, ElsewhereError)


def unlike(ranks: Ranks, run: Path, what: str) -> Outcome:
    """A training for which the second process has something else than the first."""
    config = config_of(train={"steps": 3 + ranks.rank if what == "settings" else 3})
    program = build_program(config, CPU)

    def begin(program: Program, source: Any) -> None:
        with torch.no_grad():  # as another recording would make a template
            next(program.model.parameters())[0] += 1e-3 * ranks.rank

    if what == "weights":
        type(program).begin = begin  # type: ignore
    if ranks.first:
        create_run(run, config)
    return train(program, Square(), run, ranks=ranks)


@pytest.mark.parametrize("what", ["settings", "weights"])
def test_processes_that_differ_are_refused(what: str, tmp_path: Path) -> None:
    told, silent = several(2, unlike, tmp_path / "run", what)
    assert isinstance(told.value, UserError)
    assert f"process 1 begins with other {what} than process 0" in str(told.value)
    assert isinstance(silent.value, ElsewhereError)
    assert not (tmp_path / "run" / METRICS).exists()


def test_without_torchrun_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")  # of another launcher, for something else
    monkeypatch.setenv("RANK", "2")
    with joined_ranks() as ranks:
        assert ranks is ALONE
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "1")
    with joined_ranks() as ranks:
        assert ranks is ALONE
    assert not ALONE.several
    assert len({Ranks(rank, 4).seed(0, step) for rank in range(4) for step in range(4)}) == 16


def test_each_process_takes_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device("cpu", 1) == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("auto", 1) == torch.device("cuda:1")
    assert pick_device("cuda", 0) == torch.device("cuda:0")
    assert pick_device("auto") == torch.device("cuda")
    with pytest.raises(UserError, match="--nproc-per-node 2"):
        pick_device("auto", 2)
    with pytest.raises(UserError, match="takes a GPU of its own, say cuda"):
        pick_device("cuda:1", 0)
