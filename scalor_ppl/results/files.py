"""Files that are either whole or not there."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scalor_ppl.errors import UserError


def check_writable(path: Path) -> None:
    """Complain now about a file that could not be written when the work is done.

    Raises:
        UserError: the path is a folder, or its folder cannot be made or written to.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file to write")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {path}: {folder} is no folder to write to")


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Lend a path to write to, that becomes `path` when the block ends and vanishes when it fails.

    The lent path lies in the same folder (a rename within one file system is atomic) and has the
    same suffix (writers tell the format from it). Missing parent folders are made.

    Args:
        path: where the file shall be; what is there is replaced at the end, in one step.

    Yields:
        The path to write to.

    Raises:
        UserError: when the folder cannot be made or written to, or `path` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file to write")
    lent = path.with_name(f".{path.stem[:64]}-{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lent.touch(exist_ok=False)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write {path}: {reason}; choose another folder") from error
    try:
        yield lent
        lent.replace(path)
    finally:
        # After a success the lent name is gone already; after any failure nothing half is left.
        lent.unlink(missing_ok=True)
