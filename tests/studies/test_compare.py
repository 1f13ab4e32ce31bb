"""Objectives side by side: on trained runs, and by training with each for the same time."""

from __future__ import annotations

import functools
import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import (
    ALONE,
    CPU,
    CommandLine,
    Square,
    run_beside_clips,
    same,
    trained,
    write_clips,
    write_images,
)

from scalor_ppl.config.schedules import Schedule
from scalor_ppl.config.schema import TrainConfig
from scalor_ppl.errors import UserError
from scalor_ppl.inference.bounds import log_weights
from scalor_ppl.inference.gradients import Moments, flat_gradient, measure_gradient
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.objectives.estimators import ESTIMATORS, AnalyticElbo, make_estimator
from scalor_ppl.programs import Program
from scalor_ppl.programs.build import build_program
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.scalor.settings import ScalorTrainConfig
from scalor_ppl.studies.comparison import compare_run, finite, in_groups, is_bound, standard_error
from scalor_ppl.studies.comparison_rows import ComparisonQuestion
from scalor_ppl.studies.pareto import pareto_k
from scalor_ppl.studies.training_comparison import PLAN, entrant
from scalor_ppl.training import budget
from scalor_ppl.training.budget import (
    clip_lengths,
    lasting,
    predicted_minutes,
    scaled,
    time_all,
    time_steps,
)
from scalor_ppl.training.checkpoints import WEIGHTS, last_checkpoint
from scalor_ppl.training.runs import load_run, run_config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_beside_clips(tmp_path_factory)


@pytest.fixture(scope="module")
def program(run: Path) -> Program:
    return load_run(run, CPU)


# -------------------------------------------------------------------------- noise of gradients


def test_noise_of_draws_with_known_mean_and_covariance() -> None:
    random = torch.Generator().manual_seed(0)
    mean, spread = torch.tensor([3.0, -4.0, 0.0]), torch.tensor([1.0, 2.0, 2.0])
    moments = Moments()
    for _ in range(20_000):
        moments.add(mean + spread * torch.randn(3, generator=random))
    noise = moments.noise()
    assert noise.variance == pytest.approx(1 + 4 + 4, rel=0.03)
    assert noise.mean_square == pytest.approx(25, rel=0.02)
    assert noise.snr == pytest.approx(5 / 3, rel=0.03)


def test_noise_is_the_formula() -> None:
    draws = torch.randn(5, 7, dtype=torch.float64) + 1
    moments = Moments()
    for draw in draws:
        moments.add(draw)
    trace = draws.var(0).sum().item()
    square = draws.mean(0).square().sum().item() - trace / 5
    noise = moments.noise()
    assert noise.variance == pytest.approx(trace)
    assert noise.snr == pytest.approx(math.sqrt(square / trace))


def test_the_squared_mean_of_pure_noise_is_not_biased() -> None:
    random = torch.Generator().manual_seed(0)
    found = []
    for _ in range(400):
        moments = Moments()
        for _ in range(4):
            moments.add(torch.randn(50, generator=random))
        found.append(moments.noise().mean_square)
    # The naive square is 50 / 4 on average.
    assert abs(np.mean(found)) < 4 * np.std(found) / 20


def test_draws_that_do_not_differ_have_no_ratio() -> None:
    moments = Moments()
    for _ in range(3):
        moments.add(torch.ones(2))
    assert moments.noise().snr is None
    assert moments.noise().variance == 0


@pytest.mark.parametrize("presence", ["relaxed", "hard"])
def test_gradient_is_that_of_the_loss_per_frame(program: Program, presence: Any) -> None:
    video = to_video(np.stack([Square().clip(i, 3).video for i in range(2)]), CPU)
    estimator = ESTIMATORS["elbo"](num_particles=2)
    figures = measure_gradient(program, video, estimator, presence=presence, repeats=3, seed=4)
    assert set(figures.noise) == {"model", "guide"}
    assert figures.seconds > 0
    assert program.model.presence.kind == "relaxed"
    assert all(p.grad is None for part in program.parts.values() for p in part.parameters())
    # By hand: two of warm-up, then the draws.
    torch.manual_seed(4)
    program.model.presence.kind = presence
    draws = []
    for _ in range(5):
        program.model.zero_grad()
        loss = estimator.differentiable_loss(program.model, program.guide, video)
        (loss / 6).backward()
        draws.append(flat_gradient(program.model).double())
    program.model.presence.kind = "relaxed"
    program.model.zero_grad()
    program.guide.zero_grad()
    trace = torch.stack(draws[2:]).var(0).sum().item()
    assert figures.noise["model"].variance == pytest.approx(trace, rel=1e-4)


