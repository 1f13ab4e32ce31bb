"""Ground truth as text in the MOTChallenge format, which `motchallenge` reads."""

import numpy as np


def truth_row(frame: int, identity: int, box: np.ndarray, ignored: bool = False) -> str:
    """The row of one object in one frame, with the end of the line.

    Args:
        frame: counted from 0; the file counts from 1.
        identity: as it shall stand in the file, at least 1.
        box: [4] left, top, width, height in pixels, from the upper left corner of the view.
        ignored: it is there, but neither to be found nor wrong to be found.
    """
    sides = ",".join(f"{side:.3f}" for side in box)
    return f"{frame + 1},{identity},{sides},{0 if ignored else 1},-1,-1,-1\n"
