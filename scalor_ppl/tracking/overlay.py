"""The video with what was found drawn on it: boxes, ids, tinted masks, and where they came from."""

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from scalor_ppl.data.frames import resized
from scalor_ppl.data.records import Size
from scalor_ppl.results.drawing import draw_boxes, id_colour
from scalor_ppl.results.pixels import as_rgb
from scalor_ppl.results.rates import frame_rate
from scalor_ppl.tracking.h264 import Encoder, wrap
from scalor_ppl.tracking.masks import id_maps, resampled
from scalor_ppl.tracking.outputs import About, AppendedFile, part_of
from scalor_ppl.tracking.tracked import Tracked
from scalor_ppl.tracks.table import EMPTY

WIDEST = 1280
"""Pixels across; wider videos are drawn smaller."""

SMALLEST = 256
"""Pixels of the longer side; smaller videos are enlarged by a whole factor, so that ids fit."""

_TINT = 0.35
_UNTIMED = 10.0  # frames a second of a folder of images, and of a time-lapse
_SLOWEST = 1.0  # frames a second; a picture an hour is nothing to watch, and no mp4 can be so slow


KEPT = 30
"""Centres of an object that are remembered."""

Point = tuple[float, float]


class Trails:
    """The last centres of the objects that are present, by id.

    Args:
        state: the trails to go on with.
    """

    def __init__(self, state: Mapping[int, Sequence[Point]] | None = None) -> None:
        self._points = {i: deque(points, KEPT) for i, points in (state or {}).items()}

    def move(self, ids: np.ndarray, boxes: np.ndarray) -> None:
        """The next frame; whoever is not in it is forgotten.

        Args:
            ids: int [N], of the objects that are present.
            boxes: [N, 4] left, top, width, height in pixels.
        """
        centres = (boxes[:, :2] + boxes[:, 2:] / 2).tolist()
        before = self._points
        self._points = {i: before.get(i, deque(maxlen=KEPT)) for i in ids.tolist()}
        for i, (x, y) in zip(ids.tolist(), centres, strict=True):
            self._points[i].append((x, y))

    def points(self) -> dict[int, list[Point]]:
        """Centres (x, y) in pixels by id, the oldest first."""
        return {i: list(points) for i, points in self._points.items()}


class OverlayOutput:
    """Boxes, ids, trails and tinted masks on the frames, as mp4.

    Args:
        target: where it will be, NAME.mp4.
        threshold: least presence of an object, 0..1.
        fps: frames a second of what was tracked; none for those of images. What has less than one a
            second is shown at ten.
        state: what `sync` gave, to go on from there.
    """

    def __init__(
        self,
        target: Path,
        threshold: float,
        fps: float | None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.target = target
        self._threshold = threshold
        self._rate = frame_rate(_UNTIMED if fps is None or fps < _SLOWEST else fps)
        self._trails = Trails(state["trails"] if state else None)
        self._encoder = Encoder(self._rate)
        self._file = AppendedFile(part_of(target), state["length"] if state else 0)

    def add(self, tracked: Tracked) -> None:
        """Draw and encode some frames."""
        tracks = tracked.tracks
        present = tracks.present(self._threshold)
        maps = id_maps(tracked, self._threshold)
        for t, frame in enumerate(tracked.shown):
            here = present[t]
            # In the order of age: the labels of the same two never change places.
            order = np.argsort(tracks.ids[t, here])
            ids, boxes = tracks.ids[t, here][order], tracks.boxes[t, here][order]
            found = tracks.discovered[t, here][order]
            self._trails.move(ids, boxes)
            picture = drawn(frame, ids, boxes, found, maps[t], self._trails)
            self._file.append(self._encoder.encode(picture))

    def sync(self) -> dict[str, Any]:
        """Bring everything to the disk."""
        self._file.append(self._encoder.flush())
        return {"length": self._file.sync(), "trails": self._trails.points()}

    def close(self) -> None:
        """Let go of the file in the making."""
        self._file.close()

    def finish(self, about: About) -> None:
        """Put the stream into an mp4."""
        self.close()
        part = part_of(self.target)
        wrap(part, self.target, self._rate)
        part.unlink()


def drawn(
    frame: np.ndarray,
    ids: np.ndarray,
    boxes: np.ndarray,
    discovered: np.ndarray,
    seen: np.ndarray,
    trails: Trails,
) -> np.ndarray:
    """A frame with its N objects.

    Args:
        frame: uint8 [H, W, 1 or 3].
        ids: int [N].
        boxes: float [N, 4], left, top, width, height in pixels of the frame.
        discovered: bool [N].
        seen: int [h, w], the ids of the objects seen at the pixels, -1 for none.
        trails: in pixels of the frame.

    Returns:
        uint8, even height and width, 3 channels: the frame enlarged or made smaller.
    """
    shrink = min(1.0, WIDEST / frame.shape[1])
    size: Size = (max(1, round(frame.shape[0] * shrink)), round(frame.shape[1] * shrink))
    enlarge = max(1, -(-SMALLEST // max(size)))
    tinted = _tinted(as_rgb(resized(frame, size)), resampled(seen, size))
    factor = np.tile(np.array(size[::-1]) / frame.shape[1::-1], 2)
    picture = draw_boxes(tinted, boxes * factor, ids, None, discovered, enlarge, labels=True)
    return _evened(_trailed(picture, trails, factor[:2] * enlarge))


def _tinted(frame: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The pixels of each object towards its colour."""
    ids = [i for i in np.unique(seen).tolist() if i != EMPTY]
    if not ids:
        return frame
    colours = np.array([id_colour(i) for i in ids], np.float32)
    covered = seen != EMPTY
    wanted = colours[np.searchsorted(ids, seen[covered])]
    tinted = frame.copy()
    tinted[covered] = np.round((1 - _TINT) * frame[covered] + _TINT * wanted)
    return tinted


def _trailed(picture: np.ndarray, trails: Trails, factor: np.ndarray) -> np.ndarray:
    """Lines through the last centres."""
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    for i, points in trails.points().items():
        if len(points) > 1:
            places = np.round(np.array(points) * factor).astype(int)
            pen.line([(x, y) for x, y in places.tolist()], fill=id_colour(i))
    return np.asarray(image)


def _evened(picture: np.ndarray) -> np.ndarray:
    """An odd edge once more: colours are stored at half resolution."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
