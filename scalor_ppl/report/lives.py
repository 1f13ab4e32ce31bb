"""Tracks by object: where each one was, from first frame to last, and drawings of its way."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scalor_ppl.results.drawing import id_colour
from scalor_ppl.results.pixels import as_rgb
from scalor_ppl.tracks.table import Tracks

_SIDE = 640  # of the picture, about
_FINE = 2  # drawn so many times larger, for smooth lines
_NAMED = 40  # ids up to which they can be told apart


@dataclass(frozen=True)
class Life:
    """One object's track.

    Attributes:
        identity: its id.
        frames: int64 [n], the frames in which it is present, from 0, rising; n is at least 1.
        boxes: float32 [n, 4], left, top, width, height in pixels of the view.
        centres: float64 [n, 2], x and y of its centre, likewise.
    """

    identity: int
    frames: np.ndarray
    boxes: np.ndarray
    centres: np.ndarray

    @property
    def speed(self) -> float:
        """Median way of the centre in pixels a frame; NaN for an object of one frame."""
        if len(self.frames) < 2:
            return float("nan")
        ways = np.linalg.norm(np.diff(self.centres, axis=0), axis=1)
        return float(np.median(ways / np.diff(self.frames)))


def lives_of(tracks: Tracks) -> list[Life]:
    """The present objects of tracks, the longest-lived first."""
    frames, slots = np.nonzero(tracks.present())
    ids, boxes = tracks.ids[frames, slots], tracks.boxes[frames, slots]
    centres = tracks.middles()[frames, slots]
    order = np.argsort(ids, kind="stable")  # frames stay in order within an id
    names, begins = np.unique(ids[order], return_index=True)
    if not len(names):
        return []
    lives = [
        Life(int(name), frames[rows], boxes[rows], centres[rows])
        for name, rows in zip(names, np.split(order, begins[1:]), strict=True)
    ]
    return sorted(lives, key=lambda life: (-len(life.frames), life.identity))


TRAIL = 8  # frames


def draw_trails(frames: np.ndarray, lives: Sequence[Life], scale: int) -> np.ndarray:
    """Draw, behind each present object, its centre's way through the last ``TRAIL`` frames.

    Args:
        frames: uint8 [T, s H, s W, 3], enlarged.
        lives: objects, in pixels of the frames before they were enlarged.
        scale: s.

    Returns:
        uint8, as ``frames``.
    """
    pictures = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    pens = [ImageDraw.Draw(picture) for picture in pictures]
    thick = max(1, scale // 3)
    for life in lives:
        way = [tuple(point) for point in (scale * life.centres).tolist()]
        for n, t in enumerate(life.frames.tolist()):
            if t >= len(pens):
                break
            since = np.searchsorted(life.frames, t - TRAIL)
            if n > since:
                pens[t].line(way[since : n + 1], id_colour(life.identity), thick, joint="curve")
    return np.stack([np.asarray(picture) for picture in pictures])


def draw_ways(scene: np.ndarray, lives: Sequence[Life]) -> np.ndarray:
    """Lines in id colours over a picture at half its brightness.

    Args:
        scene: uint8 [H, W, 1 or 3].
        lives: objects, in its pixels.

    Returns:
        uint8 [H', W', 3], enlarged to about 640 pixels where it is smaller.
    """
    scale = max(1, round(_SIDE / max(scene.shape[:2])))
    size = scale * scene.shape[1], scale * scene.shape[0]
    large = size[0] * _FINE, size[1] * _FINE
    picture = Image.fromarray(as_rgb(scene) // 2).resize(large, Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(picture)
    thick, radius = 2 * _FINE, 4 * _FINE
    for life in lives:
        colour = id_colour(life.identity)
        way = [tuple(point) for point in (scale * _FINE * life.centres).tolist()]
        if len(way) > 1:
            pen.line(way, colour, thick, joint="curve")
        pen.circle(way[0], radius, outline=colour, width=thick)
        pen.circle(way[-1], radius, fill=colour)
        if len(lives) <= _NAMED:
            font = ImageFont.load_default(13 * _FINE)
            beside = way[-1][0] + 1.5 * radius, way[-1][1]
            pen.text(
                beside,
                str(life.identity),
                fill=(255, 255, 255),
                font=font,
                anchor="lm",
                stroke_width=_FINE,
                stroke_fill=(0, 0, 0),
            )
    return np.asarray(picture.resize(size, Image.Resampling.BOX))
