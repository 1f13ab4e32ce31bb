"""Tracking into files: one video, or several that advance together on one device."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from scalor_ppl.data.records import Size
from scalor_ppl.programs import Program
from scalor_ppl.tracking.job import (
    SilentTracking,
    TrackingJob,
    TrackingOutcome,
    TrackingWatcher,
    opened_job,
)
from scalor_ppl.tracking.reel import advance
from scalor_ppl.tracking.request import SAVE_EVERY, TrackingRequest
from scalor_ppl.tracking.stream import CHUNK
from scalor_ppl.tracking.tracked import Tracked
from scalor_ppl.training.signals import stop_signals


def track_to_files(
    program: Program,
    video: str | Path,
    out: str | Path,
    *,
    form: str | None = None,
    overlay: str | Path | None = None,
    masks: str | Path | None = None,
    events: str | Path | None = None,
    positions: str | Path | None = None,
    chunk: int = CHUNK,
    threshold: float = 0.5,
    recognise: bool = True,
    join: bool = True,
    measure: bool = False,
    separation: float = 0.0,
    start: int | None = None,
    stop: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    save_every: float = SAVE_EVERY,
    watcher: TrackingWatcher | None = None,
) -> TrackingOutcome:
    """Track a video of any length; write its tracks, and what else is asked for.

    Files get their names when they are whole. Until then they lie beside their places as
    ``NAME.part``; ``OUT.resume`` says how far they are good, so that a tracking that was
    interrupted or killed can go on, and gives the same tracks, bit for bit on the same machine.

    Args:
        program: trained; see `runs.load_run`.
        video: a video file, a folder of images, or a MOTChallenge sequence folder.
        out: the file of tracks.
        form: its format, a name of `formats.FORMATS`; by default what its name ends in.
        overlay: NAME.mp4, the video with what was found drawn on it.
        masks: NAME.nc, which object is seen at each pixel.
        events: NAME.csv, who met whom and which gaps were joined, see `tracking.events`.
        positions: NAME.csv, the tracks with all their columns, where the format of ``out`` has
            fewer.
        chunk: frames that are worked on at a time, at least 1.
        threshold: least presence of an object in a frame to be written, 0..1.
        recognise: keep identities where objects covered each other, see `identity`.
        join: join tracks that break where an object is hidden, see `identity.gaps`; without both,
            ids are those of the program's trackers.
        measure: take centres and their deviations from the frames, see `registration`.
        separation: of two objects that are closer, in pixels of the video, the surer is written,
            see `tracks.separation`; 0 writes both.
        start: first frame, from 0; see `recording.open_recording` for what holds by default.
        stop: the frame after the last one.
        resume: go on with an interrupted tracking into ``out``.
        overwrite: replace files that are there.
        save_every: seconds between two notes of how far it is; 0 for every chunk.
        watcher: told of progress.

    Returns:
        How it ended: SIGINT and SIGTERM end it after the chunk at hand.

    Raises:
        UserError: a file cannot be written or must not be, the video cannot be read or tracked, or
            what is resumed is something else. Where the video breaks off in the middle, the files
            hold what came before.
    """
    others = {"overlay": overlay, "masks": masks, "events": events, "positions": positions}
    request = TrackingRequest(
        Path(video),
        Path(out),
        form,
        **{name: Path(path) for name, path in others.items() if path is not None},
        chunk=chunk,
        threshold=threshold,
        recognise=recognise,
        join=join,
        measure=measure,
        separation=separation,
        start=start,
        stop=stop,
        resume=resume,
        overwrite=overwrite,
        save_every=save_every,
    )
    with closing(track_together(program, [request], watcher=watcher)) as results:
        result = next(results)
    if result.outcome is None:
        assert result.error is not None
        raise result.error
    return result.outcome


@dataclass(frozen=True)
class JobResult:
    """How one tracking of several ended.

    Attributes:
        index: which of the requests, from 0.
        outcome: none where it failed.
        error: why it did; none where it did not.
    """

    index: int
    outcome: TrackingOutcome | None
    error: Exception | None = None


def track_together(
    program: Program,
    requests: Iterable[TrackingRequest],
    *,
    batch: int = 1,
    watcher: TrackingWatcher | None = None,
) -> Generator[JobResult, None, None]:
    """Track videos, several at a time, each into its own files.

    Videos of one size advance together in a batch, each with its own memory, and are decoded a
    chunk at a time. New ones begin together as soon as half of the places are free. The results are
    those of one video at a time up to rounding, and what goes wrong with one stops no other.

    Args:
        program: trained.
        requests: taken when there is room for them.
        batch: how many videos are tracked at a time, at least 1.
        watcher: told of progress of all of them.

    Yields:
        How each ended, as soon as it did. SIGINT and SIGTERM, or the end of a worker, end those
        that have begun after the chunk at hand, and no other one is begun.
    """
    running = _Running(program, iter(enumerate(requests)), watcher or SilentTracking())
    with closing(running), stop_signals() as stopped:
        while True:
            if not stopped() and 2 * len(running.jobs) <= batch:
                yield from running.fill(batch)
            if not running.jobs:
                return
            yield from running.advance(stopped)


class _Running:
    """Trackings that have begun, by their numbers."""

    def __init__(
        self,
        program: Program,
        waiting: Iterator[tuple[int, TrackingRequest]],
        watcher: TrackingWatcher,
    ) -> None:
        self.jobs: dict[int, TrackingJob] = {}
        self._program = program
        self._waiting = waiting
        self._watcher = watcher
        self._held: dict[int, ExitStack] = {}
        # Videos of one size share a program: only then they go together.
        self._fitted: dict[Size, Program] = {}

    def fill(self, batch: int) -> Iterator[JobResult]:
        """Begin as many as there are places; those that cannot be begun have ended."""
        while len(self.jobs) < batch and (following := next(self._waiting, None)) is not None:
            number, request = following
            held = ExitStack()
            try:
                job = opened_job(self._program, self._for_size, request, self._watcher)
                self.jobs[number] = held.enter_context(job)
            except Exception as error:
                yield JobResult(number, None, error)
            else:
                self._held[number] = held

    def advance(self, stopped: Callable[[], bool]) -> Iterator[JobResult]:
        """Go on by a chunk with all of them; those that are at their ends are finished."""
        found = self._follow()
        for number, job in [*self.jobs.items()]:
            try:
                outcome = _written(job, found.get(number), stopped)
            except Exception as error:
                self._let_go(number)
                yield JobResult(number, None, error)
            else:
                if outcome is not None:
                    self._let_go(number)
                    yield JobResult(number, outcome)

    def _follow(self) -> dict[int, Tracked | Exception]:
        """What is in the next frames of each, or what is wrong; nothing of one without frames."""
        found: dict[int, Tracked | Exception] = {}
        going = []
        for number, job in self.jobs.items():
            try:
                if job.read():
                    going.append(number)
            except Exception as error:
                found[number] = error
        followed = advance([self.jobs[number].reel for number in going])
        return found | dict(zip(going, followed, strict=True))

    def close(self) -> None:
        """Let go of all that has not ended."""
        for number in [*self.jobs]:
            self._let_go(number)

    def _let_go(self, number: int) -> None:
        del self.jobs[number]
        self._held.pop(number).close()

    def _for_size(self, size: Size) -> Program:
        if size not in self._fitted:
            self._fitted[size] = self._program.for_size(size)
        return self._fitted[size]


def _written(
    job: TrackingJob, found: Tracked | Exception | None, stopped: Callable[[], bool]
) -> TrackingOutcome | None:
    """How a tracking ended after what was found in its next frames; none where it goes on."""
    if found is None:
        return job.end(stopped)
    if isinstance(found, Exception):
        raise found
    job.take(found, stopped)
    # Before anything is handed over there is nothing to go on from.
    return job.interrupt() if stopped() and job.memory is not None else None