# ------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("shape", [0.2, 0.5, 1.0])
def test_k_hat_of_pareto_weights_is_their_shape(shape: float) -> None:
    uniform = np.random.default_rng(0).random((8, 4000))
    assert pareto_k(-shape * np.log(uniform)).mean() == pytest.approx(shape, abs=0.07)


def test_k_hat_of_close_and_of_distant_weights() -> None:
    normal = np.random.default_rng(0).normal(size=(2, 1000))
    close, distant = pareto_k(normal * np.array([[0.1], [100.0]]))
    assert close < 0.3
    assert distant > 5


def test_values_in_groups() -> None:
    weights = np.array([[1.0, 3.0, 5.0, 7.0, 100.0], [0.0, 0.0, 2.0, 2.0, 100.0]])
    assert in_groups(weights, 2, lambda group: group.max(0).values) == (5.0, 1.0)
    assert in_groups(weights, 2, ESTIMATORS["elbo"]().bound) == (4.0, 1.0)


def test_weights_follow_presence_and_estimator(program: Program) -> None:
    video = to_video(Square().clip(0, 2).video[None], CPU)

    def mean(**options: Any) -> float:
        torch.manual_seed(0)
        return log_weights(program, video, 200, **options).mean().item()

    assert mean(presence=None) == mean(presence="relaxed") != mean(presence="hard")
    ours, closed = mean(presence="relaxed"), mean(presence="relaxed", weigh=AnalyticElbo)
    assert ours != closed
    assert ours == pytest.approx(closed, rel=0.01)


def test_standard_error() -> None:
    assert standard_error([1.0]) is None
    assert standard_error([1.0, 3.0]) == pytest.approx(1.0)


def test_json_has_no_nan() -> None:
    assert finite({"a": [math.nan, 1.0], "b": (math.inf, None)}) == {
        "a": [None, 1.0],
        "b": [None, None],
    }


# ---------------------------------------------------------------------------------- comparison


def test_only_the_papers_objective_is_no_bound() -> None:
    assert [name for name in ESTIMATORS if not is_bound(name)] == ["scalor"]


def test_rows_are_what_estimators_can_do() -> None:
    question = ComparisonQuestion(("elbo", "vimco", "dreg"), (1, 4))
    assert question.cases() == [
        ("elbo", "relaxed", 1),
        ("elbo", "relaxed", 4),
        ("elbo", "hard", 1),
        ("elbo", "hard", 4),
        ("vimco", "hard", 4),
        ("dreg", "relaxed", 1),
        ("dreg", "relaxed", 4),
    ]
    assert question.draws == 100
    assert ComparisonQuestion(("elbo",), (300,)).draws == 300


def test_bounds_of_the_same_draws(program: Program) -> None:
    question = ComparisonQuestion(
        ("elbo", "iwae", "stl", "scalor"), (1, 5), clips=3, frames=2, gradients=2
    )
    rows, tails = compare_run("a", program, Square(), question)
    by = {(row.estimator, row.presence, row.particles): row for row in rows}
    assert by["elbo", "hard", 1].bound == by["iwae", "hard", 1].bound
    assert by["elbo", "relaxed", 5].bound == by["stl", "relaxed", 5].bound
    assert by["elbo", "relaxed", 5].bound == pytest.approx(by["elbo", "relaxed", 1].bound)
    for presence in ("relaxed", "hard"):
        less, more = by["iwae", presence, 1], by["iwae", presence, 5]
        assert less.bound is not None
        assert more.bound is not None
        assert less.bound < more.bound
        assert less.effective == pytest.approx(1)
        assert 1 < more.effective < 5
    row = by["iwae", "hard", 5]
    assert len(row.by_clip) == 3
    assert row.bound == pytest.approx(np.mean(row.by_clip))
    assert row.error == pytest.approx(np.std(row.by_clip, ddof=1) / math.sqrt(3))
    paper = by["scalor", "relaxed", 5]
    assert (paper.bound, paper.error, paper.by_clip) == (None, None, ())
    assert paper.guide.variance > 0
    assert [(tail.presence, len(tail.k_hat)) for tail in tails] == [("relaxed", 3), ("hard", 3)]


