"""The table that tracks are written as: one row an object and frame."""

import numpy as np

from scalor_ppl.tracking.stream import Tracked

ROW = np.dtype(
    [
        ("frame", "<i8"),
        ("id", "<i8"),
        ("left", "<f4"),
        ("top", "<f4"),
        ("width", "<f4"),
        ("height", "<f4"),
        ("presence", "<f4"),
        ("discovered", "?"),
        ("depth", "<f4"),
        ("x", "<f4"),
        ("y", "<f4"),
        ("confidence", "<f4"),
    ]
)

MEANING = {
    "frame": ("number of the frame in the video, from 0", ""),
    "id": ("identity of the object, the same in all frames", ""),
    "left": ("left edge of the box", "pixels"),
    "top": ("upper edge of the box", "pixels"),
    "width": ("width of the box", "pixels"),
    "height": ("height of the box", "pixels"),
    "presence": ("confidence, by the name that it had before", ""),
    "discovered": ("whether the object was found in this frame", ""),
    "depth": ("z_depth; smaller is nearer", ""),
    "x": ("centre of the box, from the left edge of the frame", "pixels"),
    "y": ("centre of the box, from the upper edge of the frame", "pixels"),
    "confidence": (
        "how sure it is that the object is there, 0..1: q(z_pres = 1), of relaxed presence "
        "q(z_pres > 1/2)",
        "",
    ),
}
"""What each column says, and its unit."""


def rows_of(tracked: Tracked, threshold: float) -> np.ndarray:
    """The objects present in some frames: ``[R]`` of `ROW`, by frame and then by id.

    Args:
        tracked: the frames.
        threshold: least confidence, 0..1.
    """
    tracks = tracked.tracks
    t, k = np.nonzero(tracks.present(threshold))
    rows = np.empty(len(t), ROW)
    rows["frame"] = tracked.numbers[t]
    rows["id"] = tracks.ids[t, k]
    boxes = tracks.boxes[t, k]
    for n, name in enumerate(("left", "top", "width", "height")):
        rows[name] = boxes[:, n]
    rows["confidence"] = rows["presence"] = tracks.presence[t, k]
    rows["discovered"] = tracks.discovered[t, k]
    rows["depth"] = tracked.depth[t, k]
    rows["x"], rows["y"] = (boxes[:, :2] + boxes[:, 2:] / 2).T
    return rows[np.lexsort((rows["id"], rows["frame"]))]
