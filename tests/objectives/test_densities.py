"""Log-densities of all frames at once are Pyro's, site by site, and so are their gradients."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.poutine import Trace
from torch import Tensor

from scalor_ppl.nn.distributions import LogitRelaxedBernoulli, diagonal_normal
from scalor_ppl.objectives.densities import evaluate, latent_and_observed, log_density

VIDEOS, SLOTS, FRAMES = 2, 3, 4


def program(drift: Tensor, alive: Tensor, scale: float = 1.0) -> None:
    """Two kinds of sites in every frame, masked, and one of another kind in each."""
    videos = pyro.plate("videos", VIDEOS, dim=-2)
    slots = pyro.plate("slots", SLOTS, dim=-1)
    where = torch.zeros(VIDEOS, SLOTS, 4)
    for t in range(FRAMES):
        with videos, slots, poutine.mask(mask=alive[t]), poutine.scale(scale=scale):
            where = pyro.sample(f"where_{t}", diagonal_normal(where + drift, 0.5 + where.sigmoid()))
            pyro.sample(f"pres_{t}", LogitRelaxedBernoulli(0.5, where[..., 0]))
        with videos:
            weights = dist.Categorical(logits=torch.zeros(VIDEOS, 1, 2))
            parts = dist.Normal(drift[:2].expand(VIDEOS, 1, 2), 1.0)
            pyro.sample(f"light_{t}", dist.MixtureSameFamily(weights, parts))


def traced(scale: float = 1.0) -> tuple[Trace, Tensor]:
    """A trace of it and what it depends on."""
    torch.manual_seed(0)
    drift = torch.randn(4, requires_grad=True)
    alive = torch.rand(FRAMES, VIDEOS, SLOTS) > 0.4
    return poutine.trace(program).get_trace(drift, alive, scale), drift


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_as_pyro_computes_them(scale: float) -> None:
    trace, drift = traced(scale)
    total = log_density(trace)
    total.square().sum().backward()
    found = {name: site["log_prob"] for name, site in latent_and_observed(trace)}
    slope = drift.grad

    trace, drift = traced(scale)
    trace.compute_log_prob()
    expected = {name: site["log_prob"] for name, site in latent_and_observed(trace)}
    by_video = sum(each.sum(-1) for each in expected.values())
    by_video.square().sum().backward()

    assert found.keys() == expected.keys()
    for name, own in found.items():
        torch.testing.assert_close(own, expected[name])
    torch.testing.assert_close(total, by_video)
    torch.testing.assert_close(slope, drift.grad, rtol=1e-5, atol=1e-5)


def test_sites_of_a_kind_are_one_computation() -> None:
    trace, _ = traced()
    sizes = sorted(len(group.sites) for group in evaluate(trace))
    assert sizes == [1] * FRAMES + [FRAMES, FRAMES]


def test_a_density_is_computed_once() -> None:
    trace, _ = traced()
    first = [group.log_prob for group in evaluate(trace)]
    before = {name: site["log_prob"] for name, site in latent_and_observed(trace)}
    torch.testing.assert_close(
        sum(group.log_prob.sum() for group in evaluate(trace)), sum(each.sum() for each in first)
    )
    assert all(site["log_prob"] is before[name] for name, site in latent_and_observed(trace))


def test_a_refused_value_is_told_by_its_site() -> None:
    def hard() -> None:
        videos = pyro.plate("videos", VIDEOS, dim=-2)
        for t in range(2):
            with videos:
                coin = dist.Bernoulli(logits=torch.zeros(VIDEOS, 1), validate_args=True)
                pyro.sample(f"coin_{t}", coin)

    trace = poutine.trace(hard).get_trace()
    trace.nodes["coin_1"]["value"] = torch.full((VIDEOS, 1), 0.5)
    with pytest.raises(ValueError, match="coin_1"):
        evaluate(trace)
