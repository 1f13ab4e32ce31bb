"""Tracking a video into files, with an end that can be put off, and who is told of it."""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import closing
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
from scalor_ppl.tracking.identify import joined_stream, recognised_stream
from scalor_ppl.tracking.masks import MaskOutput
from scalor_ppl.tracking.outputs import About, Output, Targets, part_of
from scalor_ppl.tracking.overlay import OverlayOutput
from scalor_ppl.tracking.recording import Recording, open_recording
from scalor_ppl.tracking.state import (
    State,
    check_same,
    describe_program,
    describe_video,
    load_state,
    save_state,
)
from scalor_ppl.tracking.stream import CHUNK, BrokenVideoError, Tracked, follow_recording
from scalor_ppl.tracking.table import TableOutput
from scalor_ppl.training.signals import stop_signals

SAVE_EVERY = 10.0
"""Seconds of work that a killed process loses at most, about."""


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
    video = Path(video)
    targets = Targets(
        Path(out),
        format_of(Path(out), form),
        None if overlay is None else Path(overlay),
        None if masks is None else Path(masks),
        None if events is None else Path(events),
        None if positions is None else Path(positions),
    )
    recording = open_recording(program.config, video, start, stop)
    targets.check(video)
    fingerprint = describe_program(program) | describe_video(video)
    fingerprint |= {
        "--format": form or targets.out.suffix,
        "--overlay": str(targets.overlay and targets.overlay.resolve()),
        "--masks": str(targets.masks and targets.masks.resolve()),
        "--events": str(targets.events and targets.events.resolve()),
        "--positions": str(targets.positions and targets.positions.resolve()),
        "--chunk": str(chunk),
        "--threshold": str(threshold),
        "--recognise": str(recognise),
        "--join": str(join),
        "--measure": str(measure),
        "--start": str(start),
        "--stop": str(stop),
    }
    fitted = program.for_size(recording.size)
    with owned(*targets.files, targets.state, folders=targets.folders):
        targets.check_free(resume=resume, overwrite=overwrite)
        state: State | None = None
        if resume:
            state = load_state(targets.state, program)
            check_same(targets.state, state.fingerprint, fingerprint)
        job = _Job(
            fitted,
            targets,
            recording,
            threshold,
            recognise,
            join,
            measure,
            fingerprint,
            state,
            watcher or SilentTracking(),
        )
        return job.run(chunk, save_every)


class _Job:
    """One tracking: its outputs, and how far they are."""

    def __init__(
        self,
        program: Program,
        targets: Targets,
        recording: Recording,
        threshold: float,
        recognise: bool,
        join: bool,
        measure: bool,
        fingerprint: dict[str, str],
        state: State | None,
        watcher: TrackingWatcher,
    ) -> None:
        self.program = program
        self.targets = targets
        self.recording = recording
        self.recognise = recognise
        self.join = join
        self.measure = measure
        self.fingerprint = fingerprint
        self.watcher = watcher
        self.memory = state.memory if state else None
        self.identities = state.identities if state else None
        self.gaps = state.gaps if state else None
        self.complete = state.complete if state else False
        self.kept = state.outputs if state else {}
        self.outputs: dict[str, Output] = {}
        if state is None:
            # Before a part is cut: from then on it would be wrong.
            targets.state.unlink(missing_ok=True)
        if self._wanted(targets.out):
            kept = self.kept.get("tracks")
            self.outputs["tracks"] = TableOutput(targets.out, targets.form, threshold, kept)
        if targets.positions is not None and self._wanted(targets.positions):
            kept = self.kept.get("positions")
            form = format_of(targets.positions, None)
            self.outputs["positions"] = TableOutput(targets.positions, form, threshold, kept)
        if targets.overlay is not None and self._wanted(targets.overlay):
            fps = recording.fps and recording.fps / recording.options.stride
            kept = self.kept.get("overlay")
            self.outputs["overlay"] = OverlayOutput(targets.overlay, threshold, fps, kept)
        if targets.masks is not None and self._wanted(targets.masks):
            kept = self.kept.get("masks")
            self.outputs["masks"] = MaskOutput(targets.masks, threshold, kept)
        if targets.events is not None and self._wanted(targets.events):
            kept = self.kept.get("events")
            self.outputs["events"] = EventOutput(targets.events, threshold, kept)

    def _wanted(self, target: Path) -> bool:
        """Whether a file is not finished: the last part may have been killed between two."""
        return not self.complete or part_of(target).exists()

    @property
    def done(self) -> int:
        """Frames that are done."""
        return 0 if self.memory is None else self.memory.frame

    def run(self, chunk: int, save_every: float) -> TrackingOutcome:
        """Track to the end, or until a signal comes."""
        before, since = self.done, time.perf_counter()
        if self.recording.variable_rate:
            self.watcher.warned(
                f"the frames of {self.recording.name} are unevenly spaced in time: tracks tell the "
                "frame's number, not its time"
            )
        self.watcher.began(before, self.recording.total)
        trouble: BrokenVideoError | None = None
        try:
            with stop_signals() as stopped:
                if not self.complete:
                    try:
                        self._follow(chunk, save_every, stopped)
                    except BrokenVideoError as error:
                        if self.memory is None:
                            raise
                        trouble = error
                        self.complete = True
                        self._save()
                fps = (self.done - before) / (time.perf_counter() - since)
                if self.complete:
                    self._finish()
        finally:
            for output in self.outputs.values():
                output.close()
            if not self.targets.state.exists():
                # Nobody can go on with these.
                for path in self.targets.paths:
                    part_of(path).unlink(missing_ok=True)
        if trouble is not None:
            raise UserError(
                f"{trouble}; the tracks of the {self.done} frames before are in {self.targets.out}"
            )
        number = self.kept["tracks"]["tracks"]
        return TrackingOutcome(self.done, number, fps, not self.complete, self._told())

    def _told(self) -> str:
        """What was measured of looks last."""
        state = self.identities if self.recognise else self.gaps if self.join else None
        return "" if state is None else Telling.from_state(state["telling"]).words

    def _follow(self, chunk: int, save_every: float, stopped: Callable[[], bool]) -> None:
        """Track until the end or a signal."""
        saved = -math.inf  # after the first chunk there is something to go on from
        stream = follow_recording(
            self.program,
            self.recording,
            chunk=chunk,
            memory=self.memory,
            shown="overlay" in self.outputs,
            measure=self.measure,
        )
        found: Iterable[Tracked] = stream
        # What they hold back for what comes after is not done, and worked on again after a break.
        if self.recognise:
            found = recognised_stream(found, self.identities)
        if self.join:
            found = joined_stream(found, self.gaps)
        with closing(stream):
            for tracked in found:
                for output in self.outputs.values():
                    output.add(tracked)
                self.memory, self.identities = tracked.memory, tracked.identities
                self.gaps = tracked.gaps
                table = self.outputs["tracks"]
                assert isinstance(table, TableOutput)
                self.watcher.stepped(self.done, table.present)
                if stopped():
                    self._save()
                    return
                if time.monotonic() - saved >= save_every:
                    self._save()
                    saved = time.monotonic()
        self.complete = True
        self._save()

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
            deviations=deviations_in_words(self.program)
            + ("; of positions that --measure gave, those of its fit" if self.measure else ""),
        )
        for output in self.outputs.values():
            output.finish(about)
        self.targets.state.unlink(missing_ok=True)