SMALL = ("--clips", 2, "--frames", 2, "--gradients", 2, *ALONE)


def test_command(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips.nc")
    names = ("--estimators", "elbo,iwae,vimco,scalor", "--particles", "3,1,3")
    out = tmp_path / "out"
    said = cli("compare", run, "--data", clips, *names, "--out", out, *SMALL, "--seed", 3)
    assert said.code == 0, said
    lines = said.out.splitlines()
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 100
    assert "are two models" in said.out
    assert said.out.count("objective, no bound") == 2
    assert sum("k-hat" in line for line in lines) == 2
    document = json.loads((out / "compare.json").read_text())
    assert [(r["estimator"], r["presence"], r["particles"]) for r in document["rows"]] == [
        *(("elbo", presence, k) for presence in ("relaxed", "hard") for k in (1, 3)),
        *(("iwae", presence, k) for presence in ("relaxed", "hard") for k in (1, 3)),
        ("vimco", "hard", 3),
        *(("scalor", "relaxed", k) for k in (1, 3)),
    ]
    for row in document["rows"]:
        assert row["run"] == str(run)
        assert row["milliseconds"] > 0
        assert row["guide"]["variance"] > 0
        assert set(row["model"]) == {"variance", "mean_square", "snr"}
        assert (row["bound"] is None) == (row["estimator"] == "scalor")
    assert {"torch", "arviz", "commit", "threads", "date"} <= set(document["environment"])
    assert document["runs"][str(run)] == run_config(run).model_dump(mode="json")
    question = document["question"]
    assert (question["seed"], question["draws"], question["batch"]) == (3, 100, 2)
    assert question["data"]["source"] == str(clips)
    for tail in document["weights"]:
        assert len(tail["k_hat"]) == 2
        assert 0 <= tail["share_above_0.7"] <= 1
    with Image.open(out / "compare.png") as image:
        assert image.width > 2 * image.height


def test_runs_have_the_same_clips(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips.nc")
    trained(tmp_path / "other", train={"seed": 1})
    names = ("--estimators", "elbo", "--particles", 1, "--out", tmp_path / "out")
    said = cli("compare", run, tmp_path / "other", "--data", clips, *names, *SMALL)
    assert said.code == 0, said
    rows = json.loads((tmp_path / "out" / "compare.json").read_text())["rows"]
    assert [row["run"] for row in rows] == [str(run)] * 2 + [str(tmp_path / "other")] * 2
    assert rows[0]["bound"] != rows[2]["bound"]


# ------------------------------------------------------------------------- the budget of time


PLAIN = ScalorTrainConfig(steps=100, frames=4)
GROWING = ScalorTrainConfig(
    steps=1000,
    warmup=50,
    frames=Schedule(start=2, end=10, steps=500),
    temperature=Schedule(start=1.0, end=0.3, steps=300),
)
SECONDS = {length: 0.03 * length for length in range(2, 11)}


def test_clip_lengths() -> None:
    assert clip_lengths(PLAIN) == [4]
    assert clip_lengths(GROWING) == list(range(2, 11))
    down = Schedule(start=6, end=3)
    assert clip_lengths(TrainConfig(frames=down)) == [3, 4, 5, 6]


def test_time_of_a_training() -> None:
    assert predicted_minutes(PLAIN, {4: 0.6}) == pytest.approx(1)
    # Half the steps at 10 frames, half on the way from 2 to 10.
    assert predicted_minutes(GROWING, SECONDS) == pytest.approx((150 + 90) / 60, rel=0.01)


def test_scaled_schedules_keep_their_shape() -> None:
    half = scaled(GROWING, 500)
    assert (half.steps, half.warmup) == (500, 25)
    assert isinstance(half, ScalorTrainConfig)
    assert isinstance(half.frames, Schedule)
    assert (half.frames.steps, half.temperature.steps) == (250, 150)
    assert half.learning_rate == GROWING.learning_rate  # over the whole training, as before
    for step in (0, 40, 123, 499):
        assert half.temperature.at(step, 500) == pytest.approx(
            GROWING.temperature.at(2 * step, 1000)
        )


def test_scaled_schedules_wait_in_proportion() -> None:
    late = Schedule(start=2, end=4, steps=100, after=600)
    half = scaled(PLAIN.model_copy(update={"steps": 1000, "frames": late}), 500)
    assert isinstance(half.frames, Schedule)
    assert (half.frames.after, half.frames.steps) == (300, 50)


@pytest.mark.parametrize("minutes", [0.1, 1.0, 4.0, 33.0])
def test_steps_fill_the_time(minutes: float) -> None:
    chosen = lasting(GROWING, minutes, SECONDS)
    assert predicted_minutes(chosen, SECONDS) == pytest.approx(minutes, rel=0.01, abs=0.005)
    slower = lasting(GROWING, minutes, {k: 3 * v for k, v in SECONDS.items()})
    assert slower.steps == pytest.approx(chosen.steps / 3, rel=0.02, abs=1)
    assert isinstance(slower.frames, Schedule)
    assert slower.frames.steps == pytest.approx(slower.steps / 2, abs=1)


def test_a_short_configuration_can_become_a_long_one() -> None:
    few = TrainConfig(steps=3, frames=Schedule(start=2, end=10))
    chosen = lasting(few, 2.0, SECONDS)
    assert predicted_minutes(chosen, SECONDS) == pytest.approx(2.0, rel=0.01)
    assert lasting(few, 1e-9, SECONDS).steps == 1


def test_steps_are_timed_and_leave_nothing(run: Path) -> None:
    config = run_config(run)
    schedule = config.train.model_copy(update={"frames": Schedule(start=1, end=3)})
    before = sorted(run.rglob("*"))
    other = config.model_copy(update={"train": schedule})
    seconds = time_all({"a": config, "b": other}, Square(), CPU)
    assert {name: sorted(each) for name, each in seconds.items()} == {"a": [3], "b": [1, 2, 3]}
    assert all(0 < value < 5 for each in seconds.values() for value in each.values())
    assert sorted(run.rglob("*")) == before


def test_what_others_take_of_a_crowded_processor_is_no_part_of_a_step(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every look finds the clock 4 seconds on, in which this process worked for a quarter.
    clocks = {"perf_counter": itertools.count(0, 4.0), "process_time": itertools.count(0, 0.25)}
    looks = {name: functools.partial(next, clock) for name, clock in clocks.items()}
    monkeypatch.setattr(budget, "time", SimpleNamespace(**looks))
    assert time_steps(run_config(run), Square(), CPU) == {3: 0.25}
    # Several threads work for longer than it takes.
    monkeypatch.setattr(
        budget, "time", SimpleNamespace(**dict(zip(looks, reversed(looks.values()), strict=True)))
    )
    assert time_steps(run_config(run), Square(), CPU) == {3: 0.25}


# --------------------------------------------------------------------------------- by training


def test_entrants_start_alike(run: Path) -> None:
    base = run_config(run)
    programs = {}
    for name in ("elbo", "scalor", "iwae", "vimco"):
        config = entrant(base, name, 4)
        train = config.train
        assert isinstance(config, ScalorConfig)
        make_estimator(train.estimator, train.particles, config.model.presence)
        assert (train.estimator, train.image_every) == (name, 0)
        programs[name] = build_program(config, CPU)
    counts = {name: each.config.train.particles for name, each in programs.items()}
    assert counts == {"elbo": 1, "scalor": 1, "iwae": 4, "vimco": 4}
    kinds = {name: each.model.presence.kind for name, each in programs.items()}
    assert kinds == dict.fromkeys(counts, "relaxed") | {"vimco": "hard"}
    for each in programs.values():
        for part in ("model", "guide"):
            assert same(each.parts[part].state_dict(), programs["elbo"].parts[part].state_dict())
    with pytest.raises(UserError, match="at least 2 particles"):
        entrant(base, "vimco", 1)


BRIEF = ("--train", "--minutes", 0.01, "--clips", 2, "--frames", 2, *ALONE)


def test_command_that_trains(cli: CommandLine, place: Path) -> None:
    data = ("--config", "tiny.toml", "--set", f"data.source={place / 'clips.nc'}")
    names = ("--estimators", "elbo,vimco", "--particles", 2, "--seeds", "0,3", "--out", "out")
    said = cli("compare", *data, *names, *BRIEF)
    assert said.code == 0, said
    assert max(map(len, said.out.splitlines())) <= 100
    document = json.loads(Path("out/compare.json").read_text())
    results = document["results"]
    assert [(r["estimator"], r["seed"], r["particles"], r["presence"]) for r in results] == [
        ("elbo", 0, 1, "relaxed"),
        ("vimco", 0, 2, "hard"),
        ("elbo", 3, 1, "relaxed"),
        ("vimco", 3, 2, "hard"),
    ]
    for result in results:
        plan = document["plans"][result["estimator"]]
        assert result["steps"] == plan["steps"] == result["figures"]["steps"]
        assert plan["predicted_minutes"] == pytest.approx(0.01, rel=0.5)
        assert result["minutes"] > 0
        assert result["bound"]["presence"] == "hard"
        assert (result["bound"]["estimator"], result["bound"]["particles"]) == ("iwae", 100)
        assert {"standard", "plain"} <= set(result["scores"])
    assert set(document["means"]["elbo"]) >= {"mota", "plain", "mse", "count_mae", "bound", "steps"}
    assert document["question"]["seeds"] == [0, 3]
    with Image.open("out/compare.png") as image:
        assert image.width > image.height
    for name in ("elbo", "vimco"):
        assert run_config(Path("out", name, "seed_3")).train.seed == 3
    # Once more: the same plan and weights, scored again.
    file = last_checkpoint(Path("out/elbo/seed_0")) / WEIGHTS
    before = file.read_bytes(), Path("out/elbo", PLAN).read_bytes()
    said = cli("compare", *data, *names, *BRIEF)
    assert said.code == 0, said
    assert before == (file.read_bytes(), Path("out/elbo", PLAN).read_bytes())
    again = json.loads(Path("out/compare.json").read_text())["results"]
    assert [r["scores"] for r in again] == [r["scores"] for r in results]
    # Other settings are another comparison.
    refused = cli.refused("compare", *data, "--set", "train.batch=1", *names, *BRIEF)
    assert "planned with other settings" in refused


def test_the_quickest_step_of_all_rounds_counts(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = run_config(run)
    asked: list[Any] = []
    speeds = iter([3.0, 9.0, 1.0, 8.0, 2.0, 7.0])

    def timed(config: Any, *others: Any) -> dict[int, float]:
        asked.append(config)
        return {3: next(speeds)}

    monkeypatch.setattr(budget, "time_steps", timed)
    other = entrant(config, "iwae", 2)
    assert time_all({"a": config, "b": other}, Square(), CPU) == {"a": {3: 1.0}, "b": {3: 7.0}}
    assert asked == [config, other] * 3  # in turn


def test_nothing_is_trained_that_cannot_be_scored(cli: CommandLine, place: Path) -> None:
    images = write_images(place / "images")
    data = ("--config", "tiny.toml", "--set", f"data.source={images}", "--out", "out")
    assert "has no ground truth" in cli.refused("compare", *data, *BRIEF)
    assert not Path("out").exists()


# -------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--estimators", "elbow"), "did you mean elbo?"),
        (("--particles", "1,x"), "give numbers from 1 separated by commas"),
        (("--particles", "0"), "give numbers from 1"),
        (("--estimators", "vimco", "--particles", "1"), "need at least 2 particles"),
        (("--minutes", "3"), "--minutes needs --train"),
        (("--set", "train.batch=2"), "--set needs --train"),
    ],
)
def test_refused_on_runs(
    cli: CommandLine, run: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    out = tmp_path / "out"
    assert said in cli.refused("compare", run, *arguments, "--out", out, *ALONE)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give runs to compare on, or --train"),
        (("--train",), "--train needs --config"),
        (("somewhere", "--train", "--config", "tiny.toml"), "leave somewhere out"),
        (("--train", "--config", "tiny.toml", "--particles", "1,5"), "give one number"),
        (("--train", "--config", "tiny.toml", "--gradients", "5"), "does not go with --train"),
        (("--train", "--config", "tiny.toml", "--particles", "1"), "at least 2 particles"),
        (("--train", "--config", "tiny.toml", "--seeds", "a"), "--seeds a"),
        (("nowhere",), "no such run"),
    ],
)
def test_refused(cli: CommandLine, place: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in cli.refused("compare", *arguments, "--out", "out", *ALONE)
    assert not Path("out").exists()
