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


def encode(path: Path, frames: Iterable[np.ndarray], rate: float = RATE) -> int:
    """Encode frames without loss (FFV1), one at a time.

    Args:
        path: the file; its suffix, one of `SUFFIXES`, tells the container.
        frames: uint8 ``[H, W, C]``, all of one size, C = 1 (grey) or 3 (RGB).
        rate: frames a second, above 0.

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
                stream.pix_fmt = "gray" if grey else "bgr0"
            pixels = np.ascontiguousarray(frame[..., 0] if grey else frame)
            picture = av.VideoFrame.from_ndarray(pixels, format="gray" if grey else "rgb24")
            container.mux(stream.encode(picture))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    return count
