"""Distributions of presence and pixels against quadrature, torch's own, and Monte Carlo."""

from __future__ import annotations

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor
from torch.distributions import RelaxedBernoulli, kl_divergence
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli as TorchLogit

from scalor_ppl.nn.distributions import (
    Gaussian,
    LogitRelaxedBernoulli,
    PixelNormal,
    Presence,
    PresenceKind,
    bernoulli_kl,
    diagonal_normal,
    presence_weight,
)

KINDS: tuple[PresenceKind, ...] = ("relaxed", "hard")


def logistic_log_density(value: float, temperature: float, logits: float) -> float:
    """log of lambda e^-d / (1 + e^-d)^2 with d = lambda y - logits, in double precision."""
    d = temperature * value - logits
    return float(math.log(temperature) - np.logaddexp(0, -d) - np.logaddexp(0, d))


# ---------------------------------------------------------------- LogitRelaxedBernoulli: density


@pytest.mark.parametrize("temperature", [0.2, 0.5, 1.0, 2.5])
@pytest.mark.parametrize("logits", [-8.0, 0.0, 1.3, 27.0])
def test_density_integrates_to_one(temperature: float, logits: float) -> None:
    mode = logits / temperature
    grid = torch.linspace(mode - 45 / temperature, mode + 45 / temperature, 20001).double()
    fn = LogitRelaxedBernoulli(temperature, torch.tensor(logits, dtype=torch.float64))
    total = torch.trapezoid(fn.log_prob(grid).exp(), grid)
    assert total.item() == pytest.approx(1.0, abs=1e-8)


def test_density_is_the_change_of_variables_of_relaxed_bernoulli() -> None:
    temperature = torch.tensor([0.3, 0.7, 1.0, 2.0], dtype=torch.float64)[:, None, None]
    logits = torch.tensor([-3.0, -0.4, 0.0, 2.0], dtype=torch.float64)[:, None]
    y = torch.linspace(-6, 6, 101, dtype=torch.float64)
    squashed = torch.sigmoid(y)
    theirs = RelaxedBernoulli(temperature, logits=logits).log_prob(squashed)
    theirs = theirs + torch.log(squashed) + torch.log1p(-squashed)
    for i in range(4):
        ours = LogitRelaxedBernoulli(temperature[i].item(), logits).log_prob(y)
        torch.testing.assert_close(ours, theirs[i], rtol=1e-9, atol=1e-9)
        torch_logit = TorchLogit(temperature[i], logits=logits).log_prob(y)
        torch.testing.assert_close(ours, torch_logit, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("logits", [-30.0, -9.0, 9.0, 30.0])
@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_density_where_the_squashed_variable_saturates(logits: float, temperature: float) -> None:
    fn = LogitRelaxedBernoulli(temperature, torch.tensor(logits))
    for y in (-400.0, -60.0, -9.0, 0.0, 9.0, 30.0, 100.0, 400.0):
        expected = logistic_log_density(y, temperature, logits)
        assert fn.log_prob(torch.tensor(y)).item() == pytest.approx(expected, rel=2e-6, abs=1e-5)


def test_density_of_the_field_notes() -> None:
    # Logit +9, temperature 0.3, at the most likely value: RelaxedBernoulli clamps and is wrong.
    y = torch.tensor(30.0)
    ours = (
        LogitRelaxedBernoulli(0.3, torch.tensor(9.0)).log_prob(y)
        - torch.nn.functional.logsigmoid(y)
        - torch.nn.functional.logsigmoid(-y)
    )
    exact = logistic_log_density(30.0, 0.3, 9.0) + np.logaddexp(0, 30) + np.logaddexp(0, -30)
    assert ours.item() == pytest.approx(exact, rel=1e-6)


def test_gradient_of_the_density() -> None:
    logits = torch.tensor([-20.0, -1.0, 0.3, 20.0], dtype=torch.float64, requires_grad=True)
    value = torch.tensor([-3.0, 0.5, 4.0, 90.0], dtype=torch.float64, requires_grad=True)
    temperature = torch.tensor([0.3, 0.5, 1.0, 2.0], dtype=torch.float64, requires_grad=True)

    def density(temperature: Tensor, logits: Tensor, value: Tensor) -> Tensor:
        return LogitRelaxedBernoulli(temperature, logits).log_prob(value)

    assert torch.autograd.gradcheck(density, (temperature, logits, value))


# ---------------------------------------------------------------- LogitRelaxedBernoulli: samples


@pytest.mark.parametrize(("temperature", "logits"), [(0.3, 1.5), (1.0, -2.0), (2.0, 0.0)])
def test_samples_have_the_moments_and_quantiles_of_the_logistic(
    temperature: float, logits: float
) -> None:
    count = 200_000
    y = LogitRelaxedBernoulli(temperature, torch.tensor(logits)).rsample((count,)).double()
    deviation = math.pi / math.sqrt(3) / temperature
    assert abs(y.mean().item() - logits / temperature) < 4 * deviation / math.sqrt(count)
    # The logistic's kurtosis is 4.2: the variance of the sample variance is (4.2 - 1) / n.
    assert abs(y.var().item() / deviation**2 - 1) < 4 * math.sqrt(3.2 / count)
    for share in (0.01, 0.25, 0.5, 0.9, 0.999):
        bound = (logits + math.log(share / (1 - share))) / temperature
        error = math.sqrt(share * (1 - share) / count)
        assert abs((y < bound).double().mean().item() - share) < 4 * error
    # Which side of 1/2 the squashed variable lies on is Bernoulli, whatever the temperature.
    rate = 1 / (1 + math.exp(-logits))
    found = (torch.sigmoid(y) > 0.5).double().mean().item()
    assert abs(found - rate) < 4 * math.sqrt(rate * (1 - rate) / count)


def test_samples_are_finite_and_have_a_finite_density() -> None:
    logits = torch.tensor([-27.6, -8.8, 0.0, 8.8, 27.6])
    fn = LogitRelaxedBernoulli(0.1, logits)
    y = fn.rsample((100_000,))
    assert torch.isfinite(y).all()
    assert torch.isfinite(fn.log_prob(y)).all()


def test_gradient_of_samples_against_finite_differences() -> None:
    logits = torch.tensor([-4.0, 0.2, 7.0], dtype=torch.float64, requires_grad=True)
    temperature = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)

    def squashed(logits: Tensor, temperature: Tensor) -> Tensor:
        torch.manual_seed(3)
        return torch.sigmoid(LogitRelaxedBernoulli(temperature, logits).rsample((5,)))

    assert torch.autograd.gradcheck(squashed, (logits, temperature))


