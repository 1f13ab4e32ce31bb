"""Settings that are well-formed but cannot work together, refused before anything is made."""

from __future__ import annotations

from typing import Any

import pytest

from scalor_ppl.errors import UserError
from scalor_ppl.objectives.estimators import make_estimator
from scalor_ppl.programs.configuration import checked
from scalor_ppl.training.devices import pick_device


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train": {"frames": 0}}, "frames must be at least 1"),
        ({"train": {"frames": {"start": 0, "end": 10}}}, "frames must be at least 1"),
        ({"train": {"temperature": {"start": 1.0, "end": 0.0}}}, "temperature must be greater"),
        ({"train": {"discovery_rate": {"start": 0.1, "end": 1.0}}}, "discovery_rate must lie"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        checked(settings)


def test_an_estimator_that_cannot_be_differentiated() -> None:
    with pytest.raises(UserError, match="has no differentiable_loss"):
        make_estimator("pyro.infer:RenyiELBO")


@pytest.mark.parametrize("name", [":X", "no.such.module:X", "math:pi"])
def test_what_is_no_estimator(name: str) -> None:
    with pytest.raises(UserError, match=r"cannot be imported|is not a subclass"):
        make_estimator(name)


def test_a_cpu_has_no_number() -> None:
    with pytest.raises(UserError, match="use cpu"):
        pick_device("cpu:7")
