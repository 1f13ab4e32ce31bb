"""The one reader of MOTChallenge rows, for tracks and for ground truth.

`frame,id,left,top,width,height,conf,...`, one row an object and frame
(https://motchallenge.net/instructions). What differs from the format but cannot be mistaken is read
and noted in one line (see :mod:`scalor_ppl.tracks.mot_dialect`); what can is refused.
"""

import codecs
import logging
import math
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.mot_dialect import Dialect, Headings, RowError, headings_of, settled

FORMAT = "frame,id,left,top,width,height,conf"

_LOG = logging.getLogger(__name__)
_COMMENTS = ("#", "%", "//")
_FAR = 1e9  # pixels: what lies beyond is no box
_LAST_FRAME = 2**62
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Of tables that `track` writes as CSV, which count from 0, as their headings tell.
_OURS = "discovered"


def read_rows(path: str | Path) -> BoxTable:
    """Read a file of MOTChallenge rows, and note on the log what differs from the format.

    Frames count from 0 where the file has a frame 0, else from 1. Ids may be whole numbers of any
    size. Columns beyond the seventh do not matter.

    Args:
        path: a text file. Commas, semicolons, tabs or spaces separate the columns; a byte-order
            mark, headings, comments (``#``, ``%``, ``//``), blank lines and any line ends may be.

    Returns:
        The rows, by frame. A confidence that is missing or negative (MOTChallenge writes -1 for
        "unknown") is 1.

    Raises:
        UserError: it cannot be read; a line is no row, and why; an id is twice in a frame.
    """
    path = Path(path)
    reader = _Reader(path)
    try:
        for number, line in _lines(path, reader):
            reader.take(number, line)
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except (OSError, UnicodeError) as error:
        raise UserError(f"{path} cannot be read as MOTChallenge text: {error}") from error
    table = reader.table()
    if reader.noticed:
        _LOG.warning("%s: %s", path, "; ".join(reader.noticed))
    return table


def _lines(path: Path, reader: "_Reader") -> Iterator[tuple[int, str]]:
    """The lines that are not blank and no comments, with their numbers."""
    with path.open("rb") as file:
        begin = file.read(3)
    encoding = next((name for mark, name in _MARKS.items() if begin.startswith(mark)), None)
    comments = 0
    # What is no text, in a comment perhaps, does not matter where no number is in it.
    with path.open(encoding=encoding or "utf-8", errors="replace") as text:
        for number, line in enumerate(text, start=1):
            line = line.strip()
            if line.startswith(_COMMENTS):
                comments += 1
                reader.take_comment(line)
            elif line:
                yield number, line
        ends = text.newlines
    if encoding is not None:
        reader.note("a byte-order mark")
    if ends not in (None, "\n"):
        reader.note("line ends of other systems")
    if comments:
        reader.note(f"{comments} line{'s' if comments > 1 else ''} of comment")


class _Reader:
    """Rows on their way into a table, as numbers side by side and not as objects."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._noticed: dict[str, None] = {}
        self._dialect: Dialect | None = None
        self._headings: Headings | None = None
        self._lines, self._frames, self._objects = array("q"), array("q"), array("q")
        self._boxes, self._confidence = array("d"), array("d")
        self._seen: dict[int, int] = {}  # objects by id, in the order in which they come

    @property
    def noticed(self) -> list[str]:
        """What differs from the format, in words."""
        headings = [] if self._headings is None else [str(self._headings)]
        return [*self._noticed, *headings, *(self._dialect.noticed if self._dialect else ())]

    def note(self, said: str) -> None:
        """Something differs from the format."""
        self._noticed[said] = None

    def take_comment(self, line: str) -> None:
        """Read a comment, which may be the headings of what follows."""
        if self._dialect is None and self._headings is None:
            with suppress(RowError):
                self._headings = headings_of(line.lstrip("#%/ "))

    def take(self, number: int, line: str) -> None:
        """Read a line.

        Raises:
            UserError: it is no row.
        """
        try:
            if self._dialect is None:
                self._dialect = settled(line, self._headings)
            if self._dialect is None:
                if self._headings is None:
                    self._headings = headings_of(line)
                    if self._headings is not None:
                        return
                raise RowError
            row = self._dialect.row(line)
            if not 0 <= row.frame <= _LAST_FRAME:
                raise RowError(f"frame {row.frame}, but frames count from 0 or 1")
            width, height = row.box[2:]
            # False of NaN, wherever it stands.
            if not all(abs(side) < _FAR for side in row.box):
                raise RowError(f"a box is finite and within {_FAR:.0e} pixels")
            if not (width >= 0 and height >= 0):
                raise RowError(f"a box of negative size, {width:g} x {height:g}")
            confidence = 1.0 if row.confidence is None else row.confidence
            if not math.isfinite(confidence):
                raise RowError(f"the confidence {confidence} is no number")
        except RowError as error:
            reason = f" ({error})" if error.args else ""
            raise UserError(
                f"{self.path}, line {number} is not {FORMAT}{reason}: {line[:60]!r}"
            ) from None
        self._lines.append(number)
        self._frames.append(row.frame)
        self._objects.append(self._seen.setdefault(row.identity, len(self._seen)))
        self._boxes.extend(row.box)
        self._confidence.append(confidence if confidence >= 0 else 1.0)

    def table(self) -> BoxTable:
        """The rows that were read.

        Raises:
            UserError: an id is twice in a frame.
        """
        frames = np.array(self._frames, dtype=np.int64)
        labels = sorted(self._seen)
        rank = np.empty(len(labels), dtype=np.int64)
        for n, label in enumerate(labels):
            rank[self._seen[label]] = n
        objects = rank[np.array(self._objects, dtype=np.int64)] if len(frames) else frames
        self._check_once(frames, objects, labels)
        ours = self._headings is not None and _OURS in self._headings.names
        zero = ours or bool(len(frames) and frames.min() == 0)
        if zero:
            self.note("frames count from 0")
        elif len(frames) and frames.min() > 1:
            # With a row in frame 1 the format's own way is the likely one.
            self.note(f"the first row is of frame {frames.min()}: taken to be counted from 1")
        if labels and labels[0] < 1:
            self.note(f"ids count from {labels[0]}")
        if not len(frames):
            self.note("no rows")
        order = np.argsort(frames, kind="stable")
        return BoxTable(
            frames=frames[order] - (0 if zero else 1),
            objects=objects[order],
            boxes=np.array(self._boxes, dtype=np.float64).reshape(-1, 4)[order],
            confidence=np.array(self._confidence, dtype=np.float64)[order],
            labels=tuple(labels),
            counted_from=0 if zero else 1,
        )

    def _check_once(self, frames: np.ndarray, objects: np.ndarray, labels: list[int]) -> None:
        order = np.lexsort((objects, frames))
        same = (np.diff(frames[order]) == 0) & (np.diff(objects[order]) == 0)
        if not same.any():
            return
        again = order[1:][same].min()
        line, frame, label = self._lines[again], frames[again], labels[objects[again]]
        what = "boxes that no tracker has linked: track them first" if label < 0 else "remove one"
        raise UserError(f"{self.path}, line {line}: id {label} is twice in frame {frame} ({what})")
