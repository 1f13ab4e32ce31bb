"""Small operations on uint8 pictures that drawing, sheets and videos share."""

import numpy as np


def as_rgb(pictures: np.ndarray) -> np.ndarray:
    """Grey or colour pictures as colour.

    Args:
        pictures: uint8 [..., H, W, C] with C 1 or 3.

    Returns:
        uint8 [..., H, W, 3], a view where nothing had to be done.

    Raises:
        ValueError: another type or number of channels.
    """
    if pictures.dtype != np.uint8:
        raise ValueError(f"pictures are uint8, not {pictures.dtype}")
    if pictures.ndim < 3 or pictures.shape[-1] not in (1, 3):
        raise ValueError(f"pictures are [..., H, W, 1 or 3], not {pictures.shape}")
    if pictures.shape[-1] == 3:
        return pictures
    return np.repeat(pictures, 3, axis=-1)


def enlarge(pictures: np.ndarray, scale: int) -> np.ndarray:
    """Each pixel as a square of `scale` x `scale` pixels (nearest neighbour, nothing blurred).

    Args:
        pictures: [..., H, W, C].
        scale: whole factor, at least 1.

    Returns:
        [..., H * scale, W * scale, C].

    Raises:
        ValueError: `scale` below 1.
    """
    if scale < 1:
        raise ValueError(f"scale is at least 1, not {scale}")
    if scale == 1:
        return pictures
    return pictures.repeat(scale, axis=-3).repeat(scale, axis=-2)
