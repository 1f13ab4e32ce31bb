"""A file that is written to at its end, and can go back to where it was."""

import os
from pathlib import Path

from scalor_ppl.errors import UserError
from scalor_ppl.files import explained

GO_ON = "mend that and go on with --resume"


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