def test_pyro_takes_it_for_reparameterised() -> None:
    fn = LogitRelaxedBernoulli(0.5, torch.zeros(2, requires_grad=True))
    assert fn.has_rsample
    assert fn().requires_grad
    assert not fn.sample().requires_grad


# ---------------------------------------------------------------- shapes and expansion


@pytest.mark.parametrize("temperature", [0.5, torch.tensor(0.5)])
def test_expand(temperature: float | Tensor) -> None:
    fn = LogitRelaxedBernoulli(temperature, torch.tensor([[-1.0], [2.0]]))
    large = fn.expand((5, 2, 3))
    assert large.batch_shape == (5, 2, 3)
    assert large.event_shape == ()
    assert large.rsample().shape == (5, 2, 3)
    assert large.rsample((4,)).shape == (4, 5, 2, 3)
    value = torch.randn(5, 2, 3)
    torch.testing.assert_close(large.log_prob(value), fn.log_prob(value))
    # Values of an expanded dim are drawn independently.
    assert len(large.rsample().unique()) == 30


def test_a_temperature_that_broadcasts() -> None:
    temperature = torch.tensor([[0.3], [0.7], [1.5]])
    logits = torch.tensor([-1.0, 0.0, 2.0, 5.0])
    fn = LogitRelaxedBernoulli(temperature, logits)
    value = torch.randn(3, 4)
    theirs = TorchLogit(temperature, logits=logits)
    torch.testing.assert_close(fn.log_prob(value), theirs.log_prob(value), rtol=1e-5, atol=1e-5)
    assert fn.batch_shape == (3, 4)
    assert fn.rsample().shape == fn.batch_shape


@pytest.mark.parametrize("event", [0, 1])
def test_validation_survives_expansion(event: int) -> None:
    value = torch.full((3, 2), math.nan)
    fn: dist.TorchDistribution = LogitRelaxedBernoulli(0.5, torch.zeros(2))
    if event:
        fn = PixelNormal(torch.zeros(2), 0.5, event_dim=1)
    with pytest.raises(ValueError, match=r"within the support|support"):
        fn.log_prob(value)
    with pytest.raises(ValueError, match=r"within the support|support"):
        fn.expand((3, 2) if not event else (3,)).log_prob(value)


