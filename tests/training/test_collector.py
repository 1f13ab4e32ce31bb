"""What is long-lived stays out of garbage collections for a while."""

import gc

from scalor_ppl.training.collector import long_lived_set_aside


def test_set_aside_and_given_back() -> None:
    before = gc.get_freeze_count()
    with long_lived_set_aside():
        assert gc.get_freeze_count() > before
    assert gc.get_freeze_count() == 0
