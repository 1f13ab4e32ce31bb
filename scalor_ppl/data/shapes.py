"""The outlines of toy objects, and painting them into frames without jagged edges.

Shapes live in *unit coordinates*: (u, v), u to the right and v down before rotation, scaled so that
the mean side of the shape's box, averaged over all angles, is 1. An object of `size` s pixels then
has boxes of s pixels a side on average.
"""

import numpy as np

from scalor_ppl.compiled import compiled

SQUARE, ELLIPSE, HEART, GLYPH, DISC = 0, 1, 2, 3, 4
"""Kinds of shape. A glyph is a picture (a digit), the others are formulae."""

_FLATNESS = 0.6  # short axis of the ellipse over its long axis
_LOBES = 0.75  # how far the lobes of the heart rise above its notch
_LIFT = 0.17  # moves the middle of the heart's box to its origin
_SAMPLES = 4  # per pixel and axis


@compiled()
def _inside(kind: int, u: float, v: float) -> bool:
    """Whether a point lies in a shape, before the shape is scaled to unit coordinates."""
    if kind == SQUARE:
        return abs(u) <= 1.0 and abs(v) <= 1.0
    if kind == ELLIPSE:
        return u * u + (v / _FLATNESS) ** 2 <= 1.0
    if kind == DISC:
        return u * u + v * v <= 1.0
    # A circle whose halves are lifted by the root of |u|: a heart. Upright, although v points down.
    w = _LIFT - v - _LOBES * np.sqrt(abs(u))
    return u * u + w * w <= 1.0


def _outline(kind: int, points: int = 180) -> np.ndarray:
    """[points, 2] the outline of a shape, before it is scaled: bisection along rays."""
    angles = 2 * np.pi * np.arange(points) / points
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    radii = np.zeros(points)
    inside = _inside.py_func  # asked once a process: not worth the compiler at every start
    for n, (u, v) in enumerate(rays):
        near, far = 0.0, 3.0
        for _ in range(40):
            middle = (near + far) / 2
            near, far = (middle, far) if inside(kind, middle * u, middle * v) else (near, middle)
        radii[n] = near
    return rays * radii[:, None]


def _mean_side(outline: np.ndarray) -> float:
    """Mean side of the box of an outline over all angles."""
    angles = 2 * np.pi * np.arange(360) / 360
    across = outline @ np.stack([np.cos(angles), np.sin(angles)])
    return float(np.mean(across.max(axis=0) - across.min(axis=0)))


_RAW = [_outline(kind) for kind in (SQUARE, ELLIPSE, HEART)]
UNITS = np.array([1 / _mean_side(outline) for outline in _RAW] + [1.0, 0.5])
"""[5] what a shape's own coordinates are multiplied by to get unit coordinates."""
OUTLINES = np.stack([outline * unit for outline, unit in zip(_RAW, UNITS[:3], strict=True)])
"""[3, points, 2] outlines of square, ellipse and heart in unit coordinates."""


