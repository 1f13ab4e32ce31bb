"""Section: every object through its life."""

import math
from typing import Final

import numpy as np
from markupsafe import Markup
from PIL import Image

from scalor_ppl.report.embed import image
from scalor_ppl.report.lives import Life
from scalor_ppl.report.material import Material
from scalor_ppl.report.parts import Figure, Section
from scalor_ppl.results.drawing import id_colour
from scalor_ppl.results.pixels import as_rgb

SHOWN: Final = 24  # objects
_GLIMPSES: Final = 12  # of one object, at most
_HIGH: Final = 48  # pixels of a glimpse
_SHAPES: Final = (0.4, 1.25)  # narrowest and widest glimpse, width by height
_ROOM: Final = 1.3  # of the object's box, so that its surroundings are seen
_OUTSIDE: Final = 128  # grey beyond the frame


def gallery_section(material: Material) -> Section:
    """Cut-outs of the longest-lived objects over time."""
    lives = material.lives
    if not lives:
        return Section("objects", "Objects", note="No object was found in this video.")
    rows = [_row(life, material.video) for life in lives[:SHOWN]]
    many = f"the {SHOWN} longest-lived of {len(lives)} objects" if len(lives) > SHOWN else "objects"
    return Section(
        "objects",
        "Objects",
        (
            Figure(
                Markup('<div class="lives">{}</div>').format(Markup("").join(rows)),
                f"Cut-outs of the input where {many} were tracked, at even steps from first to "
                f"last frame: a row should show one and the same object throughout "
                f"({material.whose}).",
            ),
        ),
    )


def _row(life: Life, video: np.ndarray) -> Markup:
    """An object's colour, id and frames, and its glimpses side by side."""
    number = min(_GLIMPSES, len(life.frames))
    chosen = np.linspace(0, len(life.frames) - 1, number).round().astype(int)
    # One window for the whole life: what grows in it grows, and does not only change its box.
    width, height = _ROOM * np.median(life.boxes[:, 2:], axis=0).clip(1)
    narrowest, widest = _SHAPES
    size = np.array([max(width, narrowest * height), max(height, width / widest)])
    glimpses = []
    for t, centre in zip(life.frames[chosen].tolist(), life.centres[chosen], strict=True):
        told = f"object {life.identity}, frame {t + 1}"
        glimpses.append(image(glimpse(video[t], centre, size), told))
    return Markup(
        '<div class="life"><i style="background: rgb{}"></i><b>{}</b>'
        "<span>frames {} to {}</span><div>{}</div></div>"
    ).format(
        id_colour(life.identity),
        life.identity,
        life.frames[0] + 1,
        life.frames[-1] + 1,
        Markup("").join(glimpses),
    )


def glimpse(frame: np.ndarray, centre: np.ndarray, size: np.ndarray) -> np.ndarray:
    """A window of a frame, brought to a height of 48 pixels; grey where it leaves the frame.

    Args:
        frame: uint8 [H, W, 1 or 3].
        centre: x and y of the window, in pixels.
        size: its width and height, in pixels.

    Returns:
        uint8 [48, w, 3].
    """
    margin = math.ceil(size.max())
    padded = np.pad(
        as_rgb(frame), ((margin, margin), (margin, margin), (0, 0)), constant_values=_OUTSIDE
    )
    extent = np.array(padded.shape[1::-1])
    corner = (centre + margin - size / 2).clip(0, extent - size)
    box = *corner.tolist(), *(corner + size).clip(max=extent).tolist()
    shape = round(_HIGH * float(size[0] / size[1])), _HIGH
    cut = Image.fromarray(padded).resize(shape, Image.Resampling.BICUBIC, box)
    return np.asarray(cut)
