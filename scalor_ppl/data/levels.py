"""The way of brightness to 8 bits: which values become black and white, and how.

Cameras of 10, 12 or 14 bits write their values into 16 bits as they are, so what is white is not
known from the file. It is found from a sample of the frames, in a way that a few odd pixels do not
change, and then belongs to the run: all that it reads later is seen at the same brightness.
"""

from collections.abc import Iterable

import numpy as np

Levels = tuple[float, float]
"""The values that become black and white."""

_ENOUGH = 8  # sampled frames from which a value must be seen in two of them
_BITS = 8  # fewest between black and white


def find_levels(frames: Iterable[np.ndarray]) -> Levels | None:
    """Black and white for a recording of which `frames` are a sample; None if none is deep.

    A value counts if two neighbouring pixels of a frame have it or a more extreme one, and, of 8
    sampled frames or more, if that is so in two of them: neither a hot pixel nor a cosmic ray
    changes the scale of all others. White is then 2 ** depth - 1 for the depth of the brightest
    value, at least 8 bits; for fractions up to 1 it is 1. Black is 0, but below the darkest value
    where that is negative, and where it lies above the middle (a camera's offset; an image whose
    white is zero) so far below white as the values need.

    Args:
        frames: [H, W, C] of any kind of number; those of uint8 do not count.
    """
    dark: list[float] = []
    bright: list[float] = []
    fractions = True
    for frame in frames:
        if frame.dtype == np.uint8:
            continue
        fractions &= frame.dtype.kind == "f"
        low, high = extremes(frame)
        if low <= high:  # not a frame of nothing but NaN
            dark.append(low)
            bright.append(high)
    if not bright:
        return None
    rank = 1 if len(bright) >= _ENOUGH else 0
    low, high = sorted(dark)[rank], sorted(bright)[-1 - rank]
    if fractions and low >= -1 and high <= 1:
        return (-1.0 if low < 0 else 0.0), 1.0
    white = float(2 ** max(_BITS, _depth(high)) - 1)
    if low < 0:
        return -float(2 ** _depth(-low)), white
    if low > white / 2:
        return white - float(2 ** max(_BITS, _depth(white - low)) - 1), white
    return 0.0, white


def extremes(frame: np.ndarray) -> Levels:
    """The darkest and the brightest value that two neighbouring pixels share or exceed.

    Args:
        frame: [H, W, C]; what is not finite does not count.

    Returns:
        Infinity and minus infinity where nothing is finite.
    """
    up = down = frame
    if frame.dtype.kind == "f":
        finite = np.isfinite(frame)
        up, down = np.where(finite, frame, -np.inf), np.where(finite, frame, np.inf)
    if max(frame.shape[:2]) == 1:
        return float(down.min()), float(up.max())
    low, high = np.inf, -np.inf
    for axis in (0, 1):
        if frame.shape[axis] > 1:
            ones, others = np.swapaxes(down, 0, axis)[:-1], np.swapaxes(down, 0, axis)[1:]
            low = min(low, float(np.maximum(ones, others).min()))
            ones, others = np.swapaxes(up, 0, axis)[:-1], np.swapaxes(up, 0, axis)[1:]
            high = max(high, float(np.minimum(ones, others).max()))
    return low, high


def _depth(value: float) -> int:
    """How many bits the whole number at or above a value needs."""
    return int(np.ceil(max(value, 0.0))).bit_length()


def narrowed(values: np.ndarray, levels: Levels) -> np.ndarray:
    """The values as uint8, same shape: black and below to 0, white and above to 255, rounded.

    Args:
        values: any kind of number, in more than 8 bits; NaN becomes 0.
        levels: of `find_levels`.
    """
    black, white = levels
    scale = 255 / (white - black)
    if values.dtype.kind == "u" and values.itemsize == 2:
        table = np.rint((np.arange(2**16) - black) * scale).clip(0, 255).astype(np.uint8)
        return table[values]
    scaled = (values.astype(np.float64) - black) * scale
    return np.rint(np.nan_to_num(scaled, posinf=255).clip(0, 255)).astype(np.uint8)


def stretched(frame: np.ndarray, levels: tuple[int, int]) -> np.ndarray:
    """The uint8 frame, same shape, with brightness low to high of `levels` spread over 0 to 255."""
    low, high = levels
    table = np.rint((np.arange(256) - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
    return table[frame]


def in_channels(frame: np.ndarray, channels: int | None) -> np.ndarray:
    """A frame [H, W, 1 or 3] as grey or colours, [H, W, channels]; None keeps what it has.

    Grey is 0.299 red + 0.587 green + 0.114 blue, as in television, rounded for whole numbers.
    """
    if channels in (None, frame.shape[2]):
        return frame
    if channels == 3:
        return np.repeat(frame, 3, axis=2)
    if frame.dtype.kind == "f":
        return np.asarray(frame @ np.array([0.299, 0.587, 0.114], frame.dtype))[..., None]
    # In whole numbers, as Pillow does it.
    grey = frame.astype(np.int64) @ np.array([19595, 38470, 7471])
    return ((grey + 2**15) >> 16).astype(frame.dtype)[..., None]
