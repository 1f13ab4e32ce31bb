"""Work ahead of need: same items, few at a time, errors in their turn, no thread left behind."""

import threading
import time
from collections.abc import Iterator

import pytest

from scalor_ppl.data.prefetch import ahead


def threads() -> int:
    return sum(thread.name == "ahead" for thread in threading.enumerate())


def test_items_come_in_order_and_the_thread_ends() -> None:
    assert list(ahead(iter(range(50)), 3)) == list(range(50))
    assert list(ahead(iter(()))) == []
    assert len(list(ahead(iter([None, ValueError("an item like any other")]), 1))) == 2
    assert threads() == 0


def test_an_error_comes_in_its_turn() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise RuntimeError("the disk is on fire")

    items = ahead(broken())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(RuntimeError, match="on fire"):
        next(items)
    assert threads() == 0


def test_only_a_few_are_made_ahead_and_closing_ends_the_thread() -> None:
    made = []
    closed = []

    def slow() -> Iterator[int]:
        try:
            for number in range(1000):
                made.append(number)
                yield number
        finally:
            closed.append(threading.current_thread().name)

    items = ahead(slow(), 4)
    assert next(items) == 0
    time.sleep(0.2)
    assert 1 < len(made) <= 6  # one taken, four ready, one in hand
    assert threads() == 1
    items.close()
    assert threads() == 0
    assert closed == ["ahead"]  # a file in there is closed by then
