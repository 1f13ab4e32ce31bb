"""The table of tracks: one row an object and frame, and the file that it grows in."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.tracking.outputs import About, AppendedFile, part_of
from scalor_ppl.tracking.tracked import Tracked

if TYPE_CHECKING:
    from scalor_ppl.tracking.formats import Format

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
        ("link", "<f4"),
        ("x_std", "<f4"),
        ("y_std", "<f4"),
    ]
)

_DEVIATIONS = "what it is worth says `deviations` of the file; none where the program does not say"

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
    "x": ("centre of mass, from the left edge of the frame", "pixels"),
    "y": ("centre of mass, from the upper edge of the frame", "pixels"),
    "confidence": (
        "how sure it is that the object is there, 0..1: q(z_pres = 1), of relaxed presence "
        "q(z_pres > 1/2)",
        "",
    ),
    "link": (
        "how sure it is that the object is the one of its id before, 0..1: below 1 in the frame "
        "where a gap was joined",
        "",
    ),
    "x_std": (f"standard deviation of x; {_DEVIATIONS}", "pixels"),
    "y_std": (f"standard deviation of y; {_DEVIATIONS}", "pixels"),
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
    rows["link"] = tracked.link[t, k]
    rows["x"], rows["y"] = tracks.middles()[t, k].T
    rows["x_std"] = rows["y_std"] = np.nan
    if tracks.spread is not None:
        rows["x_std"], rows["y_std"] = tracks.spread[t, k].T
    return rows[np.lexsort((rows["id"], rows["frame"]))]


class TableOutput:
    """Tracks in one of the formats.

    Args:
        target: where they will be.
        form: the format.
        threshold: least presence of an object in a frame to be written, 0..1.
        state: what `sync` gave, to go on from there.

    Raises:
        UserError: the file in the making has other columns than are written now.

    Attributes:
        tracks: identities that were written so far.
        present: objects in the last frame.
    """

    def __init__(
        self, target: Path, form: "Format", threshold: float, state: Mapping[str, Any] | None = None
    ) -> None:
        if state and state.get("columns") != list(MEANING):
            raise UserError(
                f"{part_of(target)} was begun by a version that writes other columns: "
                "begin anew with --overwrite"
            )
        self.target = target
        self.tracks: int = state["tracks"] if state else 0
        self.present = 0
        # Identities that were counted and may come again: they live, or may be recognised.
        self._counted: set[int] = set(state["counted"]) if state else set()
        self._form = form
        self._threshold = threshold
        self._file = AppendedFile(part_of(target), state["length"] if state else 0)
        if not state:
            self._file.append(form.header)

    def add(self, tracked: Tracked) -> None:
        """Write the rows of some frames."""
        rows = rows_of(tracked, self._threshold)
        self._file.append(self._form.encode(rows, tracked, self._threshold))
        found = set(rows["id"].tolist())
        self.tracks += len(found - self._counted)
        known = set() if tracked.identities is None else set(tracked.identities["known"])
        if tracked.gaps is not None:
            known.update(tracked.gaps["lives"])
        self._counted = (self._counted | found) & {*tracked.tracks.ids[-1].tolist(), *known}
        self.present = int(np.count_nonzero(rows["frame"] == tracked.numbers[-1]))

    def sync(self) -> dict[str, Any]:
        """Bring everything to the disk."""
        length = self._file.sync()
        return {
            "length": length,
            "tracks": self.tracks,
            "counted": sorted(self._counted),
            "columns": list(MEANING),
        }

    def close(self) -> None:
        """Let go of the file in the making."""
        self._file.close()

    def finish(self, about: About) -> None:
        """Put the tracks in their place."""
        self.close()
        self._form.finish(part_of(self.target), self.target, about)
