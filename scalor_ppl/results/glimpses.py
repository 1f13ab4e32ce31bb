"""Per-object renderings of a clip, tiled, one tile an object: the row "objects" of a sheet."""

import math

import numpy as np

from scalor_ppl.results.drawing import id_colour
from scalor_ppl.results.pixels import as_rgb
from scalor_ppl.tracks.table import EMPTY

_PAPER = 40  # grey of the tiles' ground: neither an object's black outline nor its white


def object_row(
    colour: np.ndarray,
    mask: np.ndarray,
    ids: np.ndarray,
    presence: np.ndarray | None = None,
    *,
    presence_threshold: float = 0.5,
    columns: int | None = None,
) -> np.ndarray:
    """Tile each frame's object glimpses, masked, framed in their ids' colours.

    An object keeps its tile for as long as it lives; a tile that is free is given to the next new
    object. There are as many tiles as objects live at once at most.

    Args:
        colour: [T, K, h, w, 1 or 3], uint8, or float in 0..1.
        mask: float [T, K, h, w] in 0..1.
        ids: int [T, K]; -1 is an empty slot.
        presence: float [T, K] in 0..1; all present by default.
        presence_threshold: least presence of an object to be shown.
        columns: tiles side by side; about a square by default.

    Returns:
        uint8 [T, H, W, 3]: a row for `contact_sheet`.

    Raises:
        ValueError: shapes that disagree.
    """
    if colour.ndim != 5 or mask.shape != colour.shape[:4] or ids.shape != colour.shape[:2]:
        raise ValueError(
            "colour [T, K, h, w, C], mask [T, K, h, w] and ids [T, K], "
            f"not {colour.shape}, {mask.shape}, {ids.shape}"
        )
    shown = ids != EMPTY
    if presence is not None:
        shown = shown & (presence >= presence_threshold)
    tiles = _tiles(ids, shown)
    number = max(1, int(tiles.max(initial=-1)) + 1)
    across = min(number, columns or math.ceil(math.sqrt(number)))
    down = math.ceil(number / across)

    length, _, height, width, _ = colour.shape
    # A tile is the glimpse, a frame of one pixel around it, and one pixel of paper to the next.
    high, wide = height + 3, width + 3
    row = np.full((length, down * high - 1, across * wide - 1, 3), _PAPER, dtype=np.uint8)
    solid = colour if colour.dtype == np.uint8 else _to_bytes(colour)
    solid = as_rgb(solid)
    for t, k in zip(*(axis.tolist() for axis in np.nonzero(shown)), strict=True):
        y, x = tiles[t, k] // across * high, tiles[t, k] % across * wide
        row[t, y : y + height + 2, x : x + width + 2] = id_colour(int(ids[t, k]))
        weight = np.clip(mask[t, k, :, :, None].astype(np.float32), 0, 1)
        glimpse = weight * solid[t, k] + (1 - weight) * _PAPER
        row[t, y + 1 : y + 1 + height, x + 1 : x + 1 + width] = np.rint(glimpse).astype(np.uint8)
    return row


def _to_bytes(values: np.ndarray) -> np.ndarray:
    """Floats in 0..1 as uint8, clipped; NaN, which a broken run may hold, becomes 0."""
    return np.rint(255 * np.clip(np.nan_to_num(values), 0, 1)).astype(np.uint8)


def _tiles(ids: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """The tile of every shown object, int [T, K]; -1 elsewhere."""
    tiles = np.full(ids.shape, -1, dtype=np.int64)
    held: dict[int, int] = {}
    for t in range(len(ids)):
        slots = np.nonzero(shown[t])[0].tolist()
        now = {int(ids[t, k]) for k in slots}
        held = {identity: tile for identity, tile in held.items() if identity in now}
        free = (tile for tile in range(len(slots) + len(held)) if tile not in set(held.values()))
        for k in slots:
            identity = int(ids[t, k])
            if identity not in held:
                held[identity] = next(free)
            tiles[t, k] = held[identity]
    return tiles
