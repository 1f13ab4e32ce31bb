"""Section: the ways of all objects through the scene."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scalor_ppl.report.embed import image
from scalor_ppl.report.lives import Life
from scalor_ppl.report.material import Material
from scalor_ppl.report.parts import Figure, Section
from scalor_ppl.results.drawing import id_colour
from scalor_ppl.results.pixels import as_rgb

_SIDE = 640  # of the picture, about
_FINE = 2  # drawn so many times larger, for smooth lines
_NAMED = 40  # ids up to which they can be told apart


def trajectories_section(material: Material) -> Section:
    """All tracks as lines over the scene."""
    scene, ground = material.background, "the model's background"
    if scene is None:
        scene, ground = material.video[0], "the first frame"
    lives = material.lives
    if not lives:
        return Section("trajectories", "Trajectories", note="There are no tracks to draw.")
    drawn = draw_ways(scene, lives)
    return Section(
        "trajectories",
        "Trajectories",
        (
            Figure(
                image(drawn, "the ways of all objects as lines over the scene"),
                f"Ways of the centres of {len(lives)} objects over {ground}, darkened, in "
                "the colours of the ids: a ring is where a track begins, a disc where it ends "
                f"({material.whose}).",
            ),
        ),
    )


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
