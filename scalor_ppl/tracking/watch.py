"""Who is told how tracking goes, and how it ended."""

from dataclasses import dataclass
from typing import Protocol


class Watcher(Protocol):
    """Who is told how tracking goes (the command line's progress, a notebook, a test)."""

    def warned(self, message: str) -> None:
        """Something about the video should be known."""

    def began(self, done: int, total: int | None) -> None:
        """So many frames were done before, of so many in all (none: nobody knows)."""

    def stepped(self, done: int, objects: int) -> None:
        """So many frames are done; so many objects are in the last one."""


class Silent:
    """A watcher that says nothing."""

    def warned(self, message: str) -> None:
        """Nothing."""

    def began(self, done: int, total: int | None) -> None:
        """Nothing."""

    def stepped(self, done: int, objects: int) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Outcome:
    """How tracking ended.

    Attributes:
        frames: that were tracked, those before an interruption included.
        tracks: identities that were written.
        fps: frames a second of this part.
        interrupted: whether a signal ended it; then there are no finished files yet.
    """

    frames: int
    tracks: int
    fps: float
    interrupted: bool
