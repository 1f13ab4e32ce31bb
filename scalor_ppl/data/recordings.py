"""Clips of real recordings: video files, folders of images, MOTChallenge sequences."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scalor_ppl.data.frames import Sequence, find_sequences, read_frames, resized, split_tiles
from scalor_ppl.data.motchallenge import Boxes, read_boxes, share_in_view
from scalor_ppl.data.records import (
    DEFAULT_OPTIONS,
    Clip,
    Size,
    SourceOptions,
    Split,
    Truth,
    check_clip,
    check_split,
    generator,
)
from scalor_ppl.errors import UserError

MEMORY_LIMIT = 4 * 2**30
"""Bytes of decoded video that a source keeps in memory at most."""

_CROPS = 2**16  # distinct random crops for each first frame


@dataclass(frozen=True)
class _Strip:
    """One run of frames, each [H, W, C] uint8, that clips are cut from, and its boxes."""

    name: str
    frames: list[np.ndarray]
    boxes: Boxes | None


class RecordingSource:
    """Clips of a recording, which is decoded once and kept in memory.

    The index of a clip is its first frame; where there are several sequences (subfolders, tiles),
    indices run on from one to the next. With `crop`, in the train split, index i + k * starts is
    the k-th random crop of clip i.

    Args:
        path: see `frames.find_sequences`.
        split: crops are random in train; test has whole frames.
        seed: for the crops.
        options: how to read it.

    Raises:
        UserError: it cannot be read, is too large for memory, or smaller than the crop.
    """

    def __init__(
        self,
        path: Path,
        *,
        split: Split = "train",
        seed: int = 0,
        options: SourceOptions = DEFAULT_OPTIONS,
    ) -> None:
        check_split(split)
        self.path = path
        self.name = path.name
        self.split: Split = split
        self.seed = seed
        self.options = options
        self._strips = _read(path, options)
        shapes = {strip.frames[0].shape: strip.name for strip in self._strips}
        if len(shapes) > 1:
            first, second = list(shapes.values())[:2]
            raise UserError(f"{path}: {first} and {second} differ in frame size: give a resize")
        self.height, self.width, self.channels = next(iter(shapes))
        self._whole: Size = (self.height, self.width)
        self._crop = options.crop if split == "train" else None
        if self._crop is not None:
            if self._crop[0] > self.height or self._crop[1] > self.width:
                raise UserError(
                    f"crop={self._crop} is larger than the frames of {self.name}, "
                    f"{self.height} high and {self.width} wide"
                )
            self.height, self.width = self._crop
        generator(self.name, split, seed)

    def __len__(self) -> int:
        """How many clips of one frame there are."""
        return self.starts(1)

    def starts(self, frames: int) -> int:
        """How many clips of `frames` frames there are; each crop counts."""
        return self._first_frames(frames) * (1 if self._crop is None else _CROPS)

    def _first_frames(self, frames: int) -> int:
        return sum(max(0, len(strip.frames) - frames + 1) for strip in self._strips)

    def clip(self, index: int, frames: int) -> Clip:
        """The clip of an index: see the class.

        Returns:
            Video [T, H, W, C]; truth (without masks) where the sequence has boxes. `visible` is the
            share of the box in the view.
        """
        check_clip(self.name, index, frames, self.starts)
        first = index % self._first_frames(frames)
        for strip in self._strips:
            here = max(0, len(strip.frames) - frames + 1)
            if first < here:
                break
            first -= here
        top, left = 0, 0
        if self._crop is not None:
            rng = generator(self.name, self.split, self.seed, index)
            top, left = (
                int(rng.integers(whole - part, endpoint=True))
                for whole, part in zip(self._whole, self._crop, strict=True)
            )
        span = slice(first, first + frames)
        window = (slice(top, top + self.height), slice(left, left + self.width))
        video = np.stack([frame[window] for frame in strip.frames[span]])
        truth = None
        if strip.boxes is not None:
            truth = _truth(strip.boxes, span, top, left, self.height, self.width)
        return Clip(video, truth, f"{strip.name}/{first}")


def load_video(path: str | Path, *, options: SourceOptions = DEFAULT_OPTIONS) -> Clip:
    """A whole recording as one clip, for tracking. `crop` does not apply.

    Args:
        path: a video file, a folder of images, or a MOTChallenge sequence folder.
        options: how to read it.

    Raises:
        UserError: it cannot be read, is too large for memory, or is several sequences.
    """
    source = RecordingSource(Path(path), split="test", options=options)
    lengths = [len(strip.frames) for strip in source._strips]
    if len(lengths) > 1:
        raise UserError(f"{path} holds {len(lengths)} sequences: give the path of one, no tiles")
    return replace(source.clip(0, lengths[0]), name=source.name)


def iterate_frames(
    path: str | Path, *, options: SourceOptions = DEFAULT_OPTIONS
) -> Iterator[np.ndarray]:
    """The frames of a recording one by one, for videos that do not fit in memory.

    Args:
        path: as in `load_video`.
        options: how to read it; `crop` and `tiles` do not apply.

    Yields:
        [H, W, C] uint8.

    Raises:
        UserError: as `load_video`, when the frame in question is reached.
    """
    sequences = find_sequences(Path(path))
    if len(sequences) > 1:
        raise UserError(f"{path} holds {len(sequences)} sequences: give the path of one")
    for frame in read_frames(sequences[0], options):
        yield frame if options.resize is None else resized(frame, options.resize)


def _read(path: Path, options: SourceOptions) -> list[_Strip]:
    """Decode all that the options choose."""
    strips = []
    used = 0
    for sequence in find_sequences(path):
        tiles = options.tiles or (1, 1)
        kept: list[list[np.ndarray]] = [[] for _ in range(tiles[0] * tiles[1])]
        for frame in read_frames(sequence, options):
            whole = frame.shape[:2]
            for n, tile in enumerate(split_tiles(frame, tiles)):
                # A copy where nothing was resized: a view would keep the decoder's buffer alive.
                small = tile.copy() if options.resize is None else resized(tile, options.resize)
                kept[n].append(small)
                used += small.nbytes
            if used > MEMORY_LIMIT:
                raise UserError(
                    f"{path} takes more than {MEMORY_LIMIT / 2**30:.3g} GiB when decoded: "
                    "give a resize, a larger stride, or a stop"
                )
        boxes = _boxes(sequence, options, len(kept[0]))
        for n, frames in enumerate(kept):
            name = sequence.name if len(kept) == 1 else f"{sequence.name}/tile {n}"
            own = None if boxes is None else _placed(boxes, whole, tiles, n, frames[0].shape[:2])
            strips.append(_Strip(name, frames, own))
    return strips


def _boxes(sequence: Sequence, options: SourceOptions, frames: int) -> Boxes | None:
    """The boxes of the frames that were read, in pixels of the file."""
    if sequence.boxes is None:
        return None
    stop = options.start + frames * options.stride
    return read_boxes(sequence.boxes, range(options.start, stop, options.stride))


def _placed(
    boxes: Boxes, whole: tuple[int, ...], tiles: Size, tile: int, size: tuple[int, ...]
) -> Boxes:
    """Boxes in pixels of a tile (of a frame `whole`) that was resized to `size`."""
    height, width = whole[0] // tiles[0], whole[1] // tiles[1]
    row, column = divmod(tile, tiles[1])
    moved = boxes.boxes - np.array([column * width, row * height, 0, 0])
    factor = np.array([size[1] / width, size[0] / height])
    return Boxes(boxes.ids, moved * np.tile(factor, 2))


def _truth(boxes: Boxes, span: slice, top: int, left: int, height: int, width: int) -> Truth:
    """The truth of some frames of a recording, of the objects that occur in them."""
    here = boxes.boxes[span] - np.array([left, top, 0, 0])
    occurs = np.isfinite(here[..., 0]).any(axis=0)
    here = here[:, occurs]
    return Truth(
        ids=boxes.ids[occurs],
        boxes=here.astype(np.float32),
        visible=share_in_view(here, height, width),
        masks=None,
        object_size=boxes.object_size,
    )
