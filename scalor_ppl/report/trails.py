"""The way that objects came: lines behind their boxes."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from scalor_ppl.report.lives import Life
from scalor_ppl.results.drawing import id_colour

LENGTH = 8  # frames


def draw_trails(frames: np.ndarray, lives: Sequence[Life], scale: int) -> np.ndarray:
    """Draw, behind each present object, its centre's way through the last ``LENGTH`` frames.

    Args:
        frames: uint8 [T, s H, s W, 3], enlarged.
        lives: objects, in pixels of the frames before they were enlarged.
        scale: s.

    Returns:
        uint8, as ``frames``.
    """
    pictures = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    pens = [ImageDraw.Draw(picture) for picture in pictures]
    thick = max(1, scale // 3)
    for life in lives:
        way = [tuple(point) for point in (scale * life.centres).tolist()]
        for n, t in enumerate(life.frames.tolist()):
            if t >= len(pens):
                break
            since = np.searchsorted(life.frames, t - LENGTH)
            if n > since:
                pens[t].line(way[since : n + 1], id_colour(life.identity), thick, joint="curve")
    return np.stack([np.asarray(picture) for picture in pictures])
