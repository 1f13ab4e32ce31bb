"""Distributions of presence (in logit space) and of pixels, and divergences between them."""

import math
from typing import Any, ClassVar, Literal

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints, register_kl
from torch.nn.functional import softplus

PresenceKind = Literal["relaxed", "hard"]


class ModalDistribution(TorchDistribution):
    """A distribution that tells what stands for it where nothing is sampled."""

    @property
    def mode(self) -> Tensor:
        """A value of the sample's shape."""
        raise NotImplementedError


class LogitRelaxedBernoulli(ModalDistribution):
    r"""The logit of a relaxed Bernoulli variable (Concrete distribution, Maddison et al. 2017).

    With :math:`L` logistic, a sample is :math:`y = (\mathrm{logits} + L) / \lambda` and
    :math:`\sigma(y)` is relaxed Bernoulli. Sampling the logit keeps the density exact where the
    squashed variable would round to 0 or 1. Its log-density is
    :math:`\log\lambda - d - 2\,\mathrm{softplus}(-d)` with :math:`d = \lambda y - \mathrm{logits}`.

    Args:
        temperature: :math:`\lambda > 0`, a float or a tensor that broadcasts with ``logits``.
        logits: log-odds of presence, any shape (the batch shape).
    """

    arg_constraints: ClassVar = {"logits": constraints.real}
    support = constraints.real
    has_rsample = True

    def __init__(
        self, temperature: float | Tensor, logits: Tensor, validate_args: bool | None = None
    ) -> None:
        if isinstance(temperature, Tensor):
            logits = logits.expand(torch.broadcast_shapes(temperature.shape, logits.shape))
        self.temperature = temperature
        self.logits = logits
        super().__init__(logits.shape, torch.Size(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "LogitRelaxedBernoulli":
        """The same distribution over a larger batch shape."""
        if torch.Size(batch_shape) == self.batch_shape:
            return self
        large = LogitRelaxedBernoulli(self.temperature, self.logits.expand(batch_shape), False)
        large._validate_args = self._validate_args
        return large

    @property
    def mode(self) -> Tensor:
        """The most likely logit: its sign is that of the log-odds."""
        return self.logits / self.temperature

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A reparameterised sample of the logit, shape ``sample_shape + batch_shape``."""
        shape = self._extended_shape(torch.Size(sample_shape))
        # The logit of a uniform variable is logistic; eps keeps it finite in float32.
        uniform = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        return (self.logits + torch.logit(uniform, eps=1e-6)) / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of the logit ``value``."""
        if self._validate_args:
            self._validate_sample(value)
        difference = value * self.temperature - self.logits
        log_temperature: float | Tensor = (
            self.temperature.log()
            if isinstance(self.temperature, Tensor)
            else math.log(self.temperature)
        )
        return log_temperature - difference - 2 * softplus(-difference)


@register_kl(LogitRelaxedBernoulli, LogitRelaxedBernoulli)
def _kl_relaxed(p: LogitRelaxedBernoulli, q: LogitRelaxedBernoulli) -> Tensor:
    r"""KL of two relaxed Bernoullis of equal temperature: :math:`d\coth(d/2) - 2`.

    The affine map from logistic noise to the logit has the same slope on both sides, so this is
    the divergence of two shifted logistic distributions. Near zero the series
    :math:`d^2/6 - d^4/360` avoids the cancellation.
    """
    # One temperature for both need not be looked at: in a graph it has no value.
    if p.temperature is not q.temperature:
        warm = torch.as_tensor(p.temperature)
        if not torch.equal(warm, torch.as_tensor(q.temperature).to(warm)):
            raise NotImplementedError(
                "no closed form for relaxed Bernoullis of unequal temperature"
            )
    d = p.logits - q.logits
    small = d.abs() < 0.1
    safe = torch.where(small, torch.ones_like(d), d)
    return torch.where(small, d**2 / 6 - d**4 / 360, safe / torch.tanh(safe / 2) - 2)


def bernoulli_kl(p_logits: Tensor, q_logits: Tensor) -> Tensor:
    """KL of Bernoulli(p) from Bernoulli(q), both given by their logits.

    This is the presence term of the paper's own objective. With relaxed samples it is *not* the
    divergence of the distributions that were sampled from, and its sum no bound on log p(x).
    """
    return torch.sigmoid(p_logits) * (p_logits - q_logits) + softplus(q_logits) - softplus(p_logits)


class Presence:
    """What z_pres is: relaxed (a logit that is squashed) or hard (zero or one).

    One instance is shared by model, priors and guide, so that all of them change together.

    Attributes:
        kind: ``"relaxed"`` or ``"hard"``.
        temperature: temperature of the relaxation, annealed during training.
    """

    def __init__(self, kind: PresenceKind = "relaxed", temperature: float = 1.0) -> None:
        self.kind: PresenceKind = kind
        self.temperature = temperature

    def distribution(self, logits: Tensor) -> TorchDistribution:
        """The distribution of a presence site with these log-odds (batch shape = their shape)."""
        if self.kind == "hard":
            return dist.Bernoulli(logits=logits)
        return LogitRelaxedBernoulli(self.temperature, logits)

    def mode(self, logits: Tensor) -> Tensor:
        """The value of a presence site on the more likely side of 1/2."""
        if self.kind == "hard":
            # Not Bernoulli.mode, which is NaN at an even chance.
            return (logits > 0).to(logits)
        return logits / self.temperature

    def weight(self, value: Tensor) -> Tensor:
        """z_pres in [0, 1] from the value of a presence site."""
        return value if self.kind == "hard" else torch.sigmoid(value)

    def value(self, weight: Tensor) -> Tensor:
        """The site's value for a wanted z_pres: what to pass to ``poutine.do`` or ``condition``."""
        return weight if self.kind == "hard" else torch.logit(weight, eps=1e-6)


class PixelNormal(TorchDistribution):
    """Independent Normal pixels with one standard deviation (the likelihood, paper appendix E).

    The same as ``Normal(loc, sigma).to_event(event_dim)`` in a third of the passes over memory,
    which is what the likelihood of a video costs.

    Args:
        loc: mean, ``batch_shape + event_shape``.
        sigma: standard deviation of every pixel, > 0.
        event_dim: how many of the last dims are the pixels of one datum.
    """

    arg_constraints: ClassVar = {"loc": constraints.real}
    has_rsample = True

    def __init__(
        self, loc: Tensor, sigma: float, event_dim: int, validate_args: bool | None = None
    ) -> None:
        self.loc = loc
        self.sigma = sigma
        split = loc.dim() - event_dim
        super().__init__(loc.shape[:split], loc.shape[split:], validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """Real-valued pixels."""
        return constraints.independent(constraints.real, self.event_dim)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "PixelNormal":
        """The same distribution over a larger batch shape."""
        if torch.Size(batch_shape) == self.batch_shape:
            return self
        loc = self.loc.expand(torch.Size(batch_shape) + self.event_shape)
        large = PixelNormal(loc, self.sigma, self.event_dim, False)
        large._validate_args = self._validate_args
        return large

    @property
    def mean(self) -> Tensor:
        """The expected pixels."""
        return self.loc

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Pixels with noise."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self.sigma * noise

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density, summed over the pixels of each datum."""
        if self._validate_args:
            self._validate_sample(value)
        return self.of_squares((value - self.loc).square().flatten(-self.event_dim).sum(-1))

    def of_squares(self, squares: Tensor) -> Tensor:
        """Log-density of data whose pixels are so far from the mean, squared and summed up."""
        per_pixel = math.log(self.sigma) + 0.5 * math.log(2 * math.pi)
        return squares * (-0.5 / self.sigma**2) - self.event_shape.numel() * per_pixel


class Gaussian(dist.Normal):
    """Pyro's Normal, made and drawn with fewer operations; a plate of its own shape leaves it be.

    Args:
        loc, scale: mean and standard deviation. One may broadcast against the other.
    """

    loc: Tensor
    scale: Tensor

    def __init__(
        self, loc: Tensor | float, scale: Tensor | float, validate_args: bool | None = None
    ) -> None:
        checks = self._validate_args if validate_args is None else validate_args
        tensors = isinstance(loc, Tensor) and isinstance(scale, Tensor)
        if tensors and not checks and loc.shape == scale.shape:  # type: ignore[union-attr]
            self.loc, self.scale = loc, scale  # type: ignore[assignment]
            TorchDistribution.__init__(self, self.loc.shape, validate_args=False)
        else:
            super().__init__(loc, scale, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Gaussian":
        """The same distribution over a larger batch shape."""
        shape = torch.Size(batch_shape)
        if shape == self.batch_shape:
            return self
        large = Gaussian(self.loc.expand(shape), self.scale.expand(shape), False)
        large._validate_args = self._validate_args
        return large

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A reparameterised sample, of the same random numbers as torch's."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return torch.addcmul(self.loc, noise, self.scale)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A sample without gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each coordinate."""
        if self._validate_args:
            self._validate_sample(value)
        off = (value - self.loc) / self.scale
        return -0.5 * math.log(2 * math.pi) - torch.addcmul(self.scale.log(), off, off, value=0.5)


class Coordinates(dist.Independent):
    """Pyro's Independent, which a plate of its own shape leaves be."""

    def expand(self, batch_shape: Any, _instance: Any = None) -> dist.Independent:
        """The same distribution over a larger batch shape."""
        if torch.Size(batch_shape) == self.batch_shape:
            return self
        large: dist.Independent = super().expand(batch_shape, _instance)
        return large


def diagonal_normal(loc: Tensor, scale: Tensor) -> TorchDistribution:
    """Normal with independent coordinates along the last dim."""
    return Coordinates(Gaussian(loc, scale), 1)


def presence_weight(fn: TorchDistribution, value: Tensor) -> Tensor:
    """z_pres in [0, 1] from a presence site's distribution and value."""
    relaxed = isinstance(getattr(fn, "base_dist", fn), LogitRelaxedBernoulli)
    return torch.sigmoid(value) if relaxed else value
