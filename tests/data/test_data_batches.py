"""Batches: reproducible from any step, made ahead, closed cleanly, honest about errors."""

import threading
import time
from itertools import islice
from typing import Any

import numpy as np
import pytest

from scalor_ppl.data import Clip, batches, make_batch, open_source
from scalor_ppl.errors import UserError

SOURCE = open_source("moving-dsprites-vld")


def threads() -> int:
    return sum(thread.name == "batches" for thread in threading.enumerate())


class Counting:
    """A source whose clip i shows rows, columns and frames, and which may break."""

    name, height, width, channels = "counting", 4, 4, 1

    def __init__(self, breaks: bool = False) -> None:
        self.breaks = breaks
        self.made = 0

    def __len__(self) -> int:
        return 100

    def starts(self, frames: int) -> int:
        return 100

    def clip(self, index: int, frames: int) -> Clip:
        self.made += 1
        if self.breaks:
            raise RuntimeError("the disk is on fire")
        video = np.arange(frames * 16, dtype=np.uint8).reshape(frames, 4, 4, 1)
        return Clip(video, None, str(index))


def test_resuming_gives_the_same_batches() -> None:
    whole = list(islice(batches(SOURCE, batch=3, frames=4, seed=5, augment=True), 6))
    resumed = list(islice(batches(SOURCE, batch=3, frames=4, seed=5, augment=True, start=3), 3))
    videos = [item.video for item in whole]
    assert all(np.array_equal(a, b.video) for a, b in zip(videos[3:], resumed, strict=True))
    assert videos[0].shape == (3, 4, 64, 64, 3)
    assert videos[0].dtype == np.uint8
    assert videos[0].flags.c_contiguous
    assert not np.array_equal(videos[0], videos[1])
    assert whole[0].corner is None
    other = next(batches(SOURCE, batch=3, frames=4, seed=6, augment=True))
    assert not np.array_equal(videos[0], other.video)


def test_frames_may_change_over_training() -> None:
    stream = batches(SOURCE, batch=1, frames=lambda number: 2 + number, seed=0)
    assert [item.video.shape[1] for item in islice(stream, 3)] == [2, 3, 4]


def test_chunks_of_a_clip_follow_one_another() -> None:
    def length(number: int) -> int:
        return 2 + number % 2

    options = {"batch": 2, "frames": length, "seed": 3, "augment": True, "chunks": 3}
    chunks = [make_batch(SOURCE, number, **options).video for number in range(6)]  # type: ignore[arg-type]
    assert [chunk.shape[1] for chunk in chunks] == [2, 3, 2, 3, 2, 3]
    whole = make_batch(SOURCE, 0, batch=2, frames=7, seed=3, augment=True).video
    assert np.array_equal(np.concatenate(chunks[:3], 1), whole)
    assert not np.array_equal(chunks[0][:, :2], chunks[3][:, :2])


def test_chunks_may_begin_later() -> None:
    options: dict[str, Any] = {"batch": 2, "frames": 3, "seed": 3, "augment": True}
    alone = [make_batch(SOURCE, number, **options).video for number in range(3)]
    stream = batches(SOURCE, **options, chunks=2, chunks_from=2)
    made = [item.video for item in islice(stream, 6)]
    assert all(np.array_equal(*pair) for pair in zip(made[:2], alone[:2], strict=True))
    whole = make_batch(SOURCE, 2, batch=2, frames=6, seed=3, augment=True).video
    assert np.array_equal(np.concatenate(made[2:4], 1), whole)
    assert not np.array_equal(made[4], made[2])
    again = make_batch(SOURCE, 5, **options, chunks=2, chunks_from=2).video
    assert np.array_equal(made[5], again)


def test_clips_are_made_once_for_all_their_chunks() -> None:
    source = Counting()
    stream = batches(source, batch=2, frames=3, seed=0, chunks=4)
    list(islice(stream, 4))
    stream.close()
    # The thread is up to four batches ahead: one more episode.
    assert source.made <= 4


def test_augmentation_flips_transposes_and_reverses_only() -> None:
    plain = Counting().clip(0, 3).video
    made = make_batch(Counting(), 0, batch=400, frames=3, seed=0, augment=True)
    kinds = {video.tobytes() for video in made.video}
    assert len(kinds) == 16  # 8 symmetries of the square, forwards and backwards
    assert plain.tobytes() in kinds
    assert plain[::-1].tobytes() in kinds
    assert plain.transpose(0, 2, 1, 3).tobytes() in kinds
    assert all(sorted(video.ravel()) == sorted(plain.ravel()) for video in made.video)


def test_upright_clips_are_mirrored_and_reversed_only() -> None:
    plain = Counting().clip(0, 3).video
    options: dict[str, Any] = {"batch": 100, "frames": 3, "seed": 0, "upright": True}
    made = make_batch(Counting(), 0, augment=True, **options)
    assert made.corner is not None
    assert not made.corner[:, :2].any()
    straight = [
        video[:, :, ::-1] if mirrored else video
        for video, mirrored in zip(made.video, made.corner[:, 2], strict=True)
    ]
    assert {video.tobytes() for video in straight} == {plain.tobytes(), plain[::-1].tobytes()}
    assert set(made.corner[:, 2]) == {0, 1}
    assert make_batch(Counting(), 0, **options).corner is None


def test_closing_ends_the_thread() -> None:
    before = threads()
    stream = batches(SOURCE, batch=2, frames=3, seed=0)
    next(stream)
    assert threads() == before + 1
    stream.close()
    assert threads() == before
    dropped = batches(SOURCE, batch=2, frames=3, seed=0)
    next(dropped)
    del dropped
    assert threads() == before


def test_an_error_in_the_thread_reaches_the_consumer() -> None:
    before = threads()
    with pytest.raises(RuntimeError, match="on fire"):
        next(batches(Counting(breaks=True), batch=2, frames=3, seed=0))
    assert threads() == before


def test_only_a_few_batches_are_made_ahead() -> None:
    source = Counting()
    stream = batches(source, batch=1, frames=2, seed=0)
    next(stream)
    time.sleep(0.3)
    assert source.made <= 6
    stream.close()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch": 0}, "batch=0"),
        ({"start": -1}, "start=-1"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_arguments_are_told_at_once(wrong: dict[str, int], message: str) -> None:
    arguments: dict[str, int] = {"batch": 2, "frames": 3, "seed": 0, "start": 0} | wrong
    with pytest.raises(UserError, match=message):
        batches(SOURCE, **arguments)  # type: ignore[arg-type]
