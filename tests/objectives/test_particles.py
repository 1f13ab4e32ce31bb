"""Bounds and gradients against exact answers: enumeration, linear-Gaussian models, quadrature.

A single pass over many copies of one datum gives as many independent estimates of a gradient.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import Build, Pair
from pyro import poutine
from torch import Tensor, nn

from scalor_ppl.errors import UserError
from scalor_ppl.nn.distributions import PixelNormal
from scalor_ppl.objectives.densities import log_density
from scalor_ppl.objectives.estimators import ESTIMATORS, make_estimator
from scalor_ppl.objectives.particles import ParticleEstimator, with_values

BOUNDS = [name for name in ESTIMATORS if name != "scalor"]


def estimator_of(name: str, particles: int) -> ParticleEstimator:
    estimator = make_estimator(name, particles)
    assert isinstance(estimator, ParticleEstimator)
    return estimator


# ---------------------------------------------------------------- two binary latents, enumerated


class Switches(nn.Module):
    """Two Bernoulli latents in turn, each in plates of videos and cells, and a normal datum."""

    def __init__(self) -> None:
        super().__init__()
        self.prior = nn.Parameter(torch.tensor([-0.4, 0.7]))
        self.effect = nn.Parameter(torch.tensor([1.0, -0.6]))

    def forward(self, data: Tensor) -> None:
        videos, cells = plates(data)
        with videos, cells:
            first = pyro.sample("z_pres_disc_0", bernoulli(self.prior[0], data))
            second = pyro.sample("z_pres_prop_1", bernoulli(self.prior[1] * (1 + first), data))
        with videos:
            mean = self.effect[0] * first + self.effect[1] * second
            pyro.sample("x_0", dist.Normal(mean, 0.8), obs=data[:, None])


class SwitchesGuide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([0.3, -0.5, 0.9]))

    def forward(self, data: Tensor) -> None:
        videos, cells = plates(data)
        with videos, cells:
            first = pyro.sample("z_pres_disc_0", bernoulli(self.logits[0], data))
            logit = self.logits[1] + self.logits[2] * first
            pyro.sample("z_pres_prop_1", dist.Bernoulli(logits=logit))


def plates(data: Tensor) -> tuple[pyro.plate, pyro.plate]:
    return pyro.plate("videos", len(data), dim=-2), pyro.plate("cells", 1, dim=-1)


def bernoulli(logits: Tensor, data: Tensor) -> dist.Bernoulli:
    return dist.Bernoulli(logits=logits.expand(len(data), 1))


def enumerated(model: Switches, guide: SwitchesGuide, datum: float, particles: int) -> Any:
    """Exact log q and log w of every latent of one datum, each ``[4]``."""
    data = torch.full((4,), datum)
    pairs = torch.tensor(list(itertools.product((0.0, 1.0), repeat=2)))
    values = {"z_pres_disc_0": pairs[:, :1], "z_pres_prop_1": pairs[:, 1:]}
    traces = []
    for program in (model, guide):
        trace = poutine.trace(poutine.condition(program, data=values)).get_trace(data)
        trace.compute_log_prob()
        traces.append(log_density(trace))
    return traces[1], traces[0] - traces[1]


def exact_bound(
    model: Switches,
    guide: SwitchesGuide,
    datum: float,
    particles: int,
    bound: Callable[[Tensor], Tensor],
) -> Tensor:
    """The expectation of a bound over all 4^K draws, differentiable."""
    log_q, log_w = enumerated(model, guide, datum, particles)
    total = torch.zeros(())
    for draw in itertools.product(range(4), repeat=particles):
        chosen = list(draw)
        total = total + log_q[chosen].sum().exp() * bound(log_w[chosen][:, None]).squeeze()
    return total


def gradients(loss: Tensor, *programs: nn.Module) -> Tensor:
    parameters = [p for program in programs for p in program.parameters()]
    slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
    flat = [
        torch.zeros_like(p) if slope is None else slope
        for p, slope in zip(parameters, slopes, strict=True)
    ]
    return torch.cat([slope.flatten() for slope in flat])


def sampled_gradients(
    estimator: ParticleEstimator, model: nn.Module, guide: nn.Module, data: Tensor, passes: int
) -> tuple[Tensor, Tensor]:
    """Mean gradient of one datum over many copies and passes, and its standard error."""
    means = []
    for _ in range(passes):
        loss = estimator.differentiable_loss(model, guide, data) / len(data)
        means.append(-gradients(loss, model, guide))
    stacked = torch.stack(means).double()
    return stacked.mean(0), stacked.std(0) / math.sqrt(passes)


@pytest.mark.parametrize(
    ("name", "particles"),
    [
        ("elbo", 1),
        ("elbo", 3),
        ("elbo-analytic", 2),
        ("iwae", 1),
        ("iwae", 3),
        ("vimco", 2),
        ("vimco", 3),
    ],
)
def test_value_and_gradient_of_binary_latents_are_those_of_enumeration(
    name: str, particles: int
) -> None:
    torch.manual_seed(0)
    model, guide = Switches(), SwitchesGuide()
    estimator = estimator_of(name, particles)
    exact = exact_bound(model, guide, 0.6, particles, estimator.bound)
    data = torch.full((20_000,), 0.6)
    values = torch.tensor(
        [-estimator.loss(model, guide, data) / len(data) for _ in range(10)], dtype=torch.float64
    )
    assert abs(values.mean() - exact) < 4 * values.std() / math.sqrt(10) + 1e-6
    expected = gradients(exact, model, guide).double()
    mean, error = sampled_gradients(estimator, model, guide, data, 24)
    assert (error < 0.01).all()
    assert ((mean - expected).abs() < 5 * error + 1e-6).all(), (mean - expected) / error


def test_vimco_is_less_variable_than_plain_scores() -> None:
    torch.manual_seed(0)
    model, guide = Switches(), SwitchesGuide()
    data = torch.full((1,), 0.6)
    spreads = {}
    for name in ("iwae", "vimco"):
        estimator = estimator_of(name, 5)
        draws = []
        for _ in range(400):
            loss = estimator.differentiable_loss(model, guide, data)
            draws.append(gradients(loss, guide))
        spreads[name] = torch.stack(draws).var(0).sum().sqrt().item()
    assert spreads["vimco"] < spreads["iwae"] / 2, spreads


def test_iwae_rises_to_the_evidence_of_binary_latents() -> None:
    model, guide = Switches(), SwitchesGuide()
    log_q, log_w = enumerated(model, guide, 0.6, 1)
    evidence = torch.logsumexp(log_q + log_w, 0).item()
    iwae = estimator_of("iwae", 1)
    exact = [exact_bound(model, guide, 0.6, k, iwae.bound).item() for k in (1, 2, 3, 5)]
    assert exact == sorted(exact)
    assert exact[-1] < evidence
    assert exact[0] == pytest.approx(
        exact_bound(model, guide, 0.6, 1, estimator_of("elbo", 1).bound).item(), rel=1e-6
    )
    many = -estimator_of("iwae", 2000).loss(model, guide, torch.full((20,), 0.6)) / 20
    assert many == pytest.approx(evidence, abs=0.005)


# ---------------------------------------------------------------- a linear-Gaussian chain

NOISE = 0.6
PRIOR = 0.8


class Chain(nn.Module):
    """z1, z2 = a z1 + noise, x = z1 + z2 + noise."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.7))

    def forward(self, data: Tensor) -> None:
        zero = data.new_zeros(len(data), 1)
        with pyro.plate("videos", len(data), dim=-2):
            first = pyro.sample("z_where_disc_0", dist.Normal(zero, 1.0))
            second = pyro.sample("z_where_prop_1", dist.Normal(self.a * first, PRIOR))
            pyro.sample("x_0", dist.Normal(first + second, NOISE), obs=data[:, None])