def test_mode_is_the_densest_value() -> None:
    logits = torch.tensor([-3.0, 0.0, 5.0])
    fn = LogitRelaxedBernoulli(0.4, logits)
    best = fn.log_prob(fn.mode)
    assert (best > fn.log_prob(fn.mode + 0.05)).all()
    assert (best > fn.log_prob(fn.mode - 0.05)).all()
    assert torch.equal(fn.mode > 0, logits > 0)


# ---------------------------------------------------------------- divergences


@pytest.mark.parametrize(
    ("p_logits", "q_logits"), [(0.0, 0.05), (1.0, -1.0), (-5.0, 2.0), (8.8, -9.2), (-27.0, 3.0)]
)
def test_relaxed_divergence_against_monte_carlo(p_logits: float, q_logits: float) -> None:
    p = LogitRelaxedBernoulli(0.6, torch.tensor(p_logits, dtype=torch.float64))
    q = LogitRelaxedBernoulli(0.6, torch.tensor(q_logits, dtype=torch.float64))
    y = p.rsample((200_000,))
    ratio = p.log_prob(y) - q.log_prob(y)
    error = ratio.std().item() / math.sqrt(len(ratio))
    assert abs(kl_divergence(p, q).item() - ratio.mean().item()) < 4 * error


def test_relaxed_divergence_against_quadrature() -> None:
    d = torch.tensor([-12.0, -1.0, -0.11, -0.09, 0.0, 0.01, 0.0999, 0.1001, 2.0, 30.0]).double()
    grid = torch.linspace(-90, 90, 200_001, dtype=torch.float64)
    p, q = LogitRelaxedBernoulli(1.0, d), LogitRelaxedBernoulli(1.0, torch.zeros_like(d))
    log_p, log_q = p.log_prob(grid[:, None]), q.log_prob(grid[:, None])
    exact = torch.trapezoid(log_p.exp() * (log_p - log_q), grid, dim=0)
    torch.testing.assert_close(kl_divergence(p, q), exact, rtol=1e-7, atol=1e-10)


def test_relaxed_divergence_does_not_depend_on_the_temperature() -> None:
    p, q = torch.randn(7), torch.randn(7)
    cold = kl_divergence(LogitRelaxedBernoulli(0.1, p), LogitRelaxedBernoulli(0.1, q))
    warm = kl_divergence(
        LogitRelaxedBernoulli(torch.tensor(2.0), p), LogitRelaxedBernoulli(torch.tensor(2.0), q)
    )
    torch.testing.assert_close(cold, warm)


