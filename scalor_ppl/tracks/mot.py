"""Tracks as MOTChallenge text, the format that every tracking tool reads.

One row an object and frame: `frame,id,left,top,width,height,conf,-1,-1,-1`
(https://motchallenge.net/instructions). Frames and ids count from 1, as the format has it, so a
row's id is ours plus 1. Boxes are pixels from the upper left corner of the view, unshifted, as
trackers and scoring tools in use write and read them; `conf` is the presence.
"""

from pathlib import Path

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.results.files import written_whole
from scalor_ppl.tracks.mot_rows import track_row
from scalor_ppl.tracks.table import EMPTY, Tracks


def write_mot(path: str | Path, tracks: Tracks, *, presence_threshold: float = 0.5) -> None:
    """Write the present objects of one clip as MOTChallenge rows, atomically.

    Scoring tools count every row whatever its `conf`, so absent objects are left out.

    Args:
        path: the text file, usually `NAME.txt`.
        tracks: one clip.
        presence_threshold: least presence of an object to be written, 0..1.

    Raises:
        UserError: when the file cannot be written.
    """
    frames, slots = np.nonzero(tracks.present(presence_threshold))
    with written_whole(path) as lent, lent.open("w", encoding="ascii", newline="\n") as file:
        for frame, slot in zip(frames.tolist(), slots.tolist(), strict=True):
            identity, presence = tracks.ids[frame, slot], tracks.presence[frame, slot]
            file.write(track_row(frame, identity, tracks.boxes[frame, slot], presence))


def read_mot(path: str | Path, *, frames: int | None = None) -> Tracks:
    """Read MOTChallenge rows back; the inverse of `write_mot` up to the order of slots.

    The format does not say which objects were discovered: the first row of an id counts as its
    discovery. K is the largest number of rows in one frame.

    Args:
        path: a text file of rows with at least 6 columns; `conf` is taken as 1 where it is missing
            or negative (MOTChallenge writes -1 for "unknown").
        frames: T, where the clip has frames after the last row; by default the last row's frame.

    Returns:
        The tracks, with a row's id less 1.

    Raises:
        UserError: no such file, a row that is not numbers, a frame or id below 1, a frame beyond
            `frames`, or one id twice in a frame.
    """
    rows = _rows(Path(path))
    last = max((frame for _, frame, *_ in rows), default=0)
    length = last if frames is None else frames
    if last > length:
        raise UserError(f"{path} has a row for frame {last}, the clip has {length} frames")
    filled = np.zeros(length, dtype=np.int64)
    for _, frame, *_ in rows:
        filled[frame - 1] += 1
    slots = int(filled.max(initial=0))

    ids = np.full((length, slots), EMPTY, dtype=np.int64)
    boxes = np.zeros((length, slots, 4), dtype=np.float32)
    presence = np.zeros((length, slots), dtype=np.float32)
    discovered = np.zeros((length, slots), dtype=bool)
    filled[:] = 0
    seen: set[tuple[int, int]] = set()
    first: dict[int, tuple[int, int]] = {}
    for line, frame, identity, box, confidence in rows:
        if (frame, identity) in seen:
            raise UserError(f"{path}, line {line}: id {identity} is twice in frame {frame}")
        seen.add((frame, identity))
        t, k = frame - 1, int(filled[frame - 1])
        filled[t] += 1
        ids[t, k] = identity - 1
        boxes[t, k] = box
        presence[t, k] = confidence
        if identity not in first or t < first[identity][0]:
            first[identity] = (t, k)
    for t, k in first.values():
        discovered[t, k] = True
    return Tracks(ids, boxes, presence, discovered)


_Row = tuple[int, int, int, list[float], float]


def _rows(path: Path) -> list[_Row]:
    """The rows as (line number, frame, id, box, confidence), in the order of the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as MOTChallenge text: {error}") from error
    rows: list[_Row] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = [float(part) for part in line.split(",")]
        except ValueError:
            values = []
        if len(values) < 6 or not np.isfinite(values).all():
            raise UserError(
                f"{path}, line {number} is not a MOTChallenge row "
                f"(frame,id,left,top,width,height,conf,-1,-1,-1): {line[:60]!r}"
            )
        frame, identity = int(values[0]), int(values[1])
        if frame < 1 or identity < 1:
            raise UserError(f"{path}, line {number}: frames and ids count from 1")
        confidence = values[6] if len(values) > 6 and values[6] >= 0 else 1.0
        rows.append((number, frame, identity, values[2:6], confidence))
    return rows
