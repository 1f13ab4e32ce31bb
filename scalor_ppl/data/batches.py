"""Endless batches of video for training, made ahead of need by one background thread."""

import queue
import threading
from collections.abc import Callable, Generator
from itertools import count as count_from

import numpy as np

from scalor_ppl.data.records import ClipSource, generator
from scalor_ppl.errors import UserError

_AHEAD = 3  # batches kept ready
_POLL = 0.1  # seconds between looks at whether anybody still wants batches


def make_batch(
    source: ClipSource, number: int, *, batch: int, frames: int, seed: int, augment: bool = False
) -> np.ndarray:
    """Batch `number`: a pure function of its arguments.

    Args:
        source: where clips come from.
        number: of the batch, from 0.
        batch: B, how many clips.
        frames: T.
        seed: another seed gives other batches.
        augment: flip, transpose (square frames only) and reverse in time, each clip at random.

    Returns:
        [B, T, H, W, C] uint8.

    Raises:
        UserError: the source is shorter than `frames`.
    """
    rng = generator(f"batches of {source.name}", "train", seed, number)
    clips = source.starts(frames)
    if clips < 1:
        source.clip(0, frames)  # says what is wrong
    indices = rng.integers(0, max(clips, 1), batch)
    videos = [source.clip(int(index), frames).video for index in indices]
    if augment:
        videos = [_augmented(video, rng) for video in videos]
    return np.stack(videos)


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
) -> Generator[np.ndarray, None, None]:
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

    Yields:
        [B, T, H, W, C] uint8, contiguous.

    Raises:
        UserError: batch, start or seed out of range; the source is shorter than `frames`.
    """
    if batch < 1:
        raise UserError(f"batch={batch}: give at least 1 clip a batch")
    if start < 0:
        raise UserError(f"start={start}: batches count from 0")
    generator(source.name, "train", seed)  # a bad seed is told now
    length = frames if callable(frames) else lambda number, fixed=frames: fixed

    def make(number: int) -> np.ndarray:
        return make_batch(
            source, number, batch=batch, frames=length(number), seed=seed, augment=augment
        )

    return _prefetched(make, start)


def _prefetched(make: Callable[[int], np.ndarray], start: int) -> Generator[np.ndarray, None, None]:
    """Yield make(start), make(start + 1), ... as a background thread gets them done."""
    ready: queue.Queue[np.ndarray | BaseException] = queue.Queue(maxsize=_AHEAD)
    unwanted = threading.Event()

    def offer(item: np.ndarray | BaseException) -> None:
        while not unwanted.is_set():
            try:
                ready.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for number in count_from(start):
                if unwanted.is_set():
                    return
                offer(make(number))
        except BaseException as error:  # whatever it is, the consumer is to hear of it
            offer(error)

    worker = threading.Thread(target=work, name="batches", daemon=True)
    worker.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        unwanted.set()
        worker.join()
