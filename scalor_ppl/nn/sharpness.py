"""How sharp pictures are: the energy of their edges.

A decoder that is trained on squared error paints the mean of what its codes leave open, and edges
that may lie here or there become smooth ones. It pays little for that in squared error, and a
small classifier needs nothing else to tell its frames from real ones.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

_WINDOW = 8  # pixels in height and width, over which energies are averaged
_LEAST = 1e-5  # of an energy, for the gradient of its root


def edges(image: Tensor) -> Tensor:
    """Pictures ``[F, C, H, W]`` less themselves smoothed by (1, 2, 1) / 4 in both directions."""
    taps = image.new_tensor((0.25, 0.5, 0.25))
    planes = F.pad(image, (1, 1, 1, 1), mode="replicate").flatten(0, 1)[:, None]
    return image - F.conv2d(planes, torch.outer(taps, taps)[None, None]).view(image.shape)


def edge_contrast(image: Tensor) -> Tensor:
    """Root of the energy of edges in windows that overlap by half, ``[F, 1, h, w]``."""
    window = min(_WINDOW, image.shape[-2], image.shape[-1])
    energy = edges(image).square().sum(1, keepdim=True)
    return (F.avg_pool2d(energy, window, max(1, window // 2)) + _LEAST).sqrt()


def contrast_error(image: Tensor, truth: Tensor) -> Tensor:
    """By how much edges of pictures are fainter or stronger than those of others, ``[F]``.

    In the unit of a sum of squared errors: squared differences of the contrast of windows, each as
    many times as it has pixels of its own.

    Args:
        image: ``[F, C, H, W]``.
        truth: likewise.
    """
    apart = (edge_contrast(image) - edge_contrast(truth)).square().flatten(1)
    return apart.mean(1) * (image.shape[-2] * image.shape[-1])
