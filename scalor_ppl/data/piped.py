"""Recordings that come through a pipe: written to a file once, as they are read twice and more."""

import atexit
import os
import shutil
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path

from scalor_ppl.errors import UserError

STANDARD_INPUT = Path("-")
"""How standard input is named in place of a path."""

_STDIN = "/dev/stdin"


def is_piped(path: Path) -> bool:
    """Whether a path is what can be read but once: ``-``, ``/dev/stdin`` of a pipe, ``<(...)``."""
    if path == STANDARD_INPUT:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    # A pipe with a name of its own in the file system may have nobody at its other end.
    lent = os.path.realpath(path.parent).startswith(("/dev", "/proc"))
    return lent and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode))


def local_copy(path: Path) -> Path:
    """The path, or a temporary file with all that comes through it, where it is a pipe.

    The pipe is read once; the file is there until the process ends.

    Raises:
        UserError: nothing comes, it is a terminal, or there is no room for it.
    """
    if not is_piped(path):
        return path
    return _spooled(_STDIN if path == STANDARD_INPUT else str(path))


@cache
def _spooled(source: str) -> Path:
    """The file with all that comes through a pipe."""
    standard = source == _STDIN
    if standard and sys.stdin is not None and sys.stdin.isatty():
        raise UserError("standard input is a terminal: send a video file into it, < NAME.mp4")
    folder = Path(tempfile.mkdtemp(prefix="scalor-ppl-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    target = folder / ("standard input" if standard else "pipe")
    try:
        # Standard input by its number: it may be nothing that can be opened by a path.
        with (
            open(0 if standard else source, "rb", closefd=not standard) as pipe,
            target.open("wb") as file,
        ):
            shutil.copyfileobj(pipe, file, 2**20)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"{source} cannot be copied to {folder} ({reason}): save it as a file first"
        ) from error
    if not target.stat().st_size:
        raise UserError(f"{source} is empty: nothing came through the pipe")
    return target


def refuse_piped(path: str | Path) -> None:
    """Complain about a pipe where a run is to remember what it was trained on.

    Raises:
        UserError: it is one.
    """
    if is_piped(Path(path)):
        raise UserError(
            f"{path} can be read but once, and a run goes back to what it was trained on: save "
            "the video as a file first"
        )