def extents(kinds: np.ndarray, angles: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """How far each object reaches from its centre.

    Args:
        kinds: [N] of SQUARE, ELLIPSE, HEART.
        angles: [N] rotation in radians, clockwise on the screen.
        sizes: [N] in pixels.

    Returns:
        [N, 4] least x, least y, greatest x, greatest y, in pixels relative to the centre.
    """
    outline = OUTLINES[kinds]
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x = outline[..., 0] * cos - outline[..., 1] * sin
    y = outline[..., 0] * sin + outline[..., 1] * cos
    reach = np.stack([x.min(axis=1), y.min(axis=1), x.max(axis=1), y.max(axis=1)], axis=1)
    return reach * sizes[:, None]


@compiled()
def _glyph_value(glyph: np.ndarray, u: float, v: float) -> float:
    """Bilinear look-up in a picture whose unit coordinates are its pixels from its centre."""
    x = u + glyph.shape[1] / 2 - 0.5
    y = v + glyph.shape[0] / 2 - 0.5
    j, i = int(np.floor(x)), int(np.floor(y))
    if j < 0 or i < 0 or j + 1 >= glyph.shape[1] or i + 1 >= glyph.shape[0]:
        return 0.0
    right, lower = x - j, y - i
    upper_value = glyph[i, j] * (1 - right) + glyph[i, j + 1] * right
    lower_value = glyph[i + 1, j] * (1 - right) + glyph[i + 1, j + 1] * right
    return upper_value * (1 - lower) + lower_value * lower


@compiled()
def _coverage(
    kind: int, glyph: np.ndarray, x: float, y: float, cos: float, sin: float, scale: float
) -> float:
    """The share of a pixel, whose upper left corner lies at (x, y) from the centre, painted."""
    total = 0.0
    for row in range(_SAMPLES):
        for column in range(_SAMPLES):
            dx = x + (column + 0.5) / _SAMPLES
            dy = y + (row + 0.5) / _SAMPLES
            u = (dx * cos + dy * sin) * scale
            v = (dy * cos - dx * sin) * scale
            if kind == GLYPH:
                total += _glyph_value(glyph, u, v)
            elif _inside(kind, u, v):
                total += 1.0
    return total / (_SAMPLES * _SAMPLES)


@compiled()
def paint(
    canvas: np.ndarray,
    masks: np.ndarray,
    visible: np.ndarray,
    masses: np.ndarray,
    centres: np.ndarray,
    births: np.ndarray,
    kinds: np.ndarray,
    glyphs: np.ndarray,
    angles: np.ndarray,
    scales: np.ndarray,
    reach: np.ndarray,
    colours: np.ndarray,
    threshold: float,
) -> None:
    """Paint objects over the canvas, later objects in front; 4 x 4 samples a pixel.

    Only the window that an object can touch is evaluated, and it is evaluated beyond the view too:
    the visible share is what was painted inside the view over all that was painted.

    Args:
        canvas: [T, H, W, C] float32 in 0..1, painted over in place.
        masks: [T, H, W] int32; gets n where object n covers at least `threshold` of the pixel.
        visible: [T, N] float32; gets the visible share. Left as it is before birth.
        masses: [T, N, 2] float64; gets the centre of mass of what is painted, x, y in pixels,
            beyond the view too. Left as it is before birth and where nothing touches the view.
        centres: [T, N, 2] x, y of what objects turn about, in pixels of the view.
        births: [N] the frame in which each object first exists.
        kinds: [N] SQUARE, ELLIPSE, HEART, GLYPH or DISC.
        glyphs: [N, G, G] float32 pictures in 0..1 of the objects that are glyphs; any shape else.
        angles: [N] rotation in radians.
        scales: [N] the shape's own units per pixel.
        reach: [N, 4] least x, least y, greatest x, greatest y, in pixels from the centre.
        colours: [N, C] float32 in 0..1.
        threshold: coverage from which a pixel belongs to an object, in 0..1.
    """
    frames, height, width, channels = canvas.shape
    for t in range(frames):
        for n in range(centres.shape[1]):
            if t < births[n]:
                continue
            x, y = centres[t, n]
            left, right = int(np.floor(x + reach[n, 0])), int(np.ceil(x + reach[n, 2]))
            top, bottom = int(np.floor(y + reach[n, 1])), int(np.ceil(y + reach[n, 3]))
            if right <= 0 or bottom <= 0 or left >= width or top >= height:
                visible[t, n] = 0.0
                continue
            cos, sin = np.cos(angles[n]), np.sin(angles[n])
            glyph = glyphs[n if kinds[n] == GLYPH else 0]
            painted, seen, right_of, below = 0.0, 0.0, 0.0, 0.0
            for i in range(top, bottom):
                for j in range(left, right):
                    share = _coverage(kinds[n], glyph, j - x, i - y, cos, sin, scales[n])
                    painted += share
                    right_of += share * (j + 0.5 - x)
                    below += share * (i + 0.5 - y)
                    if share == 0.0 or i < 0 or j < 0 or i >= height or j >= width:
                        continue
                    seen += share
                    for c in range(channels):
                        canvas[t, i, j, c] += share * (colours[n, c] - canvas[t, i, j, c])
                    if share >= threshold:
                        masks[t, i, j] = n
            visible[t, n] = seen / painted if painted > 0 else 0.0
            if painted > 0:
                masses[t, n] = x + right_of / painted, y + below / painted
