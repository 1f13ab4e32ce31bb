"""How looks vary, and what two of them tell."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from scalor_ppl.identity.spread import (
    _AFTER,
    _FEW,
    _FREEDOM,
    _HIDDEN,
    _WIDE,
    LEAST,
    LookHistory,
    Spread,
)

WITHIN = np.array([[0.004, 0.0038], [0.0038, 0.004]])  # light changes both colours alike


def learned(objects: int = 60, *, strays: float = 0.0) -> Spread:
    """Objects whose colours differ by .1 in each; a share of the trackers goes over to another."""
    random = np.random.default_rng(2)
    spread = Spread(2)
    centres = random.normal(0.5, 0.1, (objects, 2))
    for centre in centres:
        history = LookHistory()
        for _ in range(30):
            look = centre + random.normal(0, 0.01, 2)
            spread.learn(look)
            history.add(look)
            other = centres[random.integers(objects)] if random.random() < strays else centre
            ahead = other + random.multivariate_normal(np.zeros(2), WITHIN / 4)
            spread.learn_change(history, ahead)
    return spread


def test_colours_that_change_together_are_known_to() -> None:
    spread = learned()
    correlation = spread.same[0, 1] / np.sqrt(spread.same[0, 0] * spread.same[1, 1])
    assert correlation == pytest.approx(0.95, abs=0.04)
    # As much darker in both colours it may be the same; lighter in one and darker in the other not.
    known = np.full((1, 2), 0.5)
    darker, turned = spread.log_odds(np.array([[0.42, 0.42], [0.42, 0.58]]), known)[:, 0]
    assert darker > 1
    assert turned < -2


def test_trackers_that_went_over_to_another_do_not_count_much() -> None:
    clean, mixed = learned(), learned(strays=0.1)
    ratio = np.sqrt(np.linalg.det(mixed.same) / np.linalg.det(clean.same))
    assert ratio < 2.5
    # A tenth of all differences between two objects would have made it several times as much.
    plain = 0.9 * clean.same + 0.1 * 2 * clean.all
    assert np.sqrt(np.linalg.det(plain) / np.linalg.det(clean.same)) > 4


def test_log_odds_are_those_of_two_t_distributions() -> None:
    spread = learned()
    look, mean = np.array([0.52, 0.41]), np.array([0.45, 0.4])
    same = _AFTER * spread.same
    share = _FEW / (_FEW + 60 * 30)
    total = 2 * (share * _WIDE**2 * np.eye(2) + (1 - share) * spread.all)
    assert (np.linalg.eigvals(np.linalg.solve(same, total)) > 1.1).all()  # nothing is cut here
    log = [
        float(stats.multivariate_t.logpdf(look - mean, np.zeros(2), scale, _FREEDOM))
        for scale in (same, total)
    ]
    expected = np.log(_HIDDEN + (1 - _HIDDEN) * np.exp(log[0] - log[1]))
    assert spread.log_odds(look[None], mean[None])[0, 0] == pytest.approx(expected)
    # Whatever a tracker shows, it may be something before its object.
    assert spread.log_odds(look[None] + 9, mean[None])[0, 0] >= np.log(_HIDDEN)


def test_a_few_looks_tell_nothing() -> None:
    history, spread = LookHistory(), Spread(2)
    before = spread.same
    for _ in range(LEAST - 1):
        history.add(np.ones(2))
    assert not history.told
    spread.learn_change(history, np.zeros(2))
    assert np.array_equal(spread.same, before)


def test_a_spread_goes_on_from_its_state() -> None:
    spread = learned(5)
    state = json.loads(json.dumps(spread.to_state()))
    again = Spread.from_state(state)
    asked = np.array([[0.3, 0.4]]), np.array([[0.5, 0.5], [0.3, 0.3]])
    assert np.array_equal(again.log_odds(*asked), spread.log_odds(*asked))
    assert again.counts == spread.counts
