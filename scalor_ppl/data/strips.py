"""Whole recordings in memory, as long as they fit."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data.budget import available_memory, check_budget, too_large
from scalor_ppl.data.frames import (
    Sequence,
    deep_levels_of,
    find_sequences,
    look_at,
    read_frames,
    resized,
    split_tiles,
)
from scalor_ppl.data.levels import Levels
from scalor_ppl.data.records import Size
from scalor_ppl.data.truth import read_truth
from scalor_ppl.tracks.box_table import BoxTable

MEMORY_LIMIT = 4 * 2**30
"""Bytes of decoded video that are kept at most; if less, half of the memory that is free."""


@dataclass(frozen=True)
class Strip:
    """One run of frames that clips are cut from.

    Attributes:
        name: names it in messages.
        frames: [T, H, W, C] uint8.
        boxes: in pixels of these frames, or None.
        object_size: mean side of the boxes, in pixels; NaN without.
    """

    name: str
    frames: np.ndarray
    boxes: BoxTable | None
    object_size: float


def read_strips(path: Path, options: SourceOptions) -> tuple[list[Strip], Levels | None]:
    """Decode all that the options choose: one strip of each tile of each sequence.

    Returns:
        The strips; and what became black and white in all of them, None where they have 8 bits.

    Raises:
        UserError: it cannot be read, or is too large for memory; the latter before it is decoded,
            where its length is known.
    """
    free = available_memory()
    limit = MEMORY_LIMIT if free is None else min(MEMORY_LIMIT, free // 2)
    sequences = find_sequences(path, options)
    infos = [look_at(sequence, options) for sequence in sequences]
    check_budget(path, infos, options, limit)
    levels = deep_levels_of(sequences, options)
    options = options.changed(deep_levels=levels)
    strips = []
    used = 0
    for sequence in sequences:
        tiles = options.tiles or (1, 1)
        kept: list[list[np.ndarray]] = [[] for _ in range(tiles[0] * tiles[1])]
        for frame in read_frames(sequence, options):
            whole = frame.shape[:2]
            for n, tile in enumerate(split_tiles(frame, tiles)):
                # A copy where nothing was resized: a view would keep the decoder's buffer alive.
                small = tile.copy() if options.resize is None else resized(tile, options.resize)
                kept[n].append(small)
                used += small.nbytes
            if used > limit:  # of unknown length, or longer than it says
                raise too_large(path, infos, options, used, limit)
        boxes = _boxes(sequence, options, len(kept[0]))
        for n, frames in enumerate(kept):
            name = sequence.name if len(kept) == 1 else f"{sequence.name}/tile {n}"
            video = _joined(frames)
            own = None if boxes is None else _placed(boxes, whole, tiles, n, video.shape[1:3])
            strips.append(Strip(name, video, own, float("nan") if own is None else own.object_size))
    return strips, levels


def _joined(frames: list[np.ndarray]) -> np.ndarray:
    """[T, H, W, C] of T frames, which are taken out of the list: both would not fit into memory."""
    video = np.empty((len(frames), *frames[0].shape), np.uint8)
    for t in reversed(range(len(frames))):
        video[t] = frames.pop()
    return video


def _boxes(sequence: Sequence, options: SourceOptions, frames: int) -> BoxTable | None:
    """The boxes of the frames that were read, in pixels of the file."""
    if sequence.boxes is None:
        return None
    stop = options.start + frames * options.stride
    chosen = range(options.start, stop, options.stride)
    to_the_end = options.stop is None
    return read_truth(sequence.boxes, sequence, chosen, options=options, to_the_end=to_the_end)


def _placed(
    boxes: BoxTable, whole: tuple[int, ...], tiles: Size, tile: int, size: tuple[int, ...]
) -> BoxTable:
    """Boxes in pixels of a tile (of a frame `whole`) that was resized to `size`."""
    height, width = whole[0] // tiles[0], whole[1] // tiles[1]
    row, column = divmod(tile, tiles[1])
    moved = boxes.boxes - np.array([column * width, row * height, 0, 0])
    factor = np.array([size[1] / width, size[0] / height])
    return replace(boxes, boxes=moved * np.tile(factor, 2))
