"""Rows of MOTChallenge text, as they are written: `frame,id,left,top,width,height,conf,-1,-1,-1`.

Tracks and ground truth are read by :mod:`scalor_ppl.tracks.mot_reader`.
Frames count from 1 in the file, and from 0 here.
"""

from collections.abc import Iterable


def track_row(frame: int, identity: int, box: Iterable[float], confidence: float) -> str:
    """The row of one tracked object in one frame, with the end of the line.

    Args:
        frame: counted from 0.
        identity: counted from 0; the file counts from 1.
        box: [4] left, top, width, height in pixels, from the upper left corner of the view.
        confidence: how sure it is that it is there, 0..1. It has six digits: most objects are all
            but sure, and what is least so must be told from the rest.
    """
    return _row(frame, identity + 1, box, f"{confidence:.6f}")


def truth_row(frame: int, identity: int, box: Iterable[float], ignored: bool = False) -> str:
    """The row of one true object in one frame, with the end of the line.

    Args:
        frame: counted from 0.
        identity: as it shall stand in the file, at least 1.
        box: as of `track_row`.
        ignored: it is there, but neither to be found nor wrong to be found.
    """
    return _row(frame, identity, box, "0" if ignored else "1")


def _row(frame: int, identity: int, box: Iterable[float], confidence: str) -> str:
    sides = ",".join(f"{side:.3f}" for side in box)
    return f"{frame + 1},{identity},{sides},{confidence},-1,-1,-1\n"
