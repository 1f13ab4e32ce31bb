"""Boxes on frames, each object in a colour of its own."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scalor_ppl.results.pixels import as_rgb, enlarge
from scalor_ppl.tracks.table import EMPTY

_GOLDEN = (5**0.5 - 1) / 2
# Hues come close again after 8, 13, 21 .. steps of the golden ratio (Fibonacci numbers). Another
# saturation and brightness every 8 ids keeps those apart too, up to 33 steps.
_HUES = 8
_TONES = ((0.90, 1.00), (0.50, 1.00), (0.95, 0.68), (0.55, 0.80))


def id_colour(identity: int) -> tuple[int, int, int]:
    """The colour of an object's id: the same in every picture, far from its neighbours' colours.

    Hues advance by the golden ratio, so that any few successive ids are spread over the circle; no
    colour is near black or white, which mark nothing and discovery.

    Args:
        identity: the id, 0 or more.

    Returns:
        Red, green, blue, 0..255.

    Raises:
        ValueError: a negative id (an empty slot has no colour).
    """
    if identity < 0:
        raise ValueError(f"ids are 0 or more, not {identity}")
    hue = (0.02 + identity * _GOLDEN) % 1.0
    saturation, value = _TONES[identity // _HUES % len(_TONES)]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_boxes(
    frame: np.ndarray,
    boxes: np.ndarray,
    ids: np.ndarray,
    presence: np.ndarray | None = None,
    discovered: np.ndarray | None = None,
    scale: int = 1,
    *,
    presence_threshold: float = 0.5,
    labels: bool = False,
) -> np.ndarray:
    """Draw the present objects' boxes in their ids' colours, discovered ones with a white circle.

    The circle marks discovery in this frame, as in figure 3 of the paper. What lies outside the
    view is cut off.

    Args:
        frame: uint8 [H, W, 1 or 3].
        boxes: float [K, 4], left, top, width, height in pixels of `frame`.
        ids: int [K]; -1 is an empty slot.
        presence: float [K] in 0..1; all present by default.
        discovered: bool [K]; none by default.
        scale: whole factor by which the frame is enlarged before drawing.
        presence_threshold: least presence of an object to be drawn.
        labels: write the id into the box's upper left corner.

    Returns:
        uint8 [H * scale, W * scale, 3].

    Raises:
        ValueError: shapes that disagree, or a frame that is not uint8.
    """
    if frame.ndim != 3 or boxes.shape != (len(ids), 4):
        raise ValueError(f"frame [H, W, C] and boxes [K, 4], not {frame.shape}, {boxes.shape}")
    shown = ids != EMPTY
    if presence is not None:
        shown = shown & (presence >= presence_threshold)
    picture = Image.fromarray(np.ascontiguousarray(enlarge(as_rgb(frame), scale)))
    pen = ImageDraw.Draw(picture)
    thick = max(1, scale // 2)
    for k in np.nonzero(shown)[0].tolist():
        # Whole pixels of the enlarged picture; the far edge belongs to the next pixel.
        left, top, width, height = (scale * boxes[k].astype(np.float64)).tolist()
        right, bottom = max(left, left + width - 1), max(top, top + height - 1)
        colour = id_colour(int(ids[k]))
        pen.rectangle(
            (round(left), round(top), round(right), round(bottom)), outline=colour, width=thick
        )
        if labels:
            # White in a dark rim is readable on any object; the box has the colour.
            pen.text(
                (round(left) + thick + 1, round(top) + thick),
                str(int(ids[k])),
                fill=(255, 255, 255),
                font=ImageFont.load_default(7 + 2 * scale),
                stroke_width=1,
                stroke_fill=(0, 0, 0),
            )
        if discovered is not None and discovered[k]:
            _circle(pen, (left + right) / 2, (top + bottom) / 2, max(2.0, 1.4 * scale))
    return np.asarray(picture)


def _circle(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    """A white disc with a dark rim, so that it is seen on a white object too."""
    corners = (round(x - radius), round(y - radius), round(x + radius), round(y + radius))
    pen.ellipse(corners, fill=(255, 255, 255), outline=(0, 0, 0))


def draw_tracks(
    video: np.ndarray,
    boxes: np.ndarray,
    ids: np.ndarray,
    presence: np.ndarray | None = None,
    discovered: np.ndarray | None = None,
    scale: int = 1,
    *,
    presence_threshold: float = 0.5,
    labels: bool = False,
) -> np.ndarray:
    """`draw_boxes` for every frame of a clip.

    Args:
        video: uint8 [T, H, W, 1 or 3].
        boxes: float [T, K, 4].
        ids: int [T, K].
        presence: float [T, K] or None.
        discovered: bool [T, K] or None.
        scale: as in `draw_boxes`.
        presence_threshold: as in `draw_boxes`.
        labels: as in `draw_boxes`.

    Returns:
        uint8 [T, H * scale, W * scale, 3].

    Raises:
        ValueError: as `draw_boxes`, or where the numbers of frames differ.
    """
    if len(video) != len(boxes) or len(video) != len(ids):
        raise ValueError(f"{len(video)} frames, {len(boxes)} of boxes, {len(ids)} of ids")
    return np.stack(
        [
            draw_boxes(
                video[t],
                boxes[t],
                ids[t],
                None if presence is None else presence[t],
                None if discovered is None else discovered[t],
                scale=scale,
                presence_threshold=presence_threshold,
                labels=labels,
            )
            for t in range(len(video))
        ]
    )
