"""What a format of tracks is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scalor_ppl.tracking.output import About


def _always() -> None:
    """Nothing is missing."""


@dataclass(frozen=True)
class Format:
    """A format of tracks.

    Attributes:
        suffixes: what its files end in.
        encode: rows ``[R]`` of `rows.ROW` as the bytes that are added to the file in the making.
        finish: makes the target of the whole file in the making, and leaves that alone or takes it
            away.
        header: bytes at the beginning of the file in the making.
        check: complains where the format cannot be written here.
    """

    suffixes: tuple[str, ...]
    encode: Callable[[np.ndarray], bytes]
    finish: Callable[[Path, Path, About], None]
    header: bytes = b""
    check: Callable[[], None] = _always


def renamed(part: Path, target: Path, about: About) -> None:
    """The finish of a text format: the file in the making is what is wanted."""
    part.replace(target)
