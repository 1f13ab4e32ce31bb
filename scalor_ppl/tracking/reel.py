"""Recordings that are followed side by side, each with its own frames and memory.

A step of a program costs hardly more for several videos than for one, as far as its small
operations decide. What is inferred of a video does not depend on the others beside it, up to
rounding.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from scalor_ppl.data.prefetch import ahead
from scalor_ppl.errors import UserError
from scalor_ppl.inference.certainty import certain_tracks
from scalor_ppl.inference.posterior import follow
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import FindsObjects, Memory, ObjectArrays, Program, require
from scalor_ppl.programs.memory import layout
from scalor_ppl.tracking.recording import RecordedFrame, Recording
from scalor_ppl.tracking.registration import measured
from scalor_ppl.tracking.tracked import BrokenVideoError, Tracked


class Reel:
    """A recording and how far it is followed.

    Args:
        program: for frames of its size.
        recording: to be followed.
        chunk: frames that are decoded and encoded at a time.
        memory: after the frames that were followed before; none begins anew.
        shown: keep the frames in their own size, too.
        measure: see `track_video`.

    Attributes:
        taken: the frames that are next.

    Raises:
        UserError: a chunk has no frames, or the program finds no objects.
    """

    def __init__(
        self,
        program: Program,
        recording: Recording,
        *,
        chunk: int,
        memory: Memory | None = None,
        shown: bool = False,
        measure: bool = False,
    ) -> None:
        if chunk < 1:
            raise UserError(f"chunk={chunk}: give at least 1 frame")
        require(program, FindsObjects, "track")
        self.program = program
        self.recording = recording
        self.memory = memory
        self.measure = measure
        self.taken: list[RecordedFrame] = []
        # Frames are decoded in a thread of their own while those before are tracked.
        self._frames = ahead(recording.frames(self.done, shown=shown), chunk)
        self._chunks = _chunks(self._frames, chunk)

    @property
    def done(self) -> int:
        """Frames that were followed."""
        return 0 if self.memory is None else self.memory.frame

    def read(self) -> bool:
        """Take the next frames; whether there were any.

        Raises:
            BrokenVideoError: the recording cannot be read from here on.
        """
        self.taken = next(self._chunks, [])
        return bool(self.taken)

    def close(self) -> None:
        """Let go of the recording; to do so again is no error."""
        self._frames.close()


def advance(reels: Sequence[Reel]) -> list[Tracked | Exception]:
    """Follow every reel over the frames that it has taken.

    Those that can be are followed in one batch: frames of one size, as many of them, and memories
    that are built alike. Where a batch fails each of its reels is followed alone, so that one does
    not stop the others.

    Returns:
        What was found, or why nothing was, of each.
    """
    batches: dict[tuple[int, int, str], list[int]] = {}
    for number, reel in enumerate(reels):
        kind = (id(reel.program), len(reel.taken), layout(reel.memory))
        batches.setdefault(kind, []).append(number)
    found: dict[int, Tracked | Exception] = {}
    for numbers in batches.values():
        together = [reels[number] for number in numbers]
        found.update(zip(numbers, _attempted(together), strict=True))
    return [found[number] for number in range(len(reels))]


def _attempted(reels: Sequence[Reel]) -> Sequence[Tracked | Exception]:
    """What was found in the frames of reels that go together, or why nothing was."""
    try:
        return _followed(reels)
    except torch.OutOfMemoryError as error:
        if len(reels) == 1:
            return [error]
        told = f"{len(reels)} videos at a time are too many for the device: give a smaller --batch"
        return [UserError(told)] * len(reels)
    except Exception as error:
        if len(reels) == 1:
            return [error]
        return [each for reel in reels for each in _attempted([reel])]


def _followed(reels: Sequence[Reel]) -> list[Tracked]:
    """What was found in the frames of reels that go together."""
    program = reels[0].program
    finder = require(program, FindsObjects, "track")
    frames = np.stack([[frame.seen for frame in reel.taken] for reel in reels])
    video = to_video(frames, program.device)
    before = [reel.memory for reel in reels if reel.memory is not None]
    # A single video's is taken as it is: it goes on bit for bit.
    memory = program.joined(before) if len(before) > 1 else next(iter(before), None)
    with fast_pyro():
        found = follow(program, video, memory)
    after = program.parted(found.memory, len(reels)) if len(reels) > 1 else [found.memory]
    tracks = certain_tracks(program, found.trace, found.scene)
    objects = finder.objects(found.scene)
    importance = finder.importance(objects.depth)
    looks = finder.looks(video, found.scene).cpu().numpy()
    results = []
    for b, reel in enumerate(reels):
        reel.memory = after[b]._replace(frame=reel.done + len(reel.taken))
        own = tracks[b]
        if reel.measure:
            own = measured(own, video[b], ObjectArrays(*(each[b : b + 1] for each in objects)))
        source, size = reel.recording.source, reel.recording.size
        results.append(
            Tracked(
                np.array([frame.number for frame in reel.taken]),
                own.scaled(np.array(source[::-1]) / size[::-1]),  # x, y
                objects.depth[b],
                importance[b],
                objects.where[b],
                objects.glimpse[b, :, :, -1],
                looks[b],
                size,
                source,
                tuple(frame.shown for frame in reel.taken if frame.shown is not None),
                reel.memory,
                own.ids,
                np.ones(own.ids.shape, np.float32),
            )
        )
    return results


def _chunks(frames: Iterator[RecordedFrame], size: int) -> Iterator[list[RecordedFrame]]:
    """Lists of so many frames; what came before the frames broke off is handed over first."""
    taken: list[RecordedFrame] = []
    try:
        for frame in frames:
            taken.append(frame)
            if len(taken) == size:
                yield taken
                taken = []
    except UserError as error:
        if taken:
            yield taken
        raise BrokenVideoError(str(error)) from error
    if taken:
        yield taken
