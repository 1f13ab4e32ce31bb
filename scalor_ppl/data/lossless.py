"""Video files that keep every pixel as it is."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

from scalor_ppl.results.rates import frame_rate

RATE = 10.0
"""Frames a second of what has no rate of its own."""

SUFFIXES = (".mkv", ".mp4", ".avi")
"""Ends of the names of video files that can be written."""


def encode(path: Path, frames: Iterable[np.ndarray], rate: float = RATE, bits: int = 8) -> int:
    """Encode frames without loss (FFV1), one at a time.

    Args:
        path: the file; its suffix, one of `SUFFIXES`, tells the container.
        frames: ``[H, W, C]``, all of one size, C = 1 (grey) or 3 (RGB); uint8, or uint16 where
            there are more bits.
        rate: frames a second, above 0.
        bits: of a value: 8, 10, 12, 14 or 16.

    Returns:
        How many frames there were.
    """
    count = 0
    with av.open(str(path), "w") as container:
        stream = None
        for frame in frames:
            grey = frame.shape[2] == 1
            if stream is None:
                stream = container.add_stream("ffv1", rate=frame_rate(rate))
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = _stored(bits, grey=grey)
            pixels = np.ascontiguousarray(frame[..., 0] if grey else frame)
            picture = av.VideoFrame.from_ndarray(pixels, format=_given(bits, grey=grey))
            container.mux(stream.encode(picture))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    return count


def _stored(bits: int, *, grey: bool) -> str:
    """The pixel format in which FFV1 keeps values of so many bits."""
    if bits == 8:
        return "gray" if grey else "bgr0"
    return f"gray{bits}le" if grey else f"gbrp{bits}le"


def _given(bits: int, *, grey: bool) -> str:
    """The pixel format of the frames that are encoded."""
    if bits == 8:
        return "gray" if grey else "rgb24"
    return f"gray{bits}le" if grey else f"gbrp{bits}le"
