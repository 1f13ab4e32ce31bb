"""Endless batches of video for training, made ahead of need by one background thread."""

from collections.abc import Callable, Generator
from functools import lru_cache
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
            source gives whole frames. Augmented upright it is [B, 3]: 1 where a clip is mirrored.
    """

    video: np.ndarray
    corner: np.ndarray | None


class Share(NamedTuple):
    """Which clips of every batch are made here: of several processes each takes its own.

    Attributes:
        number: of the share, from 0.
        shares: how many there are.
    """

    number: int
    shares: int

    def of(self, batch: int) -> slice:
        """Which clips of a batch of so many are in it.

        Raises:
            UserError: the shares would not be equal.
        """
        size, left = divmod(batch, self.shares)
        if left or not size:
            nearest = self.shares * max(1, size)
            raise UserError(
                f"train.batch = {batch} cannot be shared by {self.shares} processes: give a "
                f"multiple of {self.shares}, such as --set train.batch={nearest}"
            )
        return slice(self.number * size, (self.number + 1) * size)


WHOLE = Share(0, 1)
"""All clips of a batch."""


class Place(NamedTuple):
    """Where a batch lies among the batches that share its clips.

    Attributes:
        episode: number of the clips, different from those of all other batches' clips.
        chunk: how many batches came before it in them.
        chunks: how many they give in all.
    """

    episode: int
    chunk: int
    chunks: int


def place_of(number: int, chunks: int, chunks_from: int) -> Place:
    """Where batch `number` lies, if from batch `chunks_from` on `chunks` in a row share clips."""
    if number < chunks_from:
        return Place(number, 0, 1)
    episode, chunk = divmod(number - chunks_from, chunks)
    return Place(chunks_from + episode, chunk, chunks)


def make_batch(
    source: ClipSource,
    number: int,
    *,
    batch: int,
    frames: int | Callable[[int], int],
    seed: int,
    augment: bool = False,
    upright: bool = False,
    chunks: int = 1,
    chunks_from: int = 0,
    share: Share = WHOLE,
) -> Batch:
    """Batch `number`: a pure function of its arguments.

    Args:
        source: where clips come from.
        number: of the batch, from 0.
        batch: how many clips all shares have together.
        frames: T, or a function from the number of the batch to T.
        seed: another seed gives other batches.
        augment: flip, transpose (square frames only) and reverse in time, each clip at random.
        upright: mirror and reverse at most, and tell which clips are mirrored.
        chunks: batches that follow one another in the same clips; each goes on where the one
            before ended, until so many are done.
        chunks_from: the first batch that others follow in its clips; those before stand alone.
        share: B of these clips are made; with all shares they are those of one process alone.

    Raises:
        UserError: the source is shorter than all chunks of a clip together, or the batch cannot be
            shared so.
    """
    make = _maker(source, batch, frames, seed, augment, upright, chunks, chunks_from, share)
    return make(number)


def _maker(
    source: ClipSource,
    batch: int,
    frames: int | Callable[[int], int],
    seed: int,
    augment: bool,
    upright: bool,
    chunks: int,
    chunks_from: int,
    share: Share,
) -> Callable[[int], Batch]:
    """What makes a batch from its number; arguments as in `make_batch`."""
    own = share.of(batch)

    @lru_cache(maxsize=1)  # an episode's clips are made once for all its chunks
    def clips(episode: int, whole: int) -> Batch:
        return _clips(source, episode, whole, batch, seed, augment, upright, own)

    def make(number: int) -> Batch:
        place = place_of(number, chunks, chunks_from)
        first = number - place.chunk
        numbers = range(first, first + place.chunks)
        lengths = [frames(n) if callable(frames) else frames for n in numbers]
        begin = sum(lengths[: place.chunk])
        whole = clips(place.episode, sum(lengths))
        # Contiguous, and the batch's own: the clips are shared with those that follow.
        return whole._replace(video=whole.video[:, begin : begin + lengths[place.chunk]].copy())

    return make


def _clips(
    source: ClipSource,
    episode: int,
    whole: int,
    batch: int,
    seed: int,
    augment: bool,
    upright: bool,
    own: slice,
) -> Batch:
    """The own clips of an episode in full length, ``[B, whole, H, W, C]``."""
    rng = generator(f"batches of {source.name}", "train", seed, episode)
    clips = source.starts(whole)
    if clips < 1:
        source.clip(0, whole)  # says what is wrong
    # Everything is drawn for the whole batch: a clip does not depend on who makes it.
    indices = rng.integers(0, max(clips, 1), batch)[own]
    found = [source.clip(int(index), whole) for index in indices]
    videos = [clip.video for clip in found]
    corner = None if found[0].corner is None else np.array([clip.corner for clip in found])
    if augment:
        coins = [_tossed(rng, upright) for _ in range(batch)][own]
        videos = [_augmented(*each) for each in zip(videos, coins, strict=True)]
        if upright:
            corner = np.zeros((len(videos), 2), np.int64) if corner is None else corner
            mirrored = [each.mirrored for each in coins]
            corner = np.column_stack((corner, mirrored)).astype(np.int64)
    return Batch(np.stack(videos), corner)


class Coins(NamedTuple):
    """What is done to a clip; each 0 or 1."""

    backwards: int
    upside_down: int
    mirrored: int
    transposed: int


def _tossed(rng: np.random.Generator, upright: bool) -> Coins:
    """The toss of four coins, of which two count where clips are to stay upright."""
    coins = Coins(*rng.integers(0, 2, 4).tolist())
    return coins._replace(upside_down=0, transposed=0) if upright else coins


def _augmented(video: np.ndarray, coins: Coins) -> np.ndarray:
    """[T, H, W, C] the video, flipped, transposed and reversed as the coins say."""
    step = [-1 if coin else 1 for coin in coins[:3]]
    video = video[:: step[0], :: step[1], :: step[2]]
    if coins.transposed and video.shape[1] == video.shape[2]:
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
    upright: bool = False,
    chunks: int = 1,
    chunks_from: int = 0,
    share: Share = WHOLE,
) -> Generator[Batch, None, None]:
    """Batches without end; batch i is the same bytes however the loop came to it.

    One thread makes a few batches ahead. Closing the generator (or letting go of it) ends the
    thread; an error in the thread is raised here, in its turn.

    Args:
        source: where clips come from.
        batch: how many clips all shares have together, at least 1.
        frames: T, or a function from the number of the batch to T.
        seed: another seed gives other batches.
        start: number of the first batch; training resumed at step i starts here at i.
        augment, upright, chunks, chunks_from, share: as in `make_batch`.

    Yields:
        Batches; videos are contiguous.

    Raises:
        UserError: batch, start or seed out of range; the batch cannot be shared so; the source is
            shorter than `frames`.
    """
    if batch < 1:
        raise UserError(f"batch={batch}: give at least 1 clip a batch")
    if start < 0:
        raise UserError(f"start={start}: batches count from 0")
    generator(source.name, "train", seed)  # a bad seed is told now

    make = _maker(source, batch, frames, seed, augment, upright, chunks, chunks_from, share)
    return ahead((make(number) for number in count_from(start)), _AHEAD, name="batches")
