"""The files that a tracking is to write."""

from dataclasses import dataclass
from pathlib import Path

from scalor_ppl.errors import UserError
from scalor_ppl.files import check_writable
from scalor_ppl.tracking.output import part_of
from scalor_ppl.tracking.state import state_of
from scalor_ppl.tracking.writers.form import Format


@dataclass(frozen=True)
class Targets:
    """The files that are asked for.

    Attributes:
        out: the tracks.
        form: their format.
        overlay: the video with what was found drawn on it, or none.
        masks: which object is seen at each pixel, or none.
    """

    out: Path
    form: Format
    overlay: Path | None
    masks: Path | None

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [path for path in (self.out, self.overlay, self.masks) if path is not None]

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
        for option, path, end in (("overlay", self.overlay, ".mp4"), ("masks", self.masks, ".nc")):
            if path is not None and path.suffix != end:
                raise UserError(f"--{option} {path}: end it in {end}")
        taken = {video.resolve(): "the video itself"}
        for path in self.paths:
            if path.resolve() in taken:
                raise UserError(f"{path} is {taken[path.resolve()]}: name another file")
            taken[path.resolve()] = "named twice"
        for path in (*self.paths, *map(part_of, self.paths), self.state):
            check_writable(path)

    def check_free(self, *, resume: bool, overwrite: bool) -> None:
        """Complain about files that must not be written; only who owns them can tell.

        Args:
            resume: whether an interrupted tracking goes on.
            overwrite: whether files that are there may be replaced.

        Raises:
            UserError: says which file, and why.
        """
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
