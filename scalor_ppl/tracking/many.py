"""Tracking many videos, each into files of its own, in a folder that knows what is done.

``FOLDER/tracked.jsonl`` has a line for every finished video: its files, frames, tracks, and what
they were made with. It is what ``resume`` goes by: a video that has a line is left alone, one whose
tracking was interrupted goes on from where it was, and all others are tracked.
"""

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scalor_ppl.errors import UserError
from scalor_ppl.files import explained, written_whole
from scalor_ppl.parallel.tasks import TaskResult, connected, run_tasks
from scalor_ppl.programs import Program
from scalor_ppl.programs.trust import trusting
from scalor_ppl.results.locks import owned
from scalor_ppl.tracking.formats import FORMATS
from scalor_ppl.tracking.job import TrackingOutcome, track_to_files
from scalor_ppl.tracking.outputs import GO_ON, part_of, state_of
from scalor_ppl.tracking.state import check_same, describe_program, describe_video
from scalor_ppl.training.devices import pick_device
from scalor_ppl.training.runs import SHIPPED, load_run

RECORD = "tracked.jsonl"
ENDINGS = {"overlay": ".mp4", "masks": ".nc", "events": ".csv"}


@dataclass(frozen=True)
class RunChoice:
    """The trained program, as a worker can load it.

    Attributes:
        run: its folder, or ``pretrained:NAME``.
        device: as `pick_device` takes it, on the worker.
        refine: as `load_run` takes it.
        threads: CPU threads of a worker; none leaves them as they are.
        trusted: whether code that the run names may run.
    """

    run: str
    device: str = "auto"
    refine: int | None = None
    threads: int | None = None
    trusted: bool = False

    def load(self) -> Program:
        """Load it in this process."""
        if self.threads is not None:
            import torch

            torch.set_num_threads(self.threads)
        with trusting() if self.trusted else nullcontext():
            return load_run(Path(self.run), pick_device(self.device), refine=self.refine)


@dataclass(frozen=True)
class VideoTask:
    """A video to be tracked.

    Attributes:
        choice: with what.
        video: absolute path.
        files: keywords of `track_to_files` that are files, with absolute paths.
        options: the other ones.
    """

    choice: RunChoice
    video: Path
    files: Mapping[str, Path]
    options: Mapping[str, Any]

    @property
    def state(self) -> Path:
        """Where it is noted how far it is."""
        return state_of(self.files["out"])


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
        """The files of a video, by keyword of `track_to_files`."""
        ending = FORMATS[self.form].suffixes[0]
        also = {key: path / f"{name}{ENDINGS[key]}" for key, path in self.folders.items()}
        return {"out": self.out / f"{name}{ending}", **also}


def track_videos(
    choice: RunChoice,
    many: ManyVideos,
    *,
    options: Mapping[str, Any] | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Generator[VideoResult, None, None]:
    """Track every video; results come as they are ready, a failed one does not stop the others.

    Args:
        choice: the trained program.
        many: videos and places.
        options: keywords of `track_to_files`: ``chunk``, ``threshold``, ``recognise``, ``join``,
            ``measure``, ``start``, ``stop``.
        jobs, scheduler: where, see `parallel.tasks.connected`.
        resume: leave out videos that are done, and go on with those that were interrupted.
        overwrite: replace files that are there.

    Yields:
        A result for each video that was not done before. After one that was interrupted by a
        signal (in this process alone) no other one is begun.

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
    where = choice if choice.run.startswith(SHIPPED) else _absolute(choice)
    used = describe_program(choice.load()) | {f"--{k}": str(v) for k, v in options.items()}
    used["--format"] = many.form
    record = many.out / RECORD
    workers = max(1, min(jobs, len(many.videos)))
    with connected(workers, scheduler) as client, owned(record):
        done = _done(record, many, used) if resume else {}
        tasks = {
            name: VideoTask(
                where,
                video.resolve(),
                {key: path.resolve() for key, path in many.files(name).items()},
                {**options, "form": many.form},
            )
            for name, video in many.videos.items()
            if name not in done
        }
        if not resume:
            _make_room(record, tasks, overwrite=overwrite)
        names = list(tasks)
        for result in run_tasks(track_task, list(tasks.values()), client):
            found = _noted(record, many, names[result.index], used, result)
            yield found
            if found.outcome is not None and found.outcome.interrupted:
                return


def track_task(task: VideoTask) -> TrackingOutcome:
    """Track one of many videos, on whichever worker; after a worker's death it goes on.

    Raises:
        UserError: as `track_to_files` says.
    """
    # Whoever asked saw to it that these files may be written, and that a state is of this tracking.
    going_on = task.state.exists()
    keywords: dict[str, Any] = {**task.files, **task.options}
    return track_to_files(
        task.choice.load(),
        task.video,
        **keywords,
        resume=going_on,
        overwrite=not going_on,
    )


def _absolute(choice: RunChoice) -> RunChoice:
    """The same from any directory."""
    return replace(choice, run=str(Path(choice.run).resolve()))


def _make_room(record: Path, tasks: Mapping[str, VideoTask], *, overwrite: bool) -> None:
    """See to it that nothing is there that a new tracking would have to respect.

    Raises:
        UserError: something is, and must not be replaced.
    """
    for task in tasks.values():
        for path in (task.state, *task.files.values()):
            if path.exists() and not overwrite:
                raise UserError(
                    f"{path} is there already: go on with --resume, name another folder, or give "
                    "--overwrite"
                )
        task.state.unlink(missing_ok=True)
        for path in task.files.values():
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
