"""Tracks in the layout of the Cell Tracking Challenge (https://celltrackingchallenge.net).

A label image a frame, 16 bit, and a text with a line a track: label, first frame, last frame and
parent. A label must be in every frame between; an object that was out of sight therefore goes on
under another label, whose parent is the one before. Frames count from the first one tracked; each
image says in its description which frame of the video it is of.

Objects are where their decoded masks are seen: one that is covered by others is not.
"""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile

from scalor_ppl.errors import UserError
from scalor_ppl.files import check_room, folder_written_whole
from scalor_ppl.tracking.masks import id_map, packed, unpacked
from scalor_ppl.tracking.outputs import About
from scalor_ppl.tracking.tracked import Tracked
from scalor_ppl.tracks.table import EMPTY

ROOM = 2**12  # bytes of an image beside those of its labels
_MOST = 65535  # labels of 16 bit, beside that of nothing


class Piece(NamedTuple):
    """A line of the text: a stretch of frames in all of which an object is seen.

    Attributes:
        label: from 1.
        first: frame, from 0.
        last: frame.
        parent: label of the stretch before of the same object; 0 where there is none.
    """

    label: int
    first: int
    last: int
    parent: int


def as_maps(rows: np.ndarray, tracked: Tracked, threshold: float) -> bytes:
    """Maps of ids in the size of the video's own frames."""
    size = tracked.source
    return b"".join(
        packed(id_map(tracked, t, threshold, size)[None]) for t in range(len(tracked.numbers))
    )


def to_result(part: Path, target: Path, about: About) -> None:
    """Write the maps as a result, ``01_RES``: ``mask000.tif``.. and ``res_track.txt``."""
    with folder_written_whole(target) as lent:
        _write(part, target, lent / "mask", lent / "res_track.txt", about)
    part.unlink()


def to_truth(part: Path, target: Path, about: About) -> None:
    """Write the maps as a reference, ``01_GT``: ``TRA/man_track000.tif``.. and its text."""
    with folder_written_whole(target) as lent:
        folder = lent / "TRA"
        folder.mkdir()
        _write(part, target, folder / "man_track", folder / "man_track.txt", about)
    part.unlink()


def pieces_of(seen: list[list[int]]) -> dict[int, list[Piece]]:
    """Stretches of frames in which objects are seen.

    Args:
        seen: of each frame the ids that are in it.

    Returns:
        By id, in the order of time; labels count from 1 in the order in which stretches begin.
    """
    open_pieces: dict[int, Piece] = {}
    found: dict[int, list[Piece]] = defaultdict(list)
    labels = 0
    for frame, ids in enumerate(seen):
        for identity in ids:
            piece = open_pieces.get(identity)
            if piece is not None and piece.last == frame - 1:
                found[identity][-1] = piece._replace(last=frame)
            else:
                labels += 1
                parent = 0 if piece is None else piece.label
                found[identity].append(Piece(labels, frame, frame, parent))
            open_pieces[identity] = found[identity][-1]
    return dict(found)


def _write(part: Path, target: Path, stem: Path, text: Path, about: About) -> None:
    """Write images and text; first all maps are looked through, then they are written."""
    size = (about.height, about.width)
    maps = (frame for block in unpacked(part, *size) for frame in block)
    seen = [[i for i in np.unique(frame).tolist() if i != EMPTY] for frame in maps]
    pieces = pieces_of(seen)
    lines = sorted(piece for each in pieces.values() for piece in each)
    if len(lines) > _MOST:
        raise UserError(
            f"cannot write {target}: {len(lines)} stretches of tracks, and its images hold {_MOST} "
            "labels; track a part with --start and --stop, or write another format"
        )
    # Labels shrink a great deal; what the maps took is more than enough.
    check_room(target, part.stat().st_size + ROOM * len(seen))
    digits = max(3, len(str(max(0, len(seen) - 1))))
    at = dict.fromkeys(pieces, 0)  # which stretch of each object is at hand
    frames = (frame for block in unpacked(part, *size) for frame in block)
    source = about.source.encode("ascii", "backslashreplace").decode("ascii")  # all that TIFF takes
    for n, (frame, ids) in enumerate(zip(frames, seen, strict=True)):
        labels = np.zeros(size, np.uint16)
        for identity in ids:
            while pieces[identity][at[identity]].last < n:
                at[identity] += 1
            labels[frame == identity] = pieces[identity][at[identity]].label
        number = about.start + n * about.stride
        tifffile.imwrite(
            stem.with_name(f"{stem.name}{n:0{digits}}.tif"),
            labels,
            compression="zlib",
            description=f"frame {number} of {source}",
            metadata=None,
        )
    text.write_text("".join(f"{' '.join(map(str, piece))}\n" for piece in lines), "ascii")
