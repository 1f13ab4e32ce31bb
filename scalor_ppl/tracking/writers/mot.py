"""Tracks as MOTChallenge text: see :mod:`scalor_ppl.tracks.mot`, which reads it.

Frames and ids count from 1 there: a row's are those of the other formats plus 1.
"""

import numpy as np

from scalor_ppl.tracking.writers.form import Format, renamed
from scalor_ppl.tracks.mot_rows import track_row


def encode(rows: np.ndarray) -> bytes:
    """Rows as lines."""
    names = ("frame", "id", "left", "top", "width", "height", "confidence")
    columns = (rows[name].tolist() for name in names)
    return "".join(
        track_row(frame, identity, box, confidence)
        for frame, identity, *box, confidence in zip(*columns, strict=True)
    ).encode("ascii")


FORMAT = Format((".txt",), encode, renamed)
