"""Ground truth in the MOTChallenge format: `frame,id,left,top,width,height,conf,...`, from 1."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scalor_ppl.errors import UserError


@dataclass(frozen=True)
class Boxes:
    """Boxes of a whole recording of T frames and N objects.

    Attributes:
        ids: [N] int64, as in the file, ascending.
        boxes: [T, N, 4] float64 left, top, width, height in pixels; NaN where there is none.
        ignored: [T, N] bool; where the confidence is 0: there is an object, but one that is neither
            to be found nor wrong to be found.
    """

    ids: np.ndarray
    boxes: np.ndarray
    ignored: np.ndarray

    @property
    def object_size(self) -> float:
        """Mean side of all boxes that are not ignored, in pixels; NaN where there are none."""
        sides = self.boxes[~self.ignored][..., 2:]
        return float(np.nanmean(sides)) if np.isfinite(sides).any() else float("nan")


def read_boxes(path: Path, frames: range) -> Boxes:
    """Read the boxes of some frames.

    Args:
        path: comma-separated rows; columns beyond the seventh do not matter.
        frames: which frames, counted from 0 (the file counts from 1), in the order wanted.

    Raises:
        UserError: a row is not in the format, or two boxes have one frame and id.
    """
    rows = [row for row in _rows(path) if row.frame - 1 in frames]
    ids = np.array(sorted({row.identity for row in rows}), dtype=np.int64)
    column = {int(identity): n for n, identity in enumerate(ids)}
    boxes = np.full((len(frames), len(ids), 4), np.nan)
    ignored = np.zeros((len(frames), len(ids)), dtype=bool)
    for row in rows:
        place = frames.index(row.frame - 1), column[row.identity]
        if np.isfinite(boxes[place][0]):
            raise UserError(
                f"{path}, line {row.line}: a second box of id {row.identity} in one frame"
            )
        boxes[place] = row.box
        ignored[place] = row.ignored
    return Boxes(ids, boxes, ignored)


def last_frame(path: Path) -> int:
    """The number of the last frame that has a row, as the file counts, from 1; 0 without rows.

    Args:
        path: as for `read_boxes`.

    Raises:
        UserError: a row is not in the format.
    """
    return max((row.frame for row in _rows(path)), default=0)


class _Row(NamedTuple):
    """A box: in which line it stands, frame and id as they stand there, and what `Boxes` has."""

    line: int
    frame: int
    identity: int
    box: tuple[float, float, float, float]
    ignored: bool


def _rows(path: Path) -> Iterator[_Row]:
    """The rows in the order of the file, without blank lines."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = [float(value) for value in line.split(",")[:7]]
            frame, identity = int(row[0]), int(row[1])
            left, top, width, height = row[2:6]
            if frame < 1 or not np.isfinite(row[2:6]).all():
                raise ValueError("frames count from 1, and a box is finite")
        except (ValueError, IndexError, OverflowError) as error:  # a word; one column; infinity
            raise UserError(
                f"{path}, line {number} is not frame,id,left,top,width,height,conf: {line[:60]!r}"
            ) from error
        ignored = len(row) == 7 and row[6] == 0
        yield _Row(number, frame, identity, (left, top, width, height), ignored)


def share_in_view(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """[...] float32 share of each box's area within a view; 0 where there is no box.

    Args:
        boxes: [..., 4] left, top, width, height in pixels, NaN where there is none.
        height: of the view, in pixels.
        width: of the view, in pixels.
    """
    left, top, wide, high = np.moveaxis(boxes, -1, 0)
    across = np.minimum(left + wide, width) - np.maximum(left, 0)
    down = np.minimum(top + high, height) - np.maximum(top, 0)
    area = np.maximum(wide * high, 1e-9)
    share = np.maximum(across, 0) * np.maximum(down, 0) / area
    return np.nan_to_num(share, nan=0.0).clip(0, 1).astype(np.float32)
