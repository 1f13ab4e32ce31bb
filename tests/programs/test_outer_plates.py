"""Pyro's own tools on the programs: Predictive(parallel=True), vectorised particles, PSIS.

Draws of several particles come in the order of tiled videos, so one seed gives the package's own
estimators and Pyro's the same noise, and the values must be equal, not only near.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pyro
import pytest
import torch
from cases import CASES, build, clip
from pyro import poutine
from pyro.infer import Predictive, Trace_ELBO, TraceMeanField_ELBO
from pyro.infer.importance import psis_diagnostic, vectorized_importance_weights
from torch import Tensor
from torch.distributions import kl_divergence

from scalor_ppl.config.settings import merged
from scalor_ppl.errors import UserError
from scalor_ppl.nn.distributions import LogitRelaxedBernoulli, diagonal_normal
from scalor_ppl.nn.modes import MostLikely
from scalor_ppl.nn.unfolded import Unfolded
from scalor_ppl.objectives.densities import latent_and_observed, log_density
from scalor_ppl.objectives.estimators import make_estimator
from scalor_ppl.programs import Memory, Program
from scalor_ppl.programs.trust import trusting

KINDS: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in CASES} | {
    "hard": ("scalor", {"model": {"presence": "hard"}}),
    "strongest": ("scalor", {"model": {"proposals": 2}}),
    "template": ("scalor", {"model": {"background": "template"}}),
    "refined": ("scalor", {"guide": {"refine": 2}}),
}
everything = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def _own_code() -> Iterator[None]:
    with trusting():
        yield


def made(kind: str, **tables: Any) -> Program:
    name, changes = KINDS[kind]
    program = build(name, **merged(changes, tables))
    if kind == "refined":
        program.guide.eval()  # in training nothing is refined
    return program


def gradients(program: Program, loss: Callable[[], Tensor]) -> tuple[float, list[Tensor]]:
    """Loss and gradients of all parameters, with one seed."""
    torch.manual_seed(3)
    value = loss()
    parameters = [p for part in program.parts.values() for p in part.parameters()]
    found = torch.autograd.grad(value, parameters, allow_unused=True)
    return value.item(), [g for g in found if g is not None]


@everything
def test_predictive_in_parallel_has_the_sites_and_shapes_of_the_sequential_one(kind: str) -> None:
    program, video = made(kind), clip(3)
    at_once, one_by_one = (
        Predictive(program.model, guide=program.guide, num_samples=4, parallel=parallel)(video)
        for parallel in (True, False)
    )
    assert at_once.keys() == one_by_one.keys()
    for site, values in one_by_one.items():
        assert at_once[site].shape == values.shape, site
        assert values.shape[:2] == (4, 2)
        assert torch.isfinite(at_once[site]).all(), site


@everything
def test_each_copy_weighs_what_it_would_weigh_alone(kind: str) -> None:
    """Log-densities of N copies, site by site, are those of N runs with the same values."""
    program, video = made(kind), clip(3)
    guide = pyro.plate("copies", 3, dim=-3)(program.guide)
    seen = poutine.trace(guide).get_trace(video)
    model = poutine.replay(pyro.plate("copies", 3, dim=-3)(program.model), trace=seen)
    foreseen = poutine.trace(model).get_trace(video)
    foreseen.compute_log_prob()
    image = foreseen.nodes["_RETURN"]["value"].image
    assert image.shape == (3, *video.shape)
    for n in range(3):
        values = {site: node["value"][n] for site, node in latent_and_observed(seen)}
        alone = poutine.trace(poutine.condition(program.model, values)).get_trace(video)
        alone.compute_log_prob()
        torch.testing.assert_close(image[n], alone.nodes["_RETURN"]["value"].image)
        for site, node in latent_and_observed(alone):
            together = foreseen.nodes[site]["log_prob"]
            assert together.shape == (3, *node["fn"].batch_shape), site
            torch.testing.assert_close(together[n], node["log_prob"], rtol=1e-4, atol=1e-3)


@everything
def test_vectorised_particles_give_the_packages_own_elbo(kind: str) -> None:
    """Same noise, same loss, same gradients; for hard presence the loss (other baselines)."""
    program, video = made(kind), clip(3)
    theirs = Trace_ELBO(num_particles=4, max_plate_nesting=2, vectorize_particles=True)
    own = make_estimator("elbo", 4)
    loss, slopes = gradients(
        program, lambda: theirs.differentiable_loss(program.model, program.guide, video)
    )
    expected, right = gradients(
        program, lambda: own.differentiable_loss(program.model, program.guide, video)
    )
    assert loss == pytest.approx(expected, rel=1e-5)
    assert len(slopes) == len(right) >= 10
    if kind in ("hard", "sqair"):  # presence is discrete
        return
    for slope, exact in zip(slopes, right, strict=True):
        scale = exact.abs().max().item() + 1e-3
        torch.testing.assert_close(slope, exact, rtol=1e-3, atol=1e-3 * scale)


def test_vectorised_particles_are_the_mean_of_single_ones() -> None:
    program, video = made("vrnn"), clip(2, videos=1)
    many = Trace_ELBO(num_particles=200, max_plate_nesting=2, vectorize_particles=True)
    one = Trace_ELBO()
    with torch.no_grad():
        values = torch.tensor([one.loss(program.model, program.guide, video) for _ in range(200)])
        together = many.loss(program.model, program.guide, video)
    error = values.std() / math.sqrt(len(values))
    # Both are means of 200 draws; four standard errors of their difference.
    assert together == pytest.approx(values.mean().item(), abs=4 * math.sqrt(2) * error.item())
    assert error < 0.005 * abs(together)  # the test can tell a wrong one


def test_parallel_draws_are_distributed_as_sequential_ones() -> None:
    program, video = made("scalor"), clip(2, videos=1)
    torch.manual_seed(5)
    moments = []
    for parallel in (True, False):
        draws = Predictive(program.guide, num_samples=120, parallel=parallel)(video)
        moments.append({site: (v.mean(0), v.std(0)) for site, v in draws.items()})
    for site, (mean, spread) in moments[1].items():
        # Of the first frame nothing is masked and no object takes another's slot.
        if site.endswith("_0"):
            error = spread / math.sqrt(120) * math.sqrt(2)
            assert ((moments[0][site][0] - mean).abs() < 5 * error + 1e-6).all(), site
            torch.testing.assert_close(moments[0][site][1], spread, rtol=0.5, atol=1e-3)


def test_videos_are_sampled_from_scratch_in_parallel() -> None:
    program = made("scalor")
    returned = ["x_1", "_RETURN"]
    predict = Predictive(program.model, num_samples=3, parallel=True, return_sites=returned)
    found = predict(videos=2, frames=2)
    assert found["x_1"].shape == (3, 2, 1, 3, 18, 22)
    scene = found["_RETURN"]
    assert scene.image.shape == (3, 2, 2, 3, 18, 22)
    # What was drawn about the mean is that mean, with noise of sigma.
    noise = found["x_1"].squeeze(2) - scene.image[:, :, 1]
    assert noise.std().item() == pytest.approx(program.config.model.sigma, rel=0.1)


def test_plates_of_particles_may_be_nested() -> None:
    program, video = made("scalor"), clip(2)

    def nested(part: Any) -> Any:
        return pyro.plate("outer", 2, dim=-5)(pyro.plate("inner", 3, dim=-3)(part))

    seen = poutine.trace(nested(program.guide)).get_trace(video)
    model = poutine.replay(nested(program.model), trace=seen)
    foreseen = poutine.trace(model).get_trace(video)
    assert seen.nodes["z_where_disc_1"]["value"].shape == (2, 1, 3, 2, 4, 4)
    assert foreseen.nodes["x_0"]["fn"].batch_shape == (2, 1, 3, 2, 1)
    assert torch.isfinite(foreseen.log_prob_sum())


@pytest.mark.parametrize("kind", ["scalor", "hard", "vrnn"])
def test_psis_tells_how_far_the_guide_is_off(kind: str) -> None:
    # A likelihood so flat that more than a few of the weights count.
    program, video = made(kind, model={"sigma": 5.0}), clip(2, videos=1)
    settings = {"num_particles": 300, "max_simultaneous_particles": 150}
    k = psis_diagnostic(program.model, program.guide, video, max_plate_nesting=2, **settings)
    assert math.isfinite(k)
    # Pyro's own default leaves room for five plates that are not there.
    assert math.isfinite(psis_diagnostic(program.model, program.guide, video, **settings))


@everything
def test_importance_weights_are_those_of_the_package(kind: str) -> None:
    program, video = made(kind), clip(2)
    torch.manual_seed(2)
    weights, _, _ = vectorized_importance_weights(
        program.model, program.guide, video, num_samples=6, max_plate_nesting=2
    )
    torch.manual_seed(2)
    own = make_estimator("elbo", 6).log_weights(program.model, program.guide, (video,), {})
    torch.testing.assert_close(weights, own.value.sum(1), rtol=1e-5, atol=1e-2)


def test_closed_form_divergences_are_taken() -> None:
    program, video = made("vrnn"), clip(2)
    estimate = TraceMeanField_ELBO(num_particles=3, max_plate_nesting=2, vectorize_particles=True)
    torch.manual_seed(4)
    theirs = estimate.loss(program.model, program.guide, video)
    torch.manual_seed(4)
    assert theirs == pytest.approx(
        make_estimator("elbo-analytic", 3).loss(program.model, program.guide, video), rel=1e-5
    )


def test_most_likely_values_within_plates() -> None:
    program, video = made("hard"), clip(2)
    alone = poutine.trace(MostLikely()(program.guide)).get_trace(video)
    wrapped = pyro.plate("copies", 2, dim=-3)(program.guide)
    copies = poutine.trace(MostLikely()(wrapped)).get_trace(video)
    for site, node in latent_and_observed(alone):
        for n in range(2):
            torch.testing.assert_close(copies.nodes[site]["value"][n], node["value"])


def test_values_that_are_the_same_for_all_copies_reach_all() -> None:
    program, video = made("scalor"), clip(2)
    where = torch.full((2, 4, 4), 0.25)
    model = poutine.do(program.model, {"z_where_disc_0": where})
    scene = pyro.plate("copies", 3, dim=-3)(model)(video)
    raw = scene.trackers[0].objects.raw[..., 2:]
    assert torch.equal(raw, torch.full_like(raw, 0.25))


def test_without_outer_plates_nothing_is_done() -> None:
    program, video = made("scalor"), clip(2)
    trace = poutine.trace(program.guide).get_trace(video)
    assert not any(isinstance(node["fn"], Unfolded) for _, node in latent_and_observed(trace))
    assert log_density_of(trace).shape == (2,)


def log_density_of(trace: poutine.Trace) -> Tensor:
    trace.compute_log_prob()
    return log_density(trace)


def test_a_plate_that_collides_is_refused_by_name() -> None:
    program = made("vrnn")
    with pytest.raises(UserError, match="plate 'mine' lies in dim -1"), pyro.plate("mine", 3):
        program.guide(clip(2))
    # And the refusal leaves nothing behind.
    assert poutine.trace(program.guide).get_trace(clip(2)).nodes["z_0"]["value"].shape == (2, 1, 4)


def test_a_memory_within_plates_is_refused() -> None:
    program, video = made("vrnn"), clip(2)
    inferred = program.guide(video)
    scene = program.model(video)
    memory = Memory(2, scene.memory, inferred.memory)
    with pytest.raises(UserError, match="memory"), pyro.plate("copies", 3, dim=-3):
        program.guide(video, memory=memory)


def test_an_error_within_plates_leaves_no_handler_behind() -> None:
    program = made("vrnn")
    with pytest.raises(RuntimeError), pyro.plate("copies", 3, dim=-3):
        program.guide(torch.zeros(2, 2, 7, 18, 22))
    trace = poutine.trace(program.guide).get_trace(clip(2))
    assert trace.nodes["z_0"]["value"].shape == (2, 1, 4)


class TestUnfolded:
    """The distribution between program and tool."""

    def test_density_and_moments_are_those_of_the_base(self) -> None:
        loc = torch.randn(6, 2, 3)
        base = diagonal_normal(loc, torch.full_like(loc, 0.5))
        seen = Unfolded(base, torch.Size((3, 1, 2, 2)))
        value = seen.rsample()
        assert value.shape == (3, 1, 2, 2, 3)
        expected = base.log_prob(value.reshape(6, 2, 3)).reshape(3, 1, 2, 2)
        torch.testing.assert_close(seen.log_prob(value), expected)
        torch.testing.assert_close(seen.log_prob(value.expand(5, 3, 1, 2, 2, 3))[4], expected)
        assert torch.equal(seen.mean, loc.reshape(3, 1, 2, 2, 3))
        assert seen.sample((7,)).shape == (7, 3, 1, 2, 2, 3)

    def test_divergence(self) -> None:
        p, q = (LogitRelaxedBernoulli(0.5, torch.randn(6, 2)) for _ in range(2))
        shape = torch.Size((3, 2, 2))
        found = kl_divergence(Unfolded(p, shape), Unfolded(q, shape))
        torch.testing.assert_close(found, kl_divergence(p, q).reshape(shape))
