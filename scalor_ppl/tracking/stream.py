"""Tracks of a video of any length, a few frames at a time, in memory that does not grow."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from scalor_ppl.data.prefetch import ahead
from scalor_ppl.data.records import Size
from scalor_ppl.errors import UserError
from scalor_ppl.identity import Join
from scalor_ppl.inference.certainty import certain_tracks
from scalor_ppl.inference.posterior import Followed, follow
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import FindsObjects, Memory, Program, require
from scalor_ppl.tracking.recording import RecordedFrame, Recording, open_recording
from scalor_ppl.tracking.registration import measured
from scalor_ppl.tracks.table import Tracks

CHUNK = 16


class BrokenVideoError(UserError):
    """The video cannot be read from here on; what came before was handed over."""


@dataclass(frozen=True)
class Tracked:
    """What was found in the next T frames of a recording, K slots a frame.

    Attributes:
        numbers: int64 [T], the frames' numbers in the file, from 0.
        tracks: boxes are in pixels of the recording's own frames; ids are unique in the video.
        depth: float32 [T, K]; smaller is nearer.
        where: float32 [T, K, 4], boxes in the convention of :mod:`scalor_ppl.render.boxes`.
        masks: float32 [T, K, h, w] in 0..1, the objects' masks within their boxes.
        looks: float32 [T, K, D], what the objects look like, see `FindsObjects.looks`.
        size: height and width in which the frames were tracked.
        source: height and width of the recording's own frames.
        trackers: int64 [T, K], numbers of the trackers; ids are these until identities are known.
        link: float32 [T, K], how sure it is that the object is the one of its id before, 0..1;
            below 1 where a gap was joined.
        joins: the gaps joined, by the frame's number, see `joined_stream`.
        shown: the T frames [H, W, C] uint8 in their own size, where they were asked for.
        memory: to go on with after these frames.
        identities: likewise, of `recognised_stream`; none where nobody was recognised.
        gaps: likewise, of `joined_stream`.
    """

    numbers: np.ndarray
    tracks: Tracks
    depth: np.ndarray
    where: np.ndarray
    masks: np.ndarray
    looks: np.ndarray
    size: Size
    source: Size
    shown: tuple[np.ndarray, ...]
    memory: Memory
    trackers: np.ndarray
    link: np.ndarray
    joins: tuple[tuple[int, Join], ...] = ()
    identities: dict[str, Any] | None = None
    gaps: dict[str, Any] | None = None


def track_video(
    program: Program,
    path: str | Path,
    *,
    chunk: int = CHUNK,
    start: int | None = None,
    stop: int | None = None,
    memory: Memory | None = None,
    shown: bool = False,
    measure: bool = False,
) -> Generator[Tracked, None, None]:
    """Track a video of any length.

    Most likely values are taken, so the tracks are those that `posterior.infer` finds in the whole
    video, up to rounding; and bit for bit the same for the same chunks.

    Args:
        program: trained; see `runs.load_run`.
        path: a video file, a folder of images, or a MOTChallenge sequence folder.
        chunk: frames that are decoded and encoded at a time.
        start: first frame, from 0; see `open_recording` for what holds by default.
        stop: the frame after the last one.
        memory: of a `Tracked` of the same video and range: go on after it.
        shown: hand over the frames, too.
        measure: take centres and their deviations from the frames, see `registration`, and not from
            the program.

    Yields:
        The tracks of the next frames, ``chunk`` of them but for the last time.

    Raises:
        UserError: the video cannot be read, or is of a size that the program cannot track;
            `BrokenVideoError` where it cannot be read to its end: all frames before were yielded.
    """
    recording = open_recording(program.config, path, start, stop)
    fitted = program.for_size(recording.size)
    yield from follow_recording(
        fitted, recording, chunk=chunk, memory=memory, shown=shown, measure=measure
    )


def follow_recording(
    program: Program,
    recording: Recording,
    *,
    chunk: int,
    memory: Memory | None = None,
    shown: bool = False,
    measure: bool = False,
) -> Generator[Tracked, None, None]:
    """Track a recording with a program for frames of its size; see `track_video`."""
    if chunk < 1:
        raise UserError(f"chunk={chunk}: give at least 1 frame")
    require(program, FindsObjects, "track")
    done = 0 if memory is None else memory.frame
    # Frames are decoded in a thread of their own while the chunk before is tracked.
    with closing(ahead(recording.frames(done, shown=shown), chunk)) as frames:
        for taken in _chunks(frames, chunk):
            video = to_video(np.stack([frame.seen for frame in taken])[None], program.device)
            with fast_pyro():
                found = follow(program, video, memory)
            memory = found.memory
            yield _tracked(taken, video, found, program, recording, measure=measure)


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


def _tracked(
    taken: list[RecordedFrame],
    video: Tensor,
    found: Followed,
    program: Program,
    recording: Recording,
    *,
    measure: bool,
) -> Tracked:
    """The results of a chunk as arrays, boxes in the recording's own pixels."""
    finder = require(program, FindsObjects, "track")
    (tracks,) = certain_tracks(program, found.trace, found.scene)
    objects = finder.objects(found.scene)
    if measure:
        tracks = measured(tracks, video[0], objects)
    scale = np.array(recording.source[::-1]) / recording.size[::-1]  # x, y
    return Tracked(
        np.array([frame.number for frame in taken]),
        tracks.scaled(scale),
        objects.depth[0],
        objects.where[0],
        objects.glimpse[0, :, :, -1],
        finder.looks(video, found.scene)[0].cpu().numpy(),
        recording.size,
        recording.source,
        tuple(frame.shown for frame in taken if frame.shown is not None),
        found.memory,
        tracks.ids,
        np.ones(tracks.ids.shape, np.float32),
    )
