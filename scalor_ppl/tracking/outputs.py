"""The files of a tracking: which they are, and how each is written beside its place first."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from scalor_ppl.errors import UserError
from scalor_ppl.files import check_writable, explained

if TYPE_CHECKING:
    from scalor_ppl.tracking.formats import Format
    from scalor_ppl.tracking.tracked import Tracked

GO_ON = "mend that and go on with --resume"


@dataclass(frozen=True)
class About:
    """What a finished file says of itself.

    Attributes:
        source: name of the video.
        height: of its frames, in pixels.
        width: of its frames.
        fps: its frames a second; none where there is no such thing.
        start: number of the first frame that was tracked, from 0.
        stride: every so many frames one was tracked.
        frames: how many were tracked.
        configuration: digest of the run's configuration.
        weights: digest of the run's weights.
        deviations: whether x_std and y_std are calibrated, and on what.
    """

    source: str
    height: int
    width: int
    fps: float | None
    start: int
    stride: int
    frames: int
    configuration: str
    weights: str
    deviations: str

    def attributes(self) -> dict[str, Any]:
        """As attributes of a file: what is none is left out."""
        return {name: value for name, value in vars(self).items() if value is not None}


class Output(Protocol):
    """A file in the making.

    Attributes:
        target: where it will be.
    """

    target: Path

    def add(self, tracked: "Tracked") -> None:
        """Write the next frames."""
        ...

    def sync(self) -> dict[str, Any]:
        """Bring everything to the disk; what is needed to go on from here, as a checkpoint's."""
        ...

    def close(self) -> None:
        """Let go of the file in the making."""
        ...

    def finish(self, about: About) -> None:
        """Turn the file in the making into the target; after an interruption here, once more."""
        ...


def part_of(target: Path) -> Path:
    """Where a file in the making lies."""
    return target.with_name(f"{target.name}.part")


def state_of(out: Path) -> Path:
    """Where the state of the tracking into a file lies."""
    return out.with_name(f"{out.name}.resume")


@dataclass(frozen=True)
class Targets:
    """The files that are asked for.

    Attributes:
        out: the tracks.
        form: their format.
        overlay: the video with what was found drawn on it, or none.
        masks: which object is seen at each pixel, or none.
        events: who met whom, or none.
        positions: the tracks with all their columns, beside a format that has fewer, or none.
    """

    out: Path
    form: "Format"
    overlay: Path | None
    masks: Path | None
    events: Path | None
    positions: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        others = (self.overlay, self.masks, self.events, self.positions)
        return [self.out, *(path for path in others if path is not None)]

    @property
    def folders(self) -> list[Path]:
        """Those of them that are folders."""
        return [self.out] if self.form.folder else []

    @property
    def files(self) -> list[Path]:
        """Those of them that are not."""
        return [path for path in self.paths if path not in self.folders]

    @property
    def state(self) -> Path:
        """Where it is noted how far they are."""
        return state_of(self.out)

    def check(self, video: Path) -> None:
        """Complain now about files that cannot be written.

        Args:
            video: what is tracked.

        Raises:
            UserError: says which file, and why.
        """
        for option, path, end in (
            ("overlay", self.overlay, ".mp4"),
            ("masks", self.masks, ".nc"),
            ("events", self.events, ".csv"),
            ("positions", self.positions, ".csv"),
        ):
            if path is not None and path.suffix != end:
                raise UserError(f"--{option} {path}: end it in {end}")
        taken = {video.resolve(): "the video itself"}
        for path in self.paths:
            if path.resolve() in taken:
                raise UserError(f"{path} is {taken[path.resolve()]}: name another file")
            taken[path.resolve()] = "named twice"
        for path in (*self.files, *map(part_of, self.paths), self.state):
            check_writable(path)
        for path in self.folders:
            check_writable(path, folder=True)

    def check_free(self, *, resume: bool, overwrite: bool) -> None:
        """Complain about files that must not be written; only who owns them can tell.

        Args:
            resume: whether an interrupted tracking goes on.
            overwrite: whether files that are there may be replaced.

        Raises:
            UserError: says which file, and why.
        """
        for folder in self.folders:
            # With it everything in it would go.
            others = [] if not folder.exists() else self.form.others_in(folder)
            if others:
                raise UserError(
                    f"{folder} is there already, and holds {others[0]}, which is not of such "
                    "tracks: name another folder"
                )
        if resume or overwrite:
            return
        if self.state.exists():
            raise UserError(
                f"{self.state} is of an interrupted tracking: go on with --resume, or begin anew "
                "with --overwrite"
            )
        for path in self.paths:
            if path.exists():
                raise UserError(f"{path} is there already: name another file, or give --overwrite")


class AppendedFile:
    """Bytes appended to a file beside its later place.

    Args:
        path: of the file; its folder is made where it is missing.
        length: bytes that are kept of what is there; what follows them is cut off.

    Raises:
        UserError: it cannot be written, or is shorter than that.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        self.path = path
        with explained(path, GO_ON):
            path.parent.mkdir(parents=True, exist_ok=True)
            there = path.stat().st_size if path.exists() else 0
            if there < length:
                raise UserError(
                    f"{path} has {there} bytes, not the {length} that were written: "
                    "begin anew with --overwrite"
                )
            # Without a buffer: what a full disk did not take must not come up again on closing.
            self._file = path.open("r+b" if length else "wb", buffering=0)
            self._file.truncate(length)
            self._file.seek(length)

    def append(self, data: bytes) -> None:
        """Add bytes; whoever reads the file sees them.

        Raises:
            UserError: there is no room.
        """
        with explained(self.path, GO_ON):
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]

    def sync(self) -> int:
        """See to it that all bytes are on the disk; the length of the file."""
        with explained(self.path, GO_ON):
            os.fsync(self._file.fileno())
            return self._file.tell()

    def close(self) -> None:
        """Let go of the file; to do so again is no error."""
        self._file.close()
