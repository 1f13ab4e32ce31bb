"""The tracking of one video: its outputs, how far they are, and how it ends."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scalor_ppl.errors import UserError
from scalor_ppl.identity import Telling
from scalor_ppl.inference.certainty import deviations_in_words
from scalor_ppl.programs import Program
from scalor_ppl.results.locks import owned
from scalor_ppl.tracking.events import EventOutput
from scalor_ppl.tracking.formats import format_of
from scalor_ppl.tracking.identify import LookingAhead, joining, recognising
from scalor_ppl.tracking.masks import MaskOutput
from scalor_ppl.tracking.outputs import About, Output, Targets, part_of
from scalor_ppl.tracking.overlay import OverlayOutput
from scalor_ppl.tracking.recording import Recording, open_recording
from scalor_ppl.tracking.reel import Reel
from scalor_ppl.tracking.request import TrackingRequest
from scalor_ppl.tracking.state import State, check_same, load_state, save_state
from scalor_ppl.tracking.table import TableOutput
from scalor_ppl.tracking.tracked import BrokenVideoError, Tracked


class TrackingWatcher(Protocol):
    """Who is told how tracking goes (the command line's progress, a notebook, a test)."""

    def warned(self, message: str) -> None:
        """Something about the video should be known."""

    def began(self, done: int, total: int | None) -> None:
        """So many frames were done before, of so many in all (none: nobody knows)."""

    def stepped(self, done: int, objects: int) -> None:
        """So many frames are done; so many objects are in the last one."""


class SilentTracking:
    """A watcher that says nothing."""

    def warned(self, message: str) -> None:
        """Nothing."""

    def began(self, done: int, total: int | None) -> None:
        """Nothing."""

    def stepped(self, done: int, objects: int) -> None:
        """Nothing."""


@dataclass(frozen=True)
class TrackingOutcome:
    """How tracking ended.

    Attributes:
        frames: that were tracked, those before an interruption included.
        tracks: identities that were written.
        fps: frames a second of this part.
        interrupted: whether a signal ended it; then there are no finished files yet.
        looks: whether looks told the objects apart, in words; empty where that was not asked.
    """

    frames: int
    tracks: int
    fps: float
    interrupted: bool
    looks: str = ""


class TrackingJob:
    """One tracking: its outputs, and how far they are. See :func:`opened_job`.

    Args:
        program: for frames of the recording's size.
        request: what is asked for.
        recording: of its video.
        targets: its files.
        fingerprint: what is tracked, and how.
        state: of an interrupted tracking; none begins anew.
        watcher: told of progress.

    Attributes:
        reel: the frames that are next, and the program's memory of those before.
    """

    def __init__(
        self,
        program: Program,
        request: TrackingRequest,
        recording: Recording,
        targets: Targets,
        fingerprint: dict[str, str],
        state: State | None,
        watcher: TrackingWatcher,
    ) -> None:
        self.program = program
        self.request = request
        self.recording = recording
        self.targets = targets
        self.fingerprint = fingerprint
        self.watcher = watcher
        self.memory = state.memory if state else None
        self.identities = state.identities if state else None
        self.gaps = state.gaps if state else None
        self.complete = state.complete if state else False
        self.kept = state.outputs if state else {}
        # What these hold back for what comes after is not done: worked on again after a break.
        self.stages: list[LookingAhead] = []
        if request.recognise:
            self.stages.append(recognising(self.identities))
        if request.join:
            self.stages.append(joining(self.gaps))
        self.reel = Reel(
            program,
            recording,
            chunk=request.chunk,
            memory=self.memory,
            shown=targets.overlay is not None,
            measure=request.measure,
        )
        self.trouble: BrokenVideoError | None = None
        if state is None:
            # Before a part is cut: from then on it would be wrong.
            targets.state.unlink(missing_ok=True)
        self.outputs: dict[str, Output] = {}
        self._open_outputs()
        self.before, self.since = self.done, time.perf_counter()
        self.saved = -math.inf  # after the first chunk there is something to go on from
        if recording.variable_rate:
            watcher.warned(
                f"the frames of {recording.name} are unevenly spaced in time: tracks tell the "
                "frame's number, not its time"
            )
        watcher.began(self.before, recording.total)

    def _open_outputs(self) -> None:
        """Files in the making, but for those that are finished: a kill may fall between two."""
        targets, threshold, kept = self.targets, self.request.threshold, self.kept

        def wanted(target: Path) -> bool:
            return not self.complete or part_of(target).exists()

        if wanted(targets.out):
            output = TableOutput(targets.out, targets.form, threshold, kept.get("tracks"))
            self.outputs["tracks"] = output
        if targets.positions is not None and wanted(targets.positions):
            form = format_of(targets.positions, None)
            output = TableOutput(targets.positions, form, threshold, kept.get("positions"))
            self.outputs["positions"] = output
        if targets.overlay is not None and wanted(targets.overlay):
            fps = self.recording.fps and self.recording.fps / self.recording.options.stride
            self.outputs["overlay"] = OverlayOutput(
                targets.overlay, threshold, fps, kept.get("overlay")
            )
        if targets.masks is not None and wanted(targets.masks):
            self.outputs["masks"] = MaskOutput(targets.masks, threshold, kept.get("masks"))
        if targets.events is not None and wanted(targets.events):
            self.outputs["events"] = EventOutput(targets.events, threshold, kept.get("events"))

    @property
    def done(self) -> int:
        """Frames that are done."""
        return 0 if self.memory is None else self.memory.frame

    def read(self) -> bool:
        """Take the next frames from the recording; whether there are any."""
        if self.complete:
            return False
        try:
            return self.reel.read()
        except BrokenVideoError as error:
            self.trouble = error
            return False

    def take(self, tracked: Tracked, stopped: Callable[[], bool]) -> None:
        """Write what was found in the frames that were read.

        Args:
            tracked: that.
            stopped: whether a signal came; then no more is written than has to be.
        """
        self._write(self._through([tracked], last=False), stopped)

    def end(self, stopped: Callable[[], bool]) -> TrackingOutcome:
        """Finish the files: no frames are left. Where a signal came note how far they are.

        Raises:
            UserError: the video broke off; the files hold what came before.
        """
        if not self.complete:
            self._write(self._through([], last=True), stopped)
            if self.trouble is not None and self.memory is None:
                raise self.trouble
            if stopped():
                return self.interrupt()
            self.complete = True
            self._save()
        fps = self._fps()
        self._finish()
        if self.trouble is not None:
            raise UserError(
                f"{self.trouble}; the tracks of the {self.done} frames before are in "
                f"{self.targets.out}"
            )
        return self._outcome(fps)

    def interrupt(self) -> TrackingOutcome:
        """Note how far everything is."""
        self._save()
        return self._outcome(self._fps())

    def close(self) -> None:
        """Let go of all files; those that nobody can go on with are taken away."""
        self.reel.close()
        for output in self.outputs.values():
            output.close()
        if not self.targets.state.exists():
            for path in self.targets.paths:
                part_of(path).unlink(missing_ok=True)

    def _through(self, found: list[Tracked], *, last: bool) -> Iterator[Tracked]:
        """Frames with identities, as soon as those after them say which."""
        stream: Iterator[Tracked] = iter(found)
        for stage in self.stages:
            stream = _staged(stage, stream, last=last)
        return map(self._apart, stream)

    def _apart(self, tracked: Tracked) -> Tracked:
        """The frames as they are written: identities know of all objects, outputs not."""
        least, threshold = self.request.separation, self.request.threshold
        return tracked.separated(least, threshold=threshold)

    def _write(self, found: Iterator[Tracked], stopped: Callable[[], bool]) -> None:
        for tracked in found:
            for output in self.outputs.values():
                output.add(tracked)
            self.memory, self.identities = tracked.memory, tracked.identities
            self.gaps = tracked.gaps
            table = self.outputs["tracks"]
            assert isinstance(table, TableOutput)
            self.watcher.stepped(self.done, table.present)
            if stopped():
                return
            if time.monotonic() - self.saved >= self.request.save_every:
                self._save()
                self.saved = time.monotonic()

    def _save(self) -> None:
        """Note how far everything is, once that is on the disk."""
        assert self.memory is not None
        self.kept = {name: output.sync() for name, output in self.outputs.items()}
        state = State(
            self.memory, self.identities, self.gaps, self.kept, self.fingerprint, self.complete
        )
        save_state(self.targets.state, state, self.program)

    def _finish(self) -> None:
        """Give the files their names."""
        recording = self.recording
        deviations = deviations_in_words(self.program)
        if self.request.measure:
            deviations += "; of positions that --measure gave, those of its fit"
        about = About(
            source=recording.name,
            height=recording.source[0],
            width=recording.source[1],
            fps=recording.fps,
            start=recording.options.start,
            stride=recording.options.stride,
            frames=self.done,
            configuration=self.fingerprint["the run's configuration"],
            weights=self.fingerprint["the run's weights"],
            deviations=deviations,
        )
        for output in self.outputs.values():
            output.finish(about)
        self.targets.state.unlink(missing_ok=True)

    def _fps(self) -> float:
        return (self.done - self.before) / (time.perf_counter() - self.since)

    def _outcome(self, fps: float) -> TrackingOutcome:
        number = self.kept["tracks"]["tracks"]
        return TrackingOutcome(self.done, number, fps, not self.complete, self._told())

    def _told(self) -> str:
        """What was measured of looks last."""
        state = None
        if self.request.recognise:
            state = self.identities
        elif self.request.join:
            state = self.gaps
        return "" if state is None else Telling.from_state(state["telling"]).words


def _staged(
    stage: LookingAhead, stream: Iterator[Tracked], *, last: bool
) -> Generator[Tracked, None, None]:
    for tracked in stream:
        yield from stage.push(tracked)
    if last:
        yield from stage.rest()


@contextmanager
def opened_job(
    program: Program,
    fitted: Callable[[tuple[int, int]], Program],
    request: TrackingRequest,
    watcher: TrackingWatcher,
) -> Iterator[TrackingJob]:
    """A tracking that owns its files for as long as the block lasts.

    Args:
        program: trained.
        fitted: the same for frames of a height and width.
        request: what is asked for.
        watcher: told of progress.

    Raises:
        UserError: a file cannot be written or must not be, the video cannot be read or tracked, or
            what is resumed is something else.
    """
    targets = request.targets()
    recording = open_recording(program.config, request.video, request.start, request.stop)
    targets.check(request.video)
    fingerprint = request.fingerprint(program)
    own = fitted(recording.size)
    with owned(*targets.files, targets.state, folders=targets.folders):
        targets.check_free(resume=request.resume, overwrite=request.overwrite)
        state: State | None = None
        if request.resume:
            state = load_state(targets.state, program)
            check_same(targets.state, state.fingerprint, fingerprint)
        job = TrackingJob(own, request, recording, targets, fingerprint, state, watcher)
        try:
            yield job
        finally:
            job.close()
