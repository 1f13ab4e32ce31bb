"""How well the frames are explained."""

import numpy as np


def mean_squared_error(video: np.ndarray, reconstruction: np.ndarray) -> float:
    """Mean squared error over all values, in units where full brightness is 1.

    Args:
        video: [..., H, W, C], uint8 in 0..255 or float in 0..1.
        reconstruction: the same shape, uint8 or float likewise, whatever the other's type.

    Returns:
        The error, 0..1; 0.001 is a root error of 8 in 255.

    Raises:
        ValueError: shapes that differ, nothing to compare, or integers that are not uint8.
    """
    if video.shape != reconstruction.shape:
        raise ValueError(f"video {video.shape} and reconstruction {reconstruction.shape} differ")
    if not video.size:
        raise ValueError("there is nothing to compare")
    return float(np.mean(np.square(_unit(video) - _unit(reconstruction)), dtype=np.float64))


def _unit(values: np.ndarray) -> np.ndarray:
    """Values as float32 or wider, with full brightness 1."""
    if values.dtype == np.uint8:
        return values.astype(np.float32) / 255
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"pictures are uint8 or float, not {values.dtype}")
    return values.astype(np.promote_types(values.dtype, np.float32), copy=False)
