"""Which object is seen at each pixel."""

import numpy as np

from scalor_ppl.data.records import Size
from scalor_ppl.tracking.stream import Tracked
from scalor_ppl.tracks.table import EMPTY

COVERED = 0.5
"""An object is seen where its presence times its mask is above this."""


def id_maps(tracked: Tracked, threshold: float) -> np.ndarray:
    """The ids of the objects seen at the pixels of some frames.

    At a pixel that several objects cover, the one counts that has the largest weight in the
    rendering: presence x mask x sigmoid(-depth), so the nearer one.

    Args:
        tracked: T frames.
        threshold: least presence of an object, 0..1.

    Returns:
        int32 [T, h, w] in the size in which the frames were tracked; -1 where there is no object.
    """
    height, width = tracked.size
    maps = np.full((len(tracked.numbers), height, width), EMPTY, np.int32)
    presence = tracked.tracks.presence
    nearness = 1 / (1 + np.exp(np.clip(tracked.depth, -50, 50)))
    strongest = np.zeros((height, width), np.float32)
    before = -1
    for t, k in zip(*np.nonzero(tracked.tracks.present(threshold)), strict=True):
        if t != before:
            strongest[:] = 0
            before = t
        box = tracked.where[t, k]
        if not np.isfinite(box).all():
            continue
        rows, taps_y = _taps(box[1], box[3], height, tracked.masks.shape[2])
        columns, taps_x = _taps(box[0], box[2], width, tracked.masks.shape[3])
        cover = presence[t, k] * (taps_y @ tracked.masks[t, k] @ taps_x.T)
        weight = cover * nearness[t, k]
        wins = (cover > COVERED) & (weight > strongest[rows, columns])
        strongest[rows, columns][wins] = weight[wins]
        maps[t, rows, columns][wins] = tracked.tracks.ids[t, k]
    return maps


def _taps(centre: float, extent: float, pixels: int, count: int) -> tuple[slice, np.ndarray]:
    """Bilinear weights of a mask along one axis, as the renderer writes it.

    Args:
        centre: of the box in image coordinates, -1..1 in the view.
        extent: of the box, as a share of the image.
        pixels: of the image along the axis.
        count: of the mask.

    Returns:
        The image's pixels inside the box, n of them, and the weights of the mask's in each
        ``[n, count]``. Outside the box no mask reaches ``COVERED``.
    """
    begin = max(0, int(np.floor((centre - extent + 1) / 2 * pixels)))
    end = min(pixels, int(np.ceil((centre + extent + 1) / 2 * pixels)))
    pixel = np.arange(begin, max(begin, end), dtype=np.float32)
    within = ((pixel + 0.5) * 2 / pixels - 1 - centre) / extent
    position = ((within + 1) * count - 1) / 2
    weights = 1 - np.abs(position[:, None] - np.arange(count, dtype=np.float32))
    return slice(begin, max(begin, end)), np.maximum(weights, 0).astype(np.float32)


def resampled(maps: np.ndarray, size: Size) -> np.ndarray:
    """Id maps ``[..., h, w]`` in another size, by the nearest pixel."""
    rows, columns = (
        (np.arange(new) * 2 + 1) * old // (2 * new)
        for new, old in zip(size, maps.shape[-2:], strict=True)
    )
    return maps[..., rows[:, None], columns]
