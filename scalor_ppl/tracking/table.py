"""The file of tracks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.tracking.appended import AppendedFile
from scalor_ppl.tracking.output import About, part_of
from scalor_ppl.tracking.rows import MEANING, rows_of
from scalor_ppl.tracking.stream import Tracked
from scalor_ppl.tracking.writers.form import Format


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
        self, target: Path, form: Format, threshold: float, state: Mapping[str, Any] | None = None
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
        if len(rows):
            self._file.append(self._form.encode(rows))
        found = set(rows["id"].tolist())
        self.tracks += len(found - self._counted)
        known = [] if tracked.identities is None else tracked.identities["known"]
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
