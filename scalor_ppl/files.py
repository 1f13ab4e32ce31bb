"""Files that are either whole or not there."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scalor_ppl.errors import UserError

# What a disk or its owner may refuse: not a fault of the program.
REFUSALS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENAMETOOLONG,
    errno.ESTALE,
}

REMEDY = "mend that, or name another place"


def check_writable(path: Path, *, folder: bool = False) -> None:
    """Complain now about a file that could not be written when the work is done.

    Args:
        path: of the file.
        folder: it is a folder that is written as a whole.

    Raises:
        UserError: the path is the other kind, or its folder cannot be made or written to.
    """
    if path.is_dir() and not folder:
        raise UserError(f"{path} is a folder; name a file to write")
    if path.is_file() and folder:
        raise UserError(f"{path} is a file; name a folder to write")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {path}: {above} is no folder to write to")


def check_room(path: Path, needed: int) -> None:
    """Complain about a disk on which a file has no room; HDF5 does not survive to find it out.

    Args:
        path: of the file.
        needed: its bytes, about.

    Raises:
        UserError: there is less.
    """
    free = shutil.disk_usage(path.absolute().parent).free
    if free < needed:
        raise UserError(
            f"cannot write {path}: it needs about {needed / 2**20:.1f} MiB, and "
            f"{free / 2**20:.1f} MiB are free; {REMEDY}"
        )


@contextmanager
def written_whole(path: str | Path, remedy: str = REMEDY) -> Iterator[Path]:
    """Lend a path to write to, that becomes `path` when the block ends and vanishes when it fails.

    The lent path lies in the same folder (a rename within one file system is atomic) and has the
    same suffix (writers tell the format from it). Missing parent folders are made.

    Args:
        path: where the file shall be; what is there is replaced at the end, in one step.
        remedy: what to do where the disk takes no more.

    Yields:
        The path to write to.

    Raises:
        UserError: when the folder cannot be made or written to, `path` is a folder, or the disk
            takes no more.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file to write")
    lent = lent_for(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lent.touch(exist_ok=False)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write {path}: {reason}; choose another folder") from error
    try:
        with explained(path, remedy, lent=lent):
            yield lent
            lent.replace(path)
    finally:
        # After a success the lent name is gone already; after any failure nothing half is left.
        lent.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: str | Path, remedy: str = REMEDY) -> Iterator[Path]:
    """Lend an empty folder, that becomes `path` when the block ends and vanishes when it fails.

    A folder cannot take another's place in one step: what was there is moved aside first, so that
    a process killed between the two leaves neither, and nothing that is half one and half another.

    Args:
        path: where the folder shall be; what is there is replaced.
        remedy: what to do where the disk takes no more.

    Yields:
        The folder to write to.

    Raises:
        UserError: it cannot be made, or the disk takes no more.
    """
    path = Path(path)
    lent, before = lent_for(path), lent_for(path)
    with explained(path, remedy):
        path.parent.mkdir(parents=True, exist_ok=True)
        lent.mkdir()
    try:
        with explained(path, remedy, lent=lent):
            yield lent
            if path.exists():
                path.replace(before)
            lent.replace(path)
    finally:
        for left in (lent, before):
            remove(left)


def remove(path: Path) -> None:
    """Take away a file, or a folder with all that is in it; nothing there is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def lent_for(path: Path) -> Path:
    """A name beside a file's, under which it is written."""
    return path.with_name(f".{path.stem[:64]}-{uuid.uuid4().hex[:12]}{path.suffix}")


def was_lent(path: Path) -> str | None:
    """The name of the file that a lent name is for, its stem cut at 64; none: it is no such."""
    found = re.fullmatch(r"\.(.+)-[0-9a-f]{12}(\.\w+)?", path.name)
    return found and f"{found[1]}{found[2] or ''}"


@contextmanager
def explained(path: Path, remedy: str = REMEDY, *, lent: Path | None = None) -> Iterator[None]:
    """What a disk refuses while a file is written, as the user's error.

    Args:
        path: of the file.
        remedy: what to do.
        lent: the name under which it is written; errors about other files pass.

    Raises:
        UserError: says which file, and why.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = refusal(error)
        about = getattr(error, "filename", None)
        if reason is None or (about is not None and not _concerns(Path(str(about)), path, lent)):
            raise
        raise UserError(f"cannot write {path}: {reason}; {remedy}") from error


def _concerns(about: Path, path: Path, lent: Path | None) -> bool:
    """Whether an error about one path is about an output: itself, what is in it, its folders."""
    names = [name for name in (path, lent) if name is not None]
    return any(about == n or n in about.parents or about in n.parents for n in names)


def refusal(error: BaseException) -> str | None:
    """Why the disk or its owner refused a file, in the system's words; none: it did not.

    HDF5 has errors of its own, with the system's number in their text.
    """
    number = getattr(error, "errno", None)
    if number is None and (found := re.search(r"errno = (\d+)", str(error))):
        number = int(found[1])
    return os.strerror(number) if number in REFUSALS else None
