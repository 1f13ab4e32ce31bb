"""Features of a fixed random network, and how far two sets of them are apart."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

_WIDTHS = (16, 32, 64)
_SEED = 0  # of the weights: the same features for every run
_LARGEST = 96 * 128  # pixels of a picture, above which areas are averaged


def averaged(pictures: np.ndarray) -> Tensor:
    """Pictures ``[n, C, H, W]`` uint8 in [0, 1], large ones averaged over areas."""
    values = torch.from_numpy(pictures).float().div_(255)
    factor = int(np.ceil(np.sqrt(values.shape[-2] * values.shape[-1] / _LARGEST)))
    return F.avg_pool2d(values, factor) if factor > 1 else values


@torch.no_grad()
def random_features(pictures: np.ndarray) -> np.ndarray:
    """Means and deviations of the maps of three random convolutions, ``[n, D]`` float64.

    Args:
        pictures: ``[n, C, H, W]`` uint8.
    """
    generator = torch.Generator().manual_seed(_SEED)
    values = averaged(pictures)
    channels = values.shape[1]
    for width in _WIDTHS:
        weight = torch.empty(width, channels, 3, 3)
        nn.init.kaiming_normal_(weight, generator=generator)
        values = F.relu(F.conv2d(values, weight, stride=2, padding=1))
        channels = width
    maps = values.flatten(2)
    return torch.cat((maps.mean(-1), maps.std(-1)), 1).double().numpy()


def standardised(reference: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Features in deviations of the reference's; what never varies there is left out."""
    deviation = reference.std(0)
    varies = deviation > 1e-8
    return (features - reference.mean(0))[:, varies] / deviation[varies]


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy, kernel ``(x . y / D + 1)^3``.

    Binkowski et al., "Demystifying MMD GANs", ICLR 2018. About 0, and at times below, where both
    are of one distribution.

    Args:
        first: ``[n, D]``, n at least 2.
        second: ``[m, D]``, m at least 2.
    """

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(a: np.ndarray) -> float:
        values = kernel(a, a)
        return float((values.sum() - np.trace(values)) / (len(a) * (len(a) - 1)))

    return within(first) + within(second) - 2 * float(kernel(first, second).mean())


def density_and_coverage(
    real: np.ndarray, other: np.ndarray, neighbours: int = 5
) -> tuple[float, float]:
    """Density and coverage (Naeem et al., ICML 2020).

    Args:
        real: ``[n, D]``, n above `neighbours`.
        other: ``[m, D]``.
        neighbours: k, of the balls about the real ones.

    Returns:
        Density, the real balls that one of the others lies in over k, about 1 where both are of one
        distribution; and coverage, the share of the real balls that have one of the others in them.
    """
    first, second = torch.from_numpy(real), torch.from_numpy(other)
    # The nearest to each is itself.
    radius = torch.cdist(first, first).topk(neighbours + 1, largest=False).values[:, -1]
    inside = torch.cdist(first, second) <= radius[:, None]
    return float(inside.sum() / (neighbours * len(second))), float(inside.any(1).double().mean())


def nearer_to_training(crops: np.ndarray, training: np.ndarray, unseen: np.ndarray) -> float:
    """Share of crops ``[n, C, h, w]`` nearer to a training crop than to any held-out one.

    Both sets are cut to one size; .5 where nothing was memorised. Ties count as half.
    """
    least = min(len(training), len(unseen))

    def nearest(others: np.ndarray) -> torch.Tensor:
        kept = np.linspace(0, len(others) - 1, least).astype(int)
        one, other = (torch.from_numpy(each).float().flatten(1) for each in (crops, others[kept]))
        return torch.cdist(one, other).min(1).values

    seen, new = nearest(training), nearest(unseen)
    return float(((seen < new).double() + 0.5 * (seen == new).double()).mean())