def test_relaxed_divergence_of_unequal_temperatures_is_refused() -> None:
    p = LogitRelaxedBernoulli(0.5, torch.zeros(2))
    with pytest.raises(NotImplementedError, match="unequal temperature"):
        kl_divergence(p, LogitRelaxedBernoulli(0.6, torch.zeros(2)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_relaxed_divergence_near_zero(dtype: torch.dtype) -> None:
    d = torch.tensor([0.0, 1e-6, 1e-3, 0.05, 0.0999, 0.1001, 0.2, 1.0, 20.0, 36.0])
    d = torch.cat((-d, d)).to(dtype).requires_grad_()
    q = LogitRelaxedBernoulli(0.5, torch.zeros_like(d))
    kl = kl_divergence(LogitRelaxedBernoulli(0.5, d), q)
    # More terms of the series of d coth(d / 2) - 2 where it cancels, else the formula itself.
    x = d.detach().double()
    series = x**2 / 6 - x**4 / 360 + x**6 / 15120 - x**8 / 604800
    formula = x / torch.tanh(x / 2) - 2
    exact = torch.where(x.abs() < 0.5, series, formula.nan_to_num())
    exact_slope = torch.where(
        x.abs() < 0.5,
        x / 3 - x**3 / 90 + x**5 / 2520 - x**7 / 75600,
        (1 / torch.tanh(x / 2) - x / 2 / torch.sinh(x / 2) ** 2).nan_to_num(),
    )
    (slope,) = torch.autograd.grad(kl.sum(), d)
    loose = dtype == torch.float32
    torch.testing.assert_close(
        kl.double(), exact, rtol=1e-6 if loose else 1e-8, atol=1e-6 if loose else 1e-10
    )
    torch.testing.assert_close(slope.double(), exact_slope, rtol=1e-5, atol=2e-5 if loose else 1e-7)
    assert (kl >= 0).all()


def test_bernoulli_divergence_against_torch() -> None:
    p = torch.linspace(-12, 12, 25, dtype=torch.float64)[:, None]
    q = torch.linspace(-12, 12, 25, dtype=torch.float64)
    theirs = kl_divergence(dist.Bernoulli(logits=p + 0 * q), dist.Bernoulli(logits=q + 0 * p))
    torch.testing.assert_close(bernoulli_kl(p, q), theirs, rtol=1e-9, atol=1e-9)
    assert torch.isfinite(
        bernoulli_kl(torch.tensor([-30.0, 30.0]), torch.tensor([30.0, -30.0]))
    ).all()


def test_bernoulli_divergence_is_below_the_relaxed_one() -> None:
    # A deterministic function of the relaxed variable cannot diverge more (field notes 4).
    p, q = torch.randn(1000) * 4, torch.randn(1000) * 4
    relaxed = kl_divergence(LogitRelaxedBernoulli(1.0, p), LogitRelaxedBernoulli(1.0, q))
    assert (bernoulli_kl(p, q) <= relaxed + 1e-5).all()


# ---------------------------------------------------------------- Presence


@pytest.mark.parametrize("kind", KINDS)
def test_presence_values_and_weights(kind: PresenceKind) -> None:
    presence = Presence(kind, 0.5)
    weight = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(presence.weight(presence.value(weight)), weight, atol=1.1e-6, rtol=0)
    assert torch.isfinite(presence.value(weight)).all()
    fn = presence.distribution(torch.zeros(2))
    torch.testing.assert_close(
        presence_weight(fn, presence.value(weight)), weight, atol=1.1e-6, rtol=0
    )
    # A value made for poutine.do has a density.
    assert torch.isfinite(fn.log_prob(presence.value(weight))).all()


def test_relaxed_weights_between() -> None:
    presence = Presence("relaxed")
    weight = torch.linspace(0.001, 0.999, 50)
    torch.testing.assert_close(presence.weight(presence.value(weight)), weight)


@pytest.mark.parametrize("kind", KINDS)
def test_presence_distribution(kind: PresenceKind) -> None:
    presence = Presence(kind, 0.4)
    logits = torch.tensor([[-2.0, 0.5, 3.0]])
    fn = presence.distribution(logits)
    assert fn.batch_shape == (1, 3)
    assert fn.event_shape == ()
    weight = presence.weight(fn.sample((40_000,)))
    assert ((weight >= 0) & (weight <= 1)).all()
    rate = torch.sigmoid(logits)
    error = (rate * (1 - rate) / 40_000).sqrt()
    assert (((weight > 0.5).float().mean(0) - rate).abs() < 4 * error).all()
    if kind == "hard":
        assert ((weight == 0) | (weight == 1)).all()
    else:
        presence.temperature = 2.0
        assert presence.distribution(logits).temperature == 2.0


def test_presence_weight_of_wrapped_distributions() -> None:
    value = torch.tensor([0.0, 1.0])
    relaxed = LogitRelaxedBernoulli(0.5, torch.zeros(2))
    hard = dist.Bernoulli(logits=torch.zeros(2))
    mask = torch.tensor([True, False])
    for fn in (relaxed, relaxed.mask(mask), relaxed.to_event(1)):
        torch.testing.assert_close(presence_weight(fn, value), torch.sigmoid(value))
    for fn in (hard, hard.mask(mask), hard.to_event(1)):
        assert torch.equal(presence_weight(fn, value), value)


# ---------------------------------------------------------------- PixelNormal


@pytest.mark.parametrize("event_dim", [1, 2, 3])
@pytest.mark.parametrize("sigma", [0.1, 0.2, 3.0])
def test_pixel_normal_is_the_normal(event_dim: int, sigma: float) -> None:
    loc = torch.rand(2, 1, 3, 4, 5)
    ours = PixelNormal(loc, sigma, event_dim)
    theirs = dist.Normal(loc, sigma).to_event(event_dim)
    assert ours.batch_shape == theirs.batch_shape
    assert ours.event_shape == theirs.event_shape
    assert ours.event_dim == event_dim
    value = torch.rand(6, 2, 1, 3, 4, 5)
    torch.testing.assert_close(ours.log_prob(value), theirs.log_prob(value), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.manual_seed(5)
    mine = ours.rsample((7,))
    torch.manual_seed(5)
    torch.testing.assert_close(mine, theirs.rsample((7,)))


def test_pixel_normal_expands() -> None:
    loc = torch.rand(2, 1, 3, 4, 4)
    large = PixelNormal(loc, 0.2, 3).expand((5, 2, 6))
    theirs = dist.Normal(loc, 0.2).to_event(3).expand((5, 2, 6))
    assert large.batch_shape == theirs.batch_shape
    assert large.event_shape == theirs.event_shape
    assert large.rsample().shape == (5, 2, 6, 3, 4, 4)
    value = torch.rand(5, 2, 6, 3, 4, 4)
    torch.testing.assert_close(large.log_prob(value), theirs.log_prob(value), rtol=1e-5, atol=1e-4)


def test_pixel_normal_gradient() -> None:
    loc = torch.rand(2, 3, 4, dtype=torch.float64, requires_grad=True)
    value = torch.rand(2, 3, 4, dtype=torch.float64, requires_grad=True)

    def density(loc: Tensor, value: Tensor) -> Tensor:
        return PixelNormal(loc, 0.3, 2).log_prob(value)

    assert torch.autograd.gradcheck(density, (loc, value))


def test_pixel_normal_in_a_masked_plate() -> None:
    loc, value = torch.rand(3, 1, 2, 4), torch.rand(3, 1, 2, 4)
    mask = torch.tensor([[True], [False], [True]])

    def program() -> None:
        with pyro.plate("videos", 3, dim=-2), pyro.poutine.mask(mask=mask):
            pyro.sample("x", PixelNormal(loc, 0.5, 2), obs=value)

    trace = pyro.poutine.trace(program).get_trace()
    expected = (dist.Normal(loc, 0.5).to_event(2).log_prob(value) * mask).sum()
    torch.testing.assert_close(trace.log_prob_sum(), expected)


def test_diagonal_normal() -> None:
    loc, scale, value = torch.randn(3, 4), torch.rand(3, 4) + 0.1, torch.randn(3, 4)
    fn = diagonal_normal(loc, scale)
    assert fn.batch_shape == (3,)
    assert fn.event_shape == (4,)
    torch.testing.assert_close(
        fn.log_prob(value), torch.distributions.Normal(loc, scale).log_prob(value).sum(-1)
    )


def test_gaussian_is_torchs_normal_with_the_same_noise() -> None:
    loc = torch.randn(3, 4, requires_grad=True)
    scale = (torch.rand(3, 4) + 0.1).requires_grad_()
    ours, theirs = Gaussian(loc, scale), torch.distributions.Normal(loc, scale)
    slopes = []
    for fn in (ours, theirs):
        torch.manual_seed(3)
        drawn = fn.rsample()
        slopes.append(
            torch.autograd.grad(drawn.square().sum() + fn.log_prob(drawn + 1).sum(), scale)
        )
        torch.manual_seed(3)
        torch.testing.assert_close(fn.sample(), drawn.detach())
        slopes[-1] += (drawn.detach(), fn.log_prob(torch.ones(3, 4)).detach())
    for own, other in zip(*slopes, strict=True):
        torch.testing.assert_close(own, other)
    other = dist.Normal(torch.zeros(3, 4), 1.0)
    torch.testing.assert_close(kl_divergence(ours, other), kl_divergence(theirs, other))


def test_a_gaussian_broadcasts_and_expands() -> None:
    wide = Gaussian(torch.zeros(2, 3), torch.tensor(2.0))
    assert wide.batch_shape == wide.scale.shape == (2, 3)
    assert wide.expand((2, 3)) is wide
    assert wide.expand((4, 2, 3)).sample().shape == (4, 2, 3)
    vectors = diagonal_normal(torch.zeros(2, 3), torch.ones(2, 3))
    assert vectors.expand((2,)) is vectors
    assert vectors.expand((5, 2)).log_prob(torch.zeros(3)).shape == (5, 2)


def test_a_gaussian_checks_where_it_is_asked_to() -> None:
    with pytest.raises(ValueError, match="scale"):
        Gaussian(torch.zeros(2), -torch.ones(2), validate_args=True)
    with pytest.raises(ValueError, match="support"):
        Gaussian(torch.zeros(2), torch.ones(2), validate_args=True).log_prob(torch.tensor(math.nan))