class ChainGuide(nn.Module):
    """One weight serves both steps, as a recurrent guide's do."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.35))
        self.back = nn.Parameter(torch.tensor(-0.2))
        self.log_scale = nn.Parameter(torch.tensor(-0.5))

    def forward(self, data: Tensor) -> None:
        datum, scale = data[:, None], self.log_scale.exp()
        with pyro.plate("videos", len(data), dim=-2):
            first = pyro.sample("z_where_disc_0", dist.Normal(self.weight * datum, scale))
            loc = self.weight * datum + self.back * first
            pyro.sample("z_where_prop_1", dist.Normal(loc, scale))


def chain_evidence(model: Chain, datum: float) -> float:
    a = model.a.item()
    variance = (1 + a) ** 2 + PRIOR**2 + NOISE**2
    return dist.Normal(0.0, math.sqrt(variance)).log_prob(torch.tensor(datum)).item()


def chain_elbo(model: Chain, guide: ChainGuide, datum: float) -> Tensor:
    """The ELBO in closed form, differentiable."""
    w, b, s = guide.weight, guide.back, guide.log_scale.exp()
    m1 = w * datum
    m2 = w * datum + b * m1
    # z1 = m1 + s e1, z2 = m2 + b s e1 + s e2
    square_first = m1**2 + s**2
    gap = m2 - model.a * m1
    square_gap = gap**2 + s**2 * ((b - model.a) ** 2 + 1)
    rest = datum - m1 - m2
    square_rest = rest**2 + s**2 * ((1 + b) ** 2 + 1)
    entropy = 2 * (torch.log(s) + 0.5 * math.log(2 * math.pi * math.e))

    def expected(square: Tensor, scale: float) -> Tensor:
        return -0.5 * square / scale**2 - math.log(scale) - 0.5 * math.log(2 * math.pi)

    return (
        expected(square_first, 1.0)
        + expected(square_gap, PRIOR)
        + expected(square_rest, NOISE)
        + entropy
    )


@pytest.mark.parametrize("name", ["elbo", "elbo-analytic", "stl"])
@pytest.mark.parametrize("particles", [1, 4])
def test_value_and_gradient_of_the_chain_are_the_closed_form(name: str, particles: int) -> None:
    torch.manual_seed(1)
    model, guide = Chain(), ChainGuide()
    exact = chain_elbo(model, guide, 1.3)
    expected = gradients(exact, model, guide).double()
    estimator = estimator_of(name, particles)
    data = torch.full((10_000,), 1.3)
    mean, error = sampled_gradients(estimator, model, guide, data, 20)
    assert (error < 0.02).all()
    assert ((mean - expected).abs() < 5 * error + 1e-5).all(), (mean - expected) / error
    values = torch.tensor([-estimator.loss(model, guide, data) / len(data) for _ in range(10)])
    assert abs(values.mean() - exact) < 5 * values.std() / math.sqrt(10) + 1e-5


@pytest.mark.parametrize("particles", [1, 2, 8])
def test_dreg_has_the_gradient_of_iwae(particles: int) -> None:
    torch.manual_seed(2)
    model, guide = Chain(), ChainGuide()
    data = torch.full((20_000,), 1.3)
    results = [
        sampled_gradients(estimator_of(name, particles), model, guide, data, 24)
        for name in ("iwae", "dreg")
    ]
    (mean, error), (other, other_error) = results
    combined = (error**2 + other_error**2).sqrt()
    assert (combined < 0.03).all()
    assert ((mean - other).abs() < 5 * combined).all(), (mean - other) / combined
    if particles > 1:
        # Less noise for the guide's parameters (the model has one, in front): that is its point.
        assert (other_error[1:] < error[1:]).float().mean() > 0.6


def test_iwae_rises_to_the_evidence_of_the_chain() -> None:
    torch.manual_seed(3)
    model, guide = Chain(), ChainGuide()
    data = torch.full((4000,), 1.3)
    values = [
        -estimator_of("iwae", k).loss(model, guide, data) / len(data) for k in (1, 4, 16, 256)
    ]
    evidence = chain_evidence(model, 1.3)
    assert values == sorted(values)
    assert values[0] == pytest.approx(chain_elbo(model, guide, 1.3).item(), abs=0.05)
    assert values[-1] == pytest.approx(evidence, abs=0.02)
    assert values[-1] < evidence + 0.01


def exact_guide(model: Chain) -> Callable[[Tensor], None]:
    """The chain's posterior."""
    a = model.a.item()
    precision = torch.tensor(
        [[1 + a**2 / PRIOR**2, -a / PRIOR**2], [-a / PRIOR**2, PRIOR**-2]]
    ) + torch.full((2, 2), NOISE**-2)
    covariance = torch.linalg.inv(precision)
    mean = covariance.sum(1) * NOISE**-2
    slope = (covariance[0, 1] / covariance[0, 0]).item()
    rest = (covariance[1, 1] - covariance[0, 1] * slope).sqrt()

    def guide(data: Tensor) -> None:
        datum = data[:, None]
        with pyro.plate("videos", len(data), dim=-2):
            loc = mean[0] * datum
            first = pyro.sample("z_where_disc_0", dist.Normal(loc, covariance[0, 0].sqrt()))
            loc = mean[1] * datum + slope * (first - mean[0] * datum)
            pyro.sample("z_where_prop_1", dist.Normal(loc, rest))

    return guide


