"""What is long-lived stays out of garbage collections for a while."""

import gc

from scalor_ppl.training.collector import long_lived_set_aside, set_aside_too


def test_set_aside_and_given_back() -> None:
    before = gc.get_freeze_count()
    with long_lived_set_aside():
        assert gc.get_freeze_count() > before
    assert gc.get_freeze_count() == 0


def test_what_came_since_is_set_aside_only_within() -> None:
    set_aside_too()
    assert gc.get_freeze_count() == 0
    with long_lived_set_aside():
        before = gc.get_freeze_count()
        made = [[number] for number in range(1000)]
        set_aside_too()
        assert gc.get_freeze_count() > before + 900
        assert made[-1] == [999]
    assert gc.get_freeze_count() == 0


def test_collections_wait_for_more_than_a_step_makes() -> None:
    before = gc.get_threshold()
    with long_lived_set_aside():
        assert gc.get_threshold()[0] > 10_000 > before[0]
    assert gc.get_threshold() == before
