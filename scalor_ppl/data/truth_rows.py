"""Ground truth as text in the MOTChallenge format, which `motchallenge` reads."""

import numpy as np


def truth_row(frame: int, identity: int, box: np.ndarray) -> str:
    """The row of one object in one frame, with the end of the line.

    Args:
        frame: counted from 0; the file counts from 1.
        identity: as it shall stand in the file, at least 1.
        box: [4] left, top, width, height in pixels, from the upper left corner of the view.
    """
    left, top, width, height = box
    return f"{frame + 1},{identity},{left:.3f},{top:.3f},{width:.3f},{height:.3f},1,-1,-1,-1\n"
