"""Tracks of a video of any length, a few frames at a time, in memory that does not grow."""

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from scalor_ppl.programs import Memory, Program
from scalor_ppl.tracking.recording import open_recording
from scalor_ppl.tracking.reel import Reel, advance
from scalor_ppl.tracking.tracked import Tracked

CHUNK = 16


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
    reel = Reel(fitted, recording, chunk=chunk, memory=memory, shown=shown, measure=measure)
    with closing(reel):
        while reel.read():
            (found,) = advance([reel])
            if isinstance(found, Exception):
                raise found
            yield found
