"""Clips side by side, each with a title."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scalor_ppl.results.pixels import as_rgb

_BAR = 22  # height of the titles
_GAP = 6
_PAPER, _INK = (24, 26, 30), (225, 228, 232)  # dark: clips look alike in light and dark pages


def beside(panels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Clips of one size and length, from left to right, with titles above.

    Args:
        panels: title -> uint8 [T, H, W, 1 or 3].

    Returns:
        uint8 [T, H', W', 3].
    """
    clips = [as_rgb(panel) for panel in panels.values()]
    length, height, width, _ = clips[0].shape
    across = len(clips) * (width + _GAP) - _GAP
    page = np.empty((length, _BAR + height, across, 3), np.uint8)
    page[:] = _PAPER
    bar = Image.new("RGB", (across, _BAR), _PAPER)
    pen = ImageDraw.Draw(bar)
    for n, (title, clip) in enumerate(zip(panels, clips, strict=True)):
        left = n * (width + _GAP)
        page[:, _BAR:, left : left + width] = clip
        pen.text(
            (left + 3, _BAR // 2), title, fill=_INK, font=ImageFont.load_default(14), anchor="lm"
        )
    page[:, :_BAR] = np.asarray(bar)
    return page
