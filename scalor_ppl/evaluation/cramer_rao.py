"""How well the position of a Gaussian spot can be known: the Cramer-Rao bound.

The level of a pixel has the mean m = b + A * (integral of the spot over the pixel) and the variance
v = read_noise^2 + gain * m + 1/12 (the last is of rounding to whole levels). The Fisher information
of the parameters p (x, y, and what else is not known: the height A, the width, the background b) is

    I_jk = sum over pixels of (dm/dp_j) (dm/dp_k) / v

(Ober, Ram and Ward, Biophys. J. 86, 2004, for photons; v in place of m for noise of both kinds, as
Mortensen et al., Nat. Methods 7, 2010, for EMCCD and background). No unbiased estimate from one
frame has a variance below the diagonal of its inverse. What varies with v itself tells a little
too, which is left out: for Poisson noise it tells nothing.

For small pixels and constant v it is v / (A^2 pi / 2): a standard deviation of 0.8 sqrt(v) / A
pixels in each coordinate, whatever the width. Light of other spots is not taken into account: the
bound is that of a spot alone.
"""

from collections.abc import Collection
from typing import Literal

import numpy as np
from scipy.special import ndtr

Unknown = Literal["peak", "width", "background"]

_PARAMETERS = ("x", "y", "peak", "width", "background")
_ROUNDING = 1 / 12
_REACH = 5.0  # widths, beyond which a spot is dark
_BLOCK = 500  # spots at a time


def spot_gradients(
    centres: np.ndarray, widths: np.ndarray, peaks: np.ndarray, background: float
) -> tuple[np.ndarray, np.ndarray]:
    """Expected levels about spots, and their derivatives.

    Args:
        centres: [N, 2] x, y in pixels; pixel column j spans j to j + 1.
        widths: [N] standard deviations, in pixels.
        peaks: [N] heights before integration over pixels, in grey levels.
        background: grey level.

    Returns:
        [N, P] levels of the pixels of a square window about each; [N, P, 5] derivatives by x, y,
        peak, width and background.
    """
    half = int(np.ceil(_REACH * widths.max(initial=1.0)))
    corner = np.floor(centres) - half
    edges = corner[..., None] + np.arange(2 * half + 2) - centres[..., None]  # [N, 2, E]
    z = edges / widths[:, None, None]
    density = np.exp(-np.square(z) / 2) / np.sqrt(2 * np.pi)
    share = np.diff(ndtr(z), axis=-1)
    moved = -np.diff(density, axis=-1) / widths[:, None, None]
    wider = -np.diff(z * density, axis=-1) / widths[:, None, None]

    def outer(across: np.ndarray, down: np.ndarray) -> np.ndarray:
        return (down[:, :, None] * across[:, None, :]).reshape(len(across), -1)

    unit = (2 * np.pi * np.square(widths))[:, None]
    height = peaks[:, None]
    (x, y), (dx, dy), (wx, wy) = (np.moveaxis(part, 1, 0) for part in (share, moved, wider))
    spot = unit * outer(x, y)
    by_width = 2 * spot / widths[:, None] + unit * (outer(wx, y) + outer(x, wy))
    by = [
        height * unit * outer(dx, y),
        height * unit * outer(x, dy),
        spot,
        height * by_width,
        np.ones_like(spot),
    ]
    return background + height * spot, np.stack(by, axis=-1)


def position_bound(
    centres: np.ndarray,
    widths: np.ndarray,
    peaks: np.ndarray,
    *,
    background: float,
    read_noise: float,
    gain: float,
    unknown: Collection[Unknown] = ("peak", "width", "background"),
) -> np.ndarray:
    """The least standard deviation of an unbiased estimate of each spot's place.

    Args:
        centres: [N, 2] x, y in pixels; only their place within a pixel matters.
        widths: [N] standard deviations of the spots, in pixels.
        peaks: [N] heights before integration over pixels, in grey levels.
        background: grey level without spots.
        read_noise: standard deviation of the Gaussian noise, in grey levels.
        gain: grey levels a photon; 0 for no Poisson noise.
        unknown: what has to be estimated beside the place.

    Returns:
        float64 [N, 2], of x and y, in pixels.
    """
    kept = [n for n, name in enumerate(_PARAMETERS) if name in ("x", "y", *unknown)]
    found = np.empty((len(centres), 2))
    for begin in range(0, len(centres), _BLOCK):
        part = slice(begin, begin + _BLOCK)
        level, gradient = spot_gradients(centres[part], widths[part], peaks[part], background)
        weighted = gradient[..., kept]
        variance = read_noise**2 + gain * level + _ROUNDING
        information = np.einsum(
            "npj,npk->njk", weighted / variance[..., None], weighted, optimize=True
        )
        covariance = np.linalg.inv(information)
        found[part] = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)[:, :2])
    return found
