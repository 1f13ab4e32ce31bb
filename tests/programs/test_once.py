"""Results are remembered for the same arguments, and for nothing else."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor, nn

from scalor_ppl.programs.once import Once


class Counted:
    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.calls = 0

    def times(self, value: Tensor, *rest: object) -> Tensor:
        self.calls += 1
        return value * self.factor


def test_the_same_arguments_compute_once() -> None:
    once, counted, value = Once(), Counted(2.0), torch.ones(3)
    first = once(counted.times, value, None)
    assert once(counted.times, value, None) is first
    assert counted.calls == 1
    torch.testing.assert_close(first, torch.full((3,), 2.0))


def test_equal_but_other_arguments_compute_again() -> None:
    once, counted, value = Once(), Counted(2.0), torch.ones(3)
    first = once(counted.times, value)
    assert once(counted.times, value.clone()) is not first
    assert once(counted.times, value, None) is not first
    assert counted.calls == 3


def test_the_order_of_arguments_matters() -> None:
    once, a, b = Once(), torch.tensor(1.0), torch.tensor(5.0)
    assert once(torch.sub, a, b).item() == -4
    assert once(torch.sub, b, a).item() == 4


def test_forget() -> None:
    once, counted, value = Once(), Counted(2.0), torch.ones(3)
    once(counted.times, value)
    once.forget()
    once(counted.times, value)
    assert counted.calls == 2


def test_no_id_is_given_to_another_argument() -> None:
    once, counted = Once(), Counted(1.0)
    for i in range(200):
        assert once(counted.times, torch.tensor(float(i))).item() == i
        gc.collect(0)
    assert counted.calls == 200


def test_nothing_is_kept_after_an_error() -> None:
    once, calls = Once(), []

    def fails_first(value: Tensor) -> Tensor:
        calls.append(0)
        if len(calls) == 1:
            raise ValueError("first")
        return value

    value = torch.ones(1)
    with pytest.raises(ValueError, match="first"):
        once(fails_first, value)
    assert once(fails_first, value) is value


def test_methods_of_two_objects_are_two_functions() -> None:
    once, value = Once(), torch.ones(1)
    double, triple = Counted(2.0), Counted(3.0)
    assert once(double.times, value).item() == 2
    assert once(triple.times, value).item() == 3


def test_functions_of_one_name_are_two_functions() -> None:
    once, value = Once(), torch.ones(1)
    functions = [lambda v, k=k: v * k for k in (2.0, 3.0)]
    assert [once(each, value).item() for each in functions] == [2, 3]


def test_modules_that_come_and_go() -> None:
    once, value = Once(), torch.ones(1, 1)
    for i in range(100):
        layer = nn.Linear(1, 1)
        nn.init.constant_(layer.weight, i)
        nn.init.zeros_(layer.bias)
        assert once(layer, value).item() == i
        del layer
        gc.collect(0)


def test_what_was_computed_without_gradients_serves_nobody_who_wants_them() -> None:
    once, x = Once(), torch.ones(2, requires_grad=True)
    with torch.no_grad():
        assert not once(torch.exp, x).requires_grad
    assert once(torch.exp, x).requires_grad
