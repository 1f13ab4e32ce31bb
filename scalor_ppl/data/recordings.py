"""Clips of real recordings: video files, folders of images, MOTChallenge sequences."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from scalor_ppl.config.reading import DEFAULT_OPTIONS, SourceOptions
from scalor_ppl.data.frames import find_sequence, read_frames, resized
from scalor_ppl.data.records import (
    Clip,
    Size,
    Split,
    Truth,
    check_clip,
    check_split,
    generator,
)
from scalor_ppl.data.strips import Strip, read_strips
from scalor_ppl.data.truth import share_in_view
from scalor_ppl.errors import UserError

_CROPS = 2**16  # distinct random crops for each first frame


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

    Attributes:
        whole: height and width of the frames in pixels, before any crop.
        deep_levels: what became black and white of pixels of more than 8 bits; None without such.
        overlapping: clips of neighbouring indices share frames.

    Raises:
        UserError: it cannot be read, is too large for memory (which is told before all of it is
            decoded, where its length is known), or smaller than the crop.
    """

    overlapping: ClassVar[bool] = True

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
        self._strips, self.deep_levels = read_strips(path, options)
        shapes = {strip.frames.shape[1:]: strip.name for strip in self._strips}
        if len(shapes) > 1:
            first, second = list(shapes.values())[:2]
            raise UserError(f"{path}: {first} and {second} differ in frame size: give a resize")
        self.height, self.width, self.channels = next(iter(shapes))
        self.whole: Size = (self.height, self.width)
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

    def whole_frames(self, most: int) -> np.ndarray:
        """Some whole frames, evenly from all of the recording: [T, H, W, C] uint8, T <= most.

        Raises:
            UserError: there are several sequences, which show different scenes.
        """
        if len(self._strips) > 1:
            raise UserError(
                f"{self.name} holds {len(self._strips)} sequences of different scenes: a template "
                "is of one; give the path of one, or another model.background"
            )
        frames = self._strips[0].frames
        return frames[np.unique(np.linspace(0, len(frames) - 1, most).round().astype(int))]

    def corner(self, index: int, frames: int) -> Size:
        """The top and left pixel of a clip's crop in the whole frames; (0, 0) without crops.

        Args:
            index: of the clip.
            frames: its length.

        Raises:
            UserError: as `clip`.
        """
        check_clip(self.name, index, frames, self.starts)
        if self._crop is None:
            return 0, 0
        rng = generator(self.name, self.split, self.seed, index)
        top, left = (
            int(rng.integers(whole - part, endpoint=True))
            for whole, part in zip(self.whole, self._crop, strict=True)
        )
        return top, left

    def clip(self, index: int, frames: int) -> Clip:
        """The clip of an index: see the class.

        Returns:
            Video [T, H, W, C]; truth (without masks) where the sequence has boxes. `visible` is the
            share of the box in the view. The corner of the crop, with crops.
        """
        corner = top, left = self.corner(index, frames)
        first = index % self._first_frames(frames)
        for strip in self._strips:
            here = max(0, len(strip.frames) - frames + 1)
            if first < here:
                break
            first -= here
        span = range(first, first + frames)
        video = strip.frames[
            first : span.stop, top : top + self.height, left : left + self.width
        ].copy()
        truth = None
        if strip.boxes is not None:
            truth = _truth(strip, span, top, left, self.height, self.width)
        name = f"{strip.name}/{first}"
        return Clip(video, truth, name, None if self._crop is None else corner)


def load_video(path: str | Path, *, options: SourceOptions = DEFAULT_OPTIONS) -> Clip:
    """A whole recording as one clip, for tracking. `crop` does not apply.

    Args:
        path: a video file, a folder of images, or a MOTChallenge sequence folder.
        options: how to read it.

    Raises:
        UserError: it cannot be read, is too large for memory, or is several sequences.
    """
    source = RecordingSource(Path(path), split="test", options=options)
    if len(source._strips) > 1:
        count = len(source._strips)
        raise UserError(f"{path} holds {count} sequences: give the path of one, no tiles")
    strip = source._strips[0]
    truth = None
    if strip.boxes is not None:
        truth = _truth(strip, range(len(strip.frames)), 0, 0, source.height, source.width)
    return Clip(strip.frames, truth, source.name)  # no copy, there may not be room for two


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
    for frame in read_frames(find_sequence(Path(path), options), options):
        yield frame if options.resize is None else resized(frame, options.resize)


def _truth(strip: Strip, span: range, top: int, left: int, height: int, width: int) -> Truth:
    """The truth of some frames of a recording that has boxes, of the objects that occur in them."""
    assert strip.boxes is not None
    occur, here, ignored = strip.boxes.during(span.start, span.stop).dense(len(span))
    here -= np.array([left, top, 0, 0])
    return Truth(
        ids=strip.boxes.ids[occur],
        boxes=here.astype(np.float32),
        visible=share_in_view(here, height, width),
        masks=None,
        object_size=strip.object_size,
        ignored=ignored,
    )
