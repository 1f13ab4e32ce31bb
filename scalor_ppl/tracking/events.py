"""Who met whom and which gaps were joined: a table beside the tracks.

A line an event: `kind,frame,id,other,probability`; kinds are those of `identity.meetings.KINDS`.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scalor_ppl.identity import Event, Meetings, SeenObject
from scalor_ppl.tracking.outputs import About, AppendedFile, part_of
from scalor_ppl.tracking.tracked import Tracked

HEADER = b"kind,frame,id,other,probability\n"


def seen_in(tracked: Tracked, t: int, threshold: float) -> list[SeenObject]:
    """The objects of a frame that are written, by identity.

    Args:
        tracked: T frames.
        t: which of them.
        threshold: least confidence, 0..1.
    """
    tracks = tracked.tracks
    found = []
    for k in np.nonzero(tracks.present(threshold)[t])[0]:
        left, top, width, height = tracks.boxes[t, k].tolist()
        found.append(
            SeenObject(
                int(tracks.ids[t, k]),
                int(tracked.trackers[t, k]),
                (left + width / 2, top + height / 2),
                (width, height),
                float(tracks.presence[t, k]),
            )
        )
    return sorted(found)


class EventOutput:
    """Events as CSV.

    Args:
        target: where they will be, NAME.csv.
        threshold: least presence of an object in a frame to count, 0..1.
        state: what `sync` gave, to go on from there.
    """

    def __init__(
        self, target: Path, threshold: float, state: Mapping[str, Any] | None = None
    ) -> None:
        self.target = target
        self._threshold = threshold
        self._meetings = Meetings.from_state(state["meetings"]) if state else Meetings()
        self._file = AppendedFile(part_of(target), state["length"] if state else 0)
        if not state:
            self._file.append(HEADER)

    def add(self, tracked: Tracked) -> None:
        """Write the events of some frames."""
        joins: dict[int, list[Event]] = {}
        for frame, join in tracked.joins:
            other = -1 if join.own == join.identity else join.own
            event = Event("join", frame, join.identity, other, join.probability)
            joins.setdefault(frame, []).append(event)
        lines = []
        for t, frame in enumerate(tracked.numbers.tolist()):
            met = self._meetings.step(frame, seen_in(tracked, t, self._threshold))
            lines += [_line(event) for event in (*joins.get(frame, []), *met)]
        self._file.append("".join(lines).encode("ascii"))

    def sync(self) -> dict[str, Any]:
        """Bring everything to the disk."""
        return {"length": self._file.sync(), "meetings": self._meetings.to_state()}

    def close(self) -> None:
        """Let go of the file in the making."""
        self._file.close()

    def finish(self, about: About) -> None:
        """Put the events in their place."""
        self.close()
        part_of(self.target).replace(self.target)


def _line(event: Event) -> str:
    """An event as a line; a probability that is not known is left out."""
    sure = "" if math.isnan(event.probability) else f"{event.probability:.4f}"
    return f"{event.kind},{event.frame},{event.identity},{event.other},{sure}\n"
