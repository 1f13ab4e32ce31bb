"""Round Gaussian spots as a camera sees them: integrated over pixels.

Positions are (x, y) in pixels of the view, where pixel column j spans j to j + 1.
"""

import numpy as np
from scipy.special import ndtr


def integrals(places: np.ndarray, widths: np.ndarray, pixels: int) -> np.ndarray:
    """The share of a Gaussian that falls into each pixel of a row.

    Args:
        places: [N] means, in pixels.
        widths: [N] standard deviations, in pixels.
        pixels: P, length of the row.

    Returns:
        float64 [N, P].
    """
    edges = (np.arange(pixels + 1) - places[:, None]) / widths[:, None]
    # The tail that is small is taken, so that no digit is lost far away.
    right = edges > 0
    below = ndtr(np.where(right, -edges, edges))
    both = np.diff(np.where(right, -below, below), axis=1)
    return both + np.diff(right.astype(np.float64), axis=1)


def light(
    centres: np.ndarray, widths: np.ndarray, peaks: np.ndarray, height: int, width: int
) -> np.ndarray:
    """The sum of spots, integrated over pixels.

    Args:
        centres: [N, 2] x, y in pixels; spots without a finite one are not there.
        widths: [N] standard deviations, in pixels.
        peaks: [N] heights of the spots before they are integrated, in grey levels.
        height: rows.
        width: columns.

    Returns:
        float64 [height, width], in grey levels.
    """
    there = np.isfinite(centres[:, 0])
    centres, widths, peaks = centres[there], widths[there], peaks[there]
    columns = integrals(centres[:, 0], widths, width)
    rows = integrals(centres[:, 1], widths, height)
    whole = peaks * 2 * np.pi * np.square(widths)
    return (rows * whole[:, None]).T @ columns


def share_in_view(centres: np.ndarray, widths: np.ndarray, height: int, width: int) -> np.ndarray:
    """[...] share of the light of each spot that falls into the view; 0 where it is not there.

    Args:
        centres: [..., 2] x, y in pixels, NaN where a spot is not there.
        widths: [...] standard deviations, in pixels.
        height: of the view, in pixels.
        width: of the view, in pixels.
    """
    x, y = centres[..., 0] / widths, centres[..., 1] / widths
    across = ndtr(width / widths - x) - ndtr(-x)
    down = ndtr(height / widths - y) - ndtr(-y)
    return np.nan_to_num(across * down, nan=0.0)


def sensed(
    expected: np.ndarray, read_noise: float, gain: float, rng: np.random.Generator
) -> np.ndarray:
    """What a camera makes of light: photons are counted, noise is added, 8 bits are kept.

    Args:
        expected: grey levels, at least 0.
        read_noise: standard deviation of the Gaussian noise, in grey levels.
        gain: grey levels a photon; 0 for no Poisson noise.
        rng: of the noise.

    Returns:
        uint8, of the same shape.
    """
    counted = gain * rng.poisson(expected / gain) if gain else expected
    noisy = counted + rng.normal(0, read_noise, expected.shape)
    return np.rint(noisy).clip(0, 255).astype(np.uint8)
