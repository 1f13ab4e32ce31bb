"""Who writes an output owns it: as long as it is written, a second process is refused.

The locks are the operating system's (``flock``), held through a small file beside the output, or
inside it where it is a folder. They end with the process, however it ends: nobody has to remove
anything after a crash. Who may take a lock twice is the thread that holds it, so that a command
that owns a run's folder can train in it.
"""

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from scalor_ppl.errors import UserError
from scalor_ppl.files import check_writable, explained, remove, was_lent

LOCK = ".lock"
"""Name of the lock inside a folder."""
# File systems without locks (some network mounts): one writes there as ever, unguarded.
_WITHOUT = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}


@contextmanager
def owned(
    *files: str | Path | None, folders: Sequence[Path] = (), wait: float = 0.0
) -> Iterator[None]:
    """Own files for as long as they are written.

    Args:
        files: that will be written; none are left out.
        folders: that will be written, each as a whole like a file.
        wait: seconds to wait for another process that writes one of them.

    Raises:
        UserError: another process writes one of them, or it could not be written.
    """
    paths = [Path(file) for file in files if file is not None]
    for path in paths:
        check_writable(path)
    for path in folders:
        check_writable(path, folder=True)
        paths.append(path)
    with ExitStack() as held:
        # Always in the same order: two that wait for each other would wait for ever.
        for path in sorted(paths, key=lambda path: _lock_beside(path)):
            held.enter_context(_held(_lock_beside(path), path, wait))
            for left in path.parent.glob(f".{path.stem[:64]}-*"):
                if was_lent(left) == f"{path.stem[:64]}{path.suffix}":
                    remove(left)
        yield


@contextmanager
def owned_folder(folder: str | Path, wait: float = 0.0) -> Iterator[None]:
    """Own a folder, the run's or any other, for as long as things are written into it.

    It is made where it is missing, and taken away again where nothing was written.

    Args:
        folder: that will be written to.
        wait: seconds to wait for another process that does.

    Raises:
        UserError: another process writes to it, or it cannot be made or written to.
    """
    folder = Path(folder)
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise UserError(f"cannot make {folder}: {there} is a file; choose another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to {there}: Permission denied; choose another folder")
    with _held(folder.absolute() / LOCK, folder, wait) as first:
        if first:
            _sweep(folder)
        yield


def holds_nothing(folder: Path) -> bool:
    """Whether a folder is missing or empty, but for its lock."""
    return not folder.exists() or (
        folder.is_dir() and all(path.name == LOCK for path in folder.iterdir())
    )


def _sweep(folder: Path) -> None:
    """Drop what a process that was killed left half-written, but nothing that others own here."""
    for path in [*folder.iterdir()]:
        if path.is_dir() and not path.is_symlink():
            if not (path / LOCK).exists():
                _sweep(path)
        elif (name := was_lent(path)) is not None and not _lock_beside(folder / name).exists():
            path.unlink(missing_ok=True)


def _lock_beside(path: Path) -> Path:
    """The lock of a file: two names of one folder are one."""
    return path.parent.resolve() / f".{path.name}.lock"


@contextmanager
def _there(folder: Path) -> Iterator[None]:
    """Make a folder where it is missing, and take it away again where nothing was put into it."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):  # the first that is not empty ends it
            for each in made:
                each.rmdir()


@contextmanager
def _held(path: Path, output: Path, wait: float) -> Iterator[bool]:
    """Hold the lock of an output; whether it was not held before."""
    with _there(path.parent), _taken(path.parent.resolve() / path.name, output, wait) as first:
        yield first


@contextmanager
def _taken(path: Path, output: Path, wait: float) -> Iterator[bool]:
    """Hold a lock in a folder that is there."""
    # A soft lock, filelock's way out where there is no flock, would outlive a crash.
    lock = FileLock(path, is_singleton=True, fallback_to_soft=False)
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        raise UserError(
            f"{output} is being written by another process{_holder(path)}: wait until it has "
            "ended, or name another output"
        ) from None
    except OSError as error:
        if error.errno in _WITHOUT:
            yield True
            return
        raise UserError(f"cannot write {output}: {error.strerror or error}") from None
    try:
        first = lock.lock_counter == 1
        if first:
            with suppress(OSError):
                path.write_text(f"{socket.gethostname()}, process {os.getpid()}\n")
        yield first
    finally:
        if lock.lock_counter == 1:
            # Before it is released: whoever opened it meanwhile sees that it is gone, and retries.
            with suppress(OSError):
                path.unlink()
        lock.release()


def _holder(path: Path) -> str:
    """Who holds a lock, as far as it says so."""
    try:
        said = path.read_text().strip()
    except (OSError, ValueError):
        return ""
    return f" ({said})" if said else ""
