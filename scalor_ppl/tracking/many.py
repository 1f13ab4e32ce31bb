"""Tracking many videos, each into files of its own, in a folder that knows what is done.

``FOLDER/tracked.jsonl`` has a line for every finished video: its files, frames, tracks, and what
they were made with. It is what ``resume`` goes by: a video that has a line is left alone, one whose
tracking was interrupted goes on from where it was, and all others are tracked.
"""

import json
import math
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalor_ppl.errors import UserError
from scalor_ppl.files import explained, written_whole
from scalor_ppl.parallel.tasks import TaskResult, connected
from scalor_ppl.results.locks import owned
from scalor_ppl.tracking.formats import FORMATS
from scalor_ppl.tracking.job import TrackingOutcome
from scalor_ppl.tracking.outputs import GO_ON, part_of, state_of
from scalor_ppl.tracking.request import TrackingRequest
from scalor_ppl.tracking.state import check_same, describe_video
from scalor_ppl.tracking.workers import RunChoice, described, track_elsewhere, track_here

RECORD = "tracked.jsonl"
ENDINGS = {"overlay": ".mp4", "masks": ".nc", "events": ".csv"}


@dataclass(frozen=True)
class VideoResult:
    """How the tracking of one of many videos ended.

    Attributes:
        video: as it was given.
        out: its file of tracks.
        outcome: none where it failed.
        error: why it failed, in one line.
        fault: whether that is a fault of the program or a worker.
    """

    video: Path
    out: Path
    outcome: TrackingOutcome | None
    error: str | None
    fault: bool


@dataclass(frozen=True)
class ManyVideos:
    """Videos, and where what is found in them goes.

    Attributes:
        videos: by the name that their files get.
        out: folder of the tracks.
        form: of the tracks, a name of `formats.FORMATS`.
        folders: of what else is asked for: ``overlay``, ``masks``, ``events``.
    """

    videos: Mapping[str, Path]
    out: Path
    form: str = "mot"
    folders: Mapping[str, Path] = field(default_factory=dict)

    def files(self, name: str) -> dict[str, Path]:
        """The files of a video, by field of `TrackingRequest`."""
        ending = FORMATS[self.form].suffixes[0]
        also = {key: path / f"{name}{ENDINGS[key]}" for key, path in self.folders.items()}
        return {"out": self.out / f"{name}{ending}", **also}


def track_videos(
    choice: RunChoice,
    many: ManyVideos,
    *,
    options: Mapping[str, Any] | None = None,
    batch: int = 1,
    jobs: int = 1,
    scheduler: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Generator[VideoResult, None, None]:
    """Track every video; results come as they are ready, a failed one does not stop the others.

    Args:
        choice: the trained program.
        many: videos and places.
        options: fields of `TrackingRequest`: ``chunk``, ``threshold``, ``recognise``, ``join``,
            ``measure``, ``separation``, ``start``, ``stop``.
        batch: videos that advance together on a device, see `together.track_together`.
        jobs, scheduler: where, see `parallel.tasks.connected`. Each worker does ``batch`` videos at
            a time, and tells of them when all of them have ended.
        resume: leave out videos that are done, and go on with those that were interrupted.
        overwrite: replace files that are there.

    Yields:
        A result for each video that was not done before. After a signal (in this process alone) no
        other one is begun.

    Raises:
        UserError: nothing was begun: a video is missing, files are there already, what is resumed
            is of another tracking, or no worker can be had.
    """
    if many.form not in FORMATS:
        raise UserError(f"--format {many.form} is unknown: give {', '.join(FORMATS)}")
    FORMATS[many.form].check()
    for path in (many.out, *many.folders.values()):
        if path.is_file():
            raise UserError(f"{path} is a file: of several videos, name a folder")
    for video in many.videos.values():
        if not video.exists():
            raise UserError(f"no such video: {video}")
    options = options or {}
    program = choice.load()
    made_with = described(program)
    used = {**dict(made_with), **{f"--{k}": str(v) for k, v in options.items()}}
    used["--format"] = many.form
    record = many.out / RECORD
    workers = max(1, min(jobs, len(many.videos)))
    with connected(workers, scheduler) as client, owned(record):
        done = _done(record, many, used) if resume else {}
        left = [name for name in many.videos if name not in done]
        requests = {name: _request(many, name, options) for name in left}
        if not resume:
            _make_room(record, requests.values(), overwrite=overwrite)
        asked = list(requests.values())
        if client is None:
            results = track_here(program, asked, batch)
        else:
            # Where there are few videos every worker gets some.
            together = max(1, min(batch, math.ceil(len(asked) / workers)))
            results = track_elsewhere(client, choice.anywhere(), made_with, asked, together)
        with closing(results):
            for result in results:
                yield _noted(record, many, left[result.index], used, result)


def _request(many: ManyVideos, name: str, options: Mapping[str, Any]) -> TrackingRequest:
    """What is to be made of one of the videos, by absolute paths."""
    files: dict[str, Any] = {key: path.resolve() for key, path in many.files(name).items()}
    return TrackingRequest(many.videos[name].resolve(), form=many.form, **files, **options)


def _make_room(record: Path, requests: Iterable[TrackingRequest], *, overwrite: bool) -> None:
    """See to it that nothing is there that a new tracking would have to respect.

    Raises:
        UserError: something is, and must not be replaced.
    """
    for request in requests:
        state, paths = state_of(request.out), request.targets().paths
        for path in (state, *paths):
            if path.exists() and not overwrite:
                raise UserError(
                    f"{path} is there already: go on with --resume, name another folder, or give "
                    "--overwrite"
                )
        state.unlink(missing_ok=True)
        for path in paths:
            part_of(path).unlink(missing_ok=True)
    with written_whole(record) as lent:
        lent.touch()


def _done(record: Path, many: ManyVideos, used: Mapping[str, str]) -> dict[str, Any]:
    """What the record has of these videos.

    Raises:
        UserError: there is no record, or it is of another tracking.
    """
    if not record.is_file():
        raise UserError(f"there is no {record} to go on from: leave --resume out")
    done: dict[str, Any] = {}
    for line in _lines(record):
        name = line["name"]
        if name not in many.videos or any(not path.exists() for path in many.files(name).values()):
            continue
        now = {**used, **describe_video(many.videos[name])}
        check_same(record, line["made_with"], now)
        done[name] = line
    return done


def _lines(record: Path) -> Iterator[dict[str, Any]]:
    """The lines of a record; one that was cut short in the middle is none."""
    for line in record.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and {"name", "made_with"} <= found.keys():
                yield found


def _noted(
    record: Path,
    many: ManyVideos,
    name: str,
    used: Mapping[str, str],
    result: TaskResult[TrackingOutcome],
) -> VideoResult:
    """A task's result as a video's; where it is finished, the record knows of it."""
    video, files, outcome = many.videos[name], many.files(name), result.value
    if outcome is not None and not outcome.interrupted:
        line = {
            "name": name,
            "video": str(video),
            "files": {key: str(path) for key, path in files.items()},
            "frames": outcome.frames,
            "tracks": outcome.tracks,
            "made_with": {**used, **describe_video(video)},
        }
        with explained(record, GO_ON), record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    return VideoResult(video, files["out"], outcome, result.error, result.fault)