@pytest.mark.parametrize("name", ["elbo", "iwae", "stl", "dreg"])
def test_every_bound_is_the_evidence_at_the_exact_posterior(name: str) -> None:
    model = Chain()
    value = -estimator_of(name, 3).loss(model, exact_guide(model), torch.tensor([1.3]))
    assert value == pytest.approx(chain_evidence(model, 1.3), abs=1e-4)


class Matched(nn.Module):
    """A guide that can be exact for the model z ~ N(0, 1), x ~ N(z, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.tensor(0.5))
        self.log_scale = nn.Parameter(torch.tensor(-0.5 * math.log(2.0)))

    def forward(self, data: Tensor) -> None:
        with pyro.plate("videos", len(data), dim=-2):
            normal = dist.Normal(self.loc * data[:, None], self.log_scale.exp())
            pyro.sample("z_bg_0", normal)


def simple(data: Tensor) -> None:
    with pyro.plate("videos", len(data), dim=-2):
        z = pyro.sample("z_bg_0", dist.Normal(torch.zeros(len(data), 1), 1.0))
        pyro.sample("x_0", dist.Normal(z, 1.0), obs=data[:, None])


def test_paths_have_no_noise_where_the_guide_is_exact() -> None:
    guide, data = Matched(), torch.tensor([0.9])
    for name, quiet in (("stl", True), ("dreg", True), ("elbo", False)):
        slopes = torch.stack(
            [
                gradients(estimator_of(name, 1).differentiable_loss(simple, guide, data), guide)
                for _ in range(20)
            ]
        )
        assert (slopes.abs().max() < 1e-5) == quiet, name
    # What was held fixed for a moment learns again.
    assert all(parameter.requires_grad for parameter in guide.parameters())


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("name", BOUNDS)
def test_one_weight_a_video_whatever_the_company(build: Build, name: str) -> None:
    """The bound of a batch is the sum of its videos', permuted, regrouped or alone."""
    pair = build(presence="hard" if name == "vimco" else "relaxed", background="vae")
    video = pair.video(4, 3)
    particles = 3
    estimator = estimator_of(name, particles)
    traces = estimator.estimate(pair.model, pair.guide, video).traces
    assert traces is not None
    drawn = traces.guide

    def bounds(order: list[int]) -> Tensor:
        rows = torch.tensor([[k * 4 + b for b in order] for k in range(particles)]).flatten()
        chosen, _ = with_values(drawn, lambda value: value[rows])
        guide = poutine.replay(pair.guide, trace=chosen)
        with torch.no_grad():
            if name == "elbo-analytic":
                weights = estimator.log_weights(pair.model, guide, (video[order],), {}).value
            else:
                weights = log_weights(estimator, pair, guide, video[order])
            return estimator.bound(weights)

    whole = bounds([0, 1, 2, 3])
    torch.testing.assert_close(bounds([2, 0, 3, 1]), whole[[2, 0, 3, 1]], rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(
        torch.cat([bounds([0, 3]), bounds([1]), bounds([2])]),
        whole[[0, 3, 1, 2]],
        rtol=1e-4,
        atol=1e-2,
    )


def log_weights(estimator: ParticleEstimator, pair: Pair, guide: Any, video: Tensor) -> Tensor:
    return ParticleEstimator.log_weights(estimator, pair.model, guide, (video,), {}).value


def test_vectorised_particles_are_looped_particles(build: Build) -> None:
    """The weights of K particles at once are those of one at a time, with the same latents."""
    for kind in ("relaxed", "hard"):
        pair = build(presence=kind, background="vae")
        video, particles = pair.video(2, 3), 4
        many = estimator_of("iwae", particles)
        with torch.no_grad():
            weights, _, traces = many.log_weights(pair.model, pair.guide, (video,), {})
            drawn = traces.guide
            one = estimator_of("iwae", 1)
            for k in range(particles):
                rows = slice(2 * k, 2 * k + 2)
                chosen, _ = with_values(drawn, operator.itemgetter(rows))
                guide = poutine.replay(pair.guide, trace=chosen)
                alone = one.log_weights(pair.model, guide, (video,), {}).value
                torch.testing.assert_close(alone[0], weights[k], rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("kind", ["relaxed", "hard"])
def test_more_particles_give_a_higher_bound_of_the_program(build: Build, kind: str) -> None:
    pair = build(presence=kind, sigma=0.6)
    video = pair.video(1, 2).expand(60, -1, -1, -1, -1)
    torch.manual_seed(0)
    values = [
        -estimator_of(name, k).loss(pair.model, pair.guide, video) / 60
        for name, k in (("elbo", 5), ("iwae", 5), ("iwae", 50))
    ]
    assert values == sorted(values)


def test_sites_without_a_weight_are_refused() -> None:
    def no_plate(data: Tensor) -> None:
        pyro.sample("z_bg_0", dist.Normal(0.0, 1.0))
        with pyro.plate("videos", len(data), dim=-2):
            pyro.sample("x_0", dist.Normal(torch.zeros(len(data), 1), 1.0), obs=data[:, None])

    def unplated_guide(data: Tensor) -> None:
        pyro.sample("z_bg_0", dist.Normal(0.0, 1.0))

    with pytest.raises(UserError, match="z_bg_0 is not in the plate 'videos'"):
        estimator_of("iwae", 2).loss(no_plate, unplated_guide, torch.zeros(3))
    for name in ("iwae", "vimco"):
        with pytest.raises(UserError, match="is scaled: a weight needs"):
            estimator_of(name, 2).loss(
                poutine.scale(simple, 0.5), poutine.scale(Matched(), 0.5), torch.zeros(3)
            )


@pytest.mark.parametrize("name", ["elbo", "elbo-analytic", "scalor"])
def test_scaled_terms_are_scaled_alike(build: Build, name: str) -> None:
    pair = build(background="vae")
    video, losses = pair.video(2, 2), []
    for scale in (1.0, 0.1):
        torch.manual_seed(0)
        programs = (poutine.scale(pair.model, scale), poutine.scale(pair.guide, scale))
        losses.append(estimator_of(name, 1).loss(*programs, video))
    assert losses[1] == pytest.approx(losses[0] / 10, rel=1e-4)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_loss_is_the_differentiable_loss(build: Build, name: str) -> None:
    pair = build(presence="hard" if name == "vimco" else "relaxed", background="vae")
    video = pair.video(2, 2)
    for frames in (2, 4):  # frames beyond the video change nothing
        torch.manual_seed(0)
        alone = estimator_of(name, 2).loss(pair.model, pair.guide, video, frames=frames)
        torch.manual_seed(0)
        loss = estimator_of(name, 2).differentiable_loss(
            pair.model, pair.guide, video, frames=frames
        )
        assert loss.item() == pytest.approx(alone, rel=1e-5)


def test_what_cannot_be_held_fixed_is_refused() -> None:
    guide = ChainGuide()
    with pytest.raises(UserError, match="give a torch module"):
        estimator_of("dreg", 2).differentiable_loss(
            Chain(), lambda data: guide(data), torch.zeros(3)
        )


def test_paths_of_the_program_have_the_gradient_of_its_bound(build: Build) -> None:
    """On the whole program, where guide and model share what they compute (``once``)."""
    pair = build(background="vae")
    video = pair.video(1, 2).expand(80, -1, -1, -1, -1)
    for plain, paths, particles in (("elbo", "stl", 1), ("iwae", "dreg", 2)):
        results = [
            sampled_gradients(estimator_of(name, particles), pair.model, pair.guide, video, 12)
            for name in (plain, paths)
        ]
        (mean, _), (other, _) = results
        cosine = torch.nn.functional.cosine_similarity(mean, other, dim=0)
        assert cosine > 0.98, (plain, cosine)
        assert other.norm().item() == pytest.approx(mean.norm().item(), rel=0.1)


@pytest.mark.parametrize("name", BOUNDS)
def test_every_bound_trains_the_program(build: Build, name: str) -> None:
    kinds = ESTIMATORS[name].latents
    for kind in sorted(kinds - {"continuous"}):  # the presence of this program
        pair = build(presence=kind, background="vae")
        estimator = make_estimator(name, 3, kind)
        loss = estimator(pair.model, pair.guide)(pair.video(2, 3))
        loss.backward()
        assert math.isfinite(loss.item())
        for module in (pair.model, pair.guide):
            learning = [p.grad for p in module.parameters() if p.grad is not None]
            assert len(learning) > 0.9 * len(list(module.parameters()))
            assert all(torch.isfinite(slope).all() for slope in learning)


# ---------------------------------------------------------------- the program by quadrature


def test_the_evidence_of_a_scene_of_one_cell_by_quadrature(build: Build) -> None:
    """One frame, one cell, hard presence: log p(x) by Gauss-Hermite over where and what."""
    pair = build(
        seed=2, presence="hard", grid=(1, 1), capacity=1, height=8, width=8, channels=1, what=1,
        glimpse=(4, 4), sigma=0.6, discovery_rate=0.4, object_width=(2.0, 6.0),
        object_height=(2.0, 6.0),
    )  # fmt: skip
    model = pair.model
    torch.manual_seed(4)
    with torch.no_grad():
        trace = poutine.trace(model).get_trace(videos=1, frames=1)
        image = trace.nodes["x_0"]["value"].squeeze(1)  # [1, 1, 8, 8]
        nodes, weights = np.polynomial.hermite_e.hermegauss(9)
        grid = torch.tensor(list(itertools.product(nodes, repeat=5)), dtype=torch.float32)
        mass = (
            torch.tensor(
                [math.prod(each) for each in itertools.product(weights, repeat=5)],
                dtype=torch.float64,
            )
            / (2 * math.pi) ** 2.5
        )
        count = len(grid)
        data = {
            "z_pres_disc_0": torch.ones(count, 1),
            "z_where_disc_0": grid[:, None, :4],
            "z_what_disc_0": grid[:, None, 4:],
            "z_depth_disc_0": torch.zeros(count, 1),
        }
        scene = poutine.condition(model, data=data)(image[:, None].expand(count, 1, 1, 8, 8))
        present = PixelNormal(scene.image[:, 0], 0.6, 3).log_prob(image).double()
        absent = PixelNormal(torch.zeros(1, 1, 8, 8), 0.6, 3).log_prob(image).double()
        evidence = torch.logaddexp(
            torch.logsumexp(present + mass.log(), 0) + math.log(0.4), absent[0] + math.log(0.6)
        ).item()

    from test_estimators import broad_guide

    broad_guide(pair)
    video = image[:, None]
    torch.manual_seed(5)
    bounds = {
        k: -estimator_of("iwae", k).loss(
            model, pair.guide, video.expand(max(4, 4000 // k), -1, -1, -1, -1)
        )
        / max(4, 4000 // k)
        for k in (1, 20, 4000)
    }
    assert bounds[1] < bounds[20] < evidence + 0.05
    assert bounds[4000] == pytest.approx(evidence, abs=0.06), (bounds, evidence)
