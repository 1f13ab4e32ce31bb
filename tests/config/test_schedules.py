"""Values over training steps."""

from __future__ import annotations

import itertools
import math

import pytest
from pydantic import ValidationError

from scalor_ppl.config.schedules import Schedule, value_at
from scalor_ppl.scalor.settings import ScalorTrainConfig


@pytest.mark.parametrize(
    ("kind", "middle", "quarter"),
    [
        ("linear", 5.5, 7.75),
        ("geometric", math.sqrt(10.0), 10**0.75),
        ("cosine", 5.5, 10 - 9 * (1 - math.cos(math.pi / 4)) / 2),
    ],
)
def test_ends_and_way(kind: str, middle: float, quarter: float) -> None:
    schedule = Schedule.model_validate({"start": 10.0, "end": 1.0, "steps": 100, "kind": kind})
    assert schedule.at(0, 1000) == pytest.approx(10.0)
    assert schedule.at(25, 1000) == pytest.approx(quarter)
    assert schedule.at(50, 1000) == pytest.approx(middle)
    assert schedule.at(100, 1000) == 1.0
    assert schedule.at(100_000, 1000) == 1.0
    values = [schedule.at(step, 1000) for step in range(120)]
    assert all(late <= early for early, late in itertools.pairwise(values))


def test_the_whole_training_without_steps() -> None:
    schedule = Schedule(start=0.0, end=8.0, steps=None)
    assert schedule.at(5, 20) == pytest.approx(2.0)
    assert schedule.at(20, 20) == 8.0
    assert schedule.at(0, 0) == 8.0


def test_a_schedule_that_begins_later() -> None:
    schedule = Schedule(start=1.0, end=5.0, steps=4, after=10)
    assert [schedule.at(step, 100) for step in (0, 10, 11, 13, 14, 99)] == [1, 1, 2, 4, 5, 5]
    # Until the end of the training: 10 of 20 steps are left.
    rest = Schedule(start=0.0, end=8.0, after=10)
    assert [rest.at(step, 20) for step in (0, 9, 10, 15, 20)] == [0, 0, 0, 4, 8]
    assert rest.at(12, 10) == 8.0  # the training ends before it begins


def test_no_steps_at_all() -> None:
    assert Schedule(start=0.0, end=8.0, steps=0).at(0, 20) == 8.0


def test_growing_schedules() -> None:
    schedule = Schedule(start=1e-4, end=1e-1, steps=3, kind="geometric")
    values = [schedule.at(step, 10) for step in range(4)]
    assert values == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])


def test_value_at() -> None:
    assert value_at(0.25, 7, 10) == 0.25
    assert value_at(Schedule(start=0.0, end=1.0, steps=10), 5, 100) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "settings",
    [
        {"start": 1.0},
        {"start": 1.0, "end": 0.5, "step": 10},
        {"start": 1.0, "end": 0.5, "steps": -1},
        {"start": 1.0, "end": 0.5, "kind": "cubic"},
        {"start": 1.0, "end": 0.0, "kind": "geometric"},
        {"start": -1.0, "end": 0.5, "kind": "geometric"},
    ],
)
def test_bad_schedules_are_refused_when_they_are_read(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Schedule.model_validate(settings)


def test_the_defaults_are_the_papers_direction() -> None:
    train = ScalorTrainConfig()
    assert train.temperature.at(0, 1000) == 1.0
    assert train.temperature.at(1000, 1000) == pytest.approx(0.3)
    assert train.discovery_rate.at(0, 1000) == pytest.approx(0.1)
    assert train.discovery_rate.at(1000, 1000) == pytest.approx(1e-4)


def test_schedules_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Schedule(start=1.0, end=0.0).start = 2.0  # type: ignore[misc]
