"""What the readers of videos and of images share: what they hand over, and the way to 8 bits."""

from typing import NamedTuple

import numpy as np

from scalor_ppl.data.records import SourceOptions


class Found(NamedTuple):
    """A frame as it comes out of a file.

    Attributes:
        number: of the frame in the recording, from 0, before any stride.
        place: names it in messages.
        pixels: [H, W, C] uint8, C = 1 (grey) or 3 (RGB), upright.
    """

    number: int
    place: str
    pixels: np.ndarray


def taken(options: SourceOptions, number: int) -> bool:
    """Whether start and stride choose the frame of a number; `stop` ends the reading instead."""
    return number >= options.start and (number - options.start) % options.stride == 0


def white(values: np.ndarray) -> float:
    """The value that is to become white in a recording of which `values` are a sample.

    Cameras of 10, 12 or 14 bits write their values into 16 bits as they are. So the depth is that
    of the brightest value, and at least 8 bits: 2 ** depth - 1. Fractions up to 1 have 1.

    Args:
        values: of any shape and any kind of number, in 16 bits or more.
    """
    finite = values[np.isfinite(values)]
    brightest = float(finite.max()) if finite.size else 0.0
    if values.dtype.kind == "f" and brightest <= 1:
        return 1.0
    depth = max(8, int(np.ceil(max(brightest, 0.0))).bit_length())
    return float(2**depth - 1)


def narrowed(values: np.ndarray, top: float) -> np.ndarray:
    """The values as uint8, same shape: 0 and below to 0, `top` and beyond to 255, rounded.

    Args:
        values: any kind of number, in 16 bits or more; NaN becomes 0.
        top: from `white`.
    """
    if values.dtype.kind == "u" and values.itemsize == 2:
        table = np.rint(np.arange(2**16) * (255 / top)).clip(0, 255).astype(np.uint8)
        return table[values]
    return np.rint(np.nan_to_num(values * (255 / top)).clip(0, 255)).astype(np.uint8)


def stretched(frame: np.ndarray, levels: tuple[int, int]) -> np.ndarray:
    """The uint8 frame, same shape, with brightness low to high of `levels` spread over 0 to 255."""
    low, high = levels
    table = np.rint((np.arange(256) - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
    return table[frame]
