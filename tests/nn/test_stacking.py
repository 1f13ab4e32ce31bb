"""Distributions side by side have the densities that each has alone."""

import pyro.distributions as dist
import pytest
import torch

from scalor_ppl.nn.distributions import LogitRelaxedBernoulli, PixelNormal, diagonal_normal
from scalor_ppl.nn.stacking import stacked, stacking_key

MADE = {
    "normal": lambda: dist.Normal(torch.randn(2, 3), torch.rand(2, 3) + 0.1),
    "vectors": lambda: diagonal_normal(torch.randn(2, 3, 4), torch.rand(2, 3, 4) + 0.1),
    "relaxed": lambda: LogitRelaxedBernoulli(0.7, torch.randn(2, 3)),
    "pixels": lambda: PixelNormal(torch.randn(2, 3, 4, 5), 0.3, event_dim=2),
    "hard": lambda: dist.Bernoulli(logits=torch.randn(2, 3)),
}


@pytest.mark.parametrize("kind", MADE)
def test_as_each_alone(kind: str) -> None:
    fns = [MADE[kind]() for _ in range(3)]
    values = [fn.sample() for fn in fns]
    assert len({stacking_key(fn) for fn in fns}) == 1
    together = stacked(fns)
    assert together.batch_shape == (3, 2, 3)
    assert together.event_shape == fns[0].event_shape
    expected = torch.stack([fn.log_prob(value) for fn, value in zip(fns, values, strict=True)])
    torch.testing.assert_close(together.log_prob(torch.stack(values)), expected)


def test_what_is_not_alike_is_told_apart() -> None:
    normal = dist.Normal(torch.zeros(2, 3), 1.0)
    assert stacking_key(normal) != stacking_key(dist.Normal(torch.zeros(3, 3), 1.0))
    assert stacking_key(normal) != stacking_key(normal.to_event(1))
    cold, warm = (LogitRelaxedBernoulli(kelvin, torch.zeros(2, 3)) for kelvin in (0.5, 1.0))
    assert stacking_key(cold) != stacking_key(warm)
    mixture = dist.MixtureSameFamily(
        dist.Categorical(logits=torch.zeros(2, 4)), dist.Normal(torch.zeros(2, 4), 1.0)
    )
    assert stacking_key(mixture) is None


def test_a_value_out_of_support_is_refused_where_each_would() -> None:
    fns = [dist.Bernoulli(logits=torch.zeros(2), validate_args=True) for _ in range(2)]
    with pytest.raises(ValueError, match="support"):
        stacked(fns).log_prob(torch.full((2, 2), 0.5))
