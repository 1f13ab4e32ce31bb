"""What is found in the next frames of a recording, and that there are no more of them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalor_ppl.data.records import Size
from scalor_ppl.errors import UserError
from scalor_ppl.identity import Join
from scalor_ppl.programs import Memory
from scalor_ppl.tracks.separation import separated
from scalor_ppl.tracks.table import Tracks


class BrokenVideoError(UserError):
    """The video cannot be read from here on; what came before was handed over."""


@dataclass(frozen=True)
class Tracked:
    """What was found in the next T frames of a recording, K slots a frame.

    Attributes:
        numbers: int64 [T], the frames' numbers in the file, from 0.
        tracks: boxes are in pixels of the recording's own frames; ids are unique in the video.
        depth: float32 [T, K]; smaller is nearer.
        importance: float32 [T, K], above 0, what masks are multiplied by where objects overlap.
        where: float32 [T, K, 4], boxes in the convention of :mod:`scalor_ppl.render.boxes`.
        masks: float32 [T, K, h, w] in 0..1, the objects' masks within their boxes.
        looks: float32 [T, K, D], what the objects look like, see `FindsObjects.looks`.
        size: height and width in which the frames were tracked.
        source: height and width of the recording's own frames.
        trackers: int64 [T, K], numbers of the trackers; ids are these until identities are known.
        link: float32 [T, K], how sure it is that the object is the one of its id before, 0..1;
            below 1 where a gap was joined.
        joins: the gaps joined, by the frame's number, see `joined_stream`.
        shown: the T frames [H, W, C] uint8 in their own size, where they were asked for.
        memory: to go on with after these frames.
        identities: likewise, of `recognised_stream`; none where nobody was recognised.
        gaps: likewise, of `joined_stream`.
    """

    numbers: np.ndarray
    tracks: Tracks
    depth: np.ndarray
    importance: np.ndarray
    where: np.ndarray
    masks: np.ndarray
    looks: np.ndarray
    size: Size
    source: Size
    shown: tuple[np.ndarray, ...]
    memory: Memory
    trackers: np.ndarray
    link: np.ndarray
    joins: tuple[tuple[int, Join], ...] = ()
    identities: dict[str, Any] | None = None
    gaps: dict[str, Any] | None = None

    def separated(self, least: float, *, threshold: float) -> "Tracked":
        """The same, only the surer of two objects present that are too close.

        Args:
            least: distance of two centres in pixels of the recording's own frames; 0 changes
                nothing. See :func:`scalor_ppl.tracks.separation.separated`.
            threshold: least confidence of an object that is present, 0..1.
        """
        return replace(self, tracks=separated(self.tracks, least, threshold=threshold))
