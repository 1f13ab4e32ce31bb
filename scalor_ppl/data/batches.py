"""Endless batches of video for training, made ahead of need by one background thread."""

from collections.abc import Callable, Generator
from itertools import count as count_from
from typing import NamedTuple

import numpy as np

from scalor_ppl.data.prefetch import ahead
from scalor_ppl.data.records import ClipSource, generator
from scalor_ppl.errors import UserError

_AHEAD = 3  # batches kept ready


class Batch(NamedTuple):
    """Clips of one training step.

    Attributes:
        video: [B, T, H, W, C] uint8.
        corner: [B, 2] int64, top and left pixel of the crops in the whole frames; None where the
            source gives whole frames.
    """

    video: np.ndarray
    corner: np.ndarray | None


def make_batch(
    source: ClipSource,
    number: int,
    *,
    batch: int,
    frames: int | Callable[[int], int],
    seed: int,
    augment: bool = False,
    chunks: int = 1,
) -> Batch:
    """Batch `number`: a pure function of its arguments.

    Args:
        source: where clips come from.
        number: of the batch, from 0.
        batch: B, how many clips.
        frames: T, or a function from the number of the batch to T.
        seed: another seed gives other batches.
        augment: flip, transpose (square frames only) and reverse in time, each clip at random.
        chunks: batches that follow one another in the same clips; each goes on where the one
            before ended, until so many are done.

    Raises:
        UserError: the source is shorter than all chunks of a clip together.
    """
    episode, chunk = divmod(number, chunks)
    first = number - chunk
    lengths = [frames(n) if callable(frames) else frames for n in range(first, first + chunks)]
    whole = sum(lengths)
    rng = generator(f"batches of {source.name}", "train", seed, episode)
    clips = source.starts(whole)
    if clips < 1:
        source.clip(0, whole)  # says what is wrong
    indices = rng.integers(0, max(clips, 1), batch)
    found = [source.clip(int(index), whole) for index in indices]
    videos = [clip.video for clip in found]
    if augment:
        videos = [_augmented(video, rng) for video in videos]
    begin = sum(lengths[:chunk])
    corner = None if found[0].corner is None else np.array([clip.corner for clip in found])
    return Batch(np.stack([video[begin : begin + lengths[chunk]] for video in videos]), corner)


def _augmented(video: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[T, H, W, C] the video, flipped, transposed and reversed by the toss of four coins."""
    backwards, upside_down, mirrored, transposed = rng.integers(0, 2, 4)
    step = [-1 if coin else 1 for coin in (backwards, upside_down, mirrored)]
    video = video[:: step[0], :: step[1], :: step[2]]
    if transposed and video.shape[1] == video.shape[2]:
        video = video.transpose(0, 2, 1, 3)
    return video


def batches(
    source: ClipSource,
    *,
    batch: int,
    frames: int | Callable[[int], int],
    seed: int,
    start: int = 0,
    augment: bool = False,
    chunks: int = 1,
) -> Generator[Batch, None, None]:
    """Batches without end; batch i is the same bytes however the loop came to it.

    One thread makes a few batches ahead. Closing the generator (or letting go of it) ends the
    thread; an error in the thread is raised here, in its turn.

    Args:
        source: where clips come from.
        batch: B, at least 1.
        frames: T, or a function from the number of the batch to T.
        seed: another seed gives other batches; processes that train together take different ones.
        start: number of the first batch; training resumed at step i starts here at i.
        augment: as in `make_batch`.
        chunks: as in `make_batch`.

    Yields:
        Batches; videos are contiguous.

    Raises:
        UserError: batch, start or seed out of range; the source is shorter than `frames`.
    """
    if batch < 1:
        raise UserError(f"batch={batch}: give at least 1 clip a batch")
    if start < 0:
        raise UserError(f"start={start}: batches count from 0")
    generator(source.name, "train", seed)  # a bad seed is told now

    def make(number: int) -> Batch:
        return make_batch(
            source, number, batch=batch, frames=frames, seed=seed, augment=augment, chunks=chunks
        )

    return ahead((make(number) for number in count_from(start)), _AHEAD, name="batches")
