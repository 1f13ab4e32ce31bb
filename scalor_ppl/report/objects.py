"""Sections of the objects that were tracked: the clip, each one's looks, and all their ways."""

import math
from typing import Final

import numpy as np
from markupsafe import Markup
from PIL import Image

from scalor_ppl.report.embed import beside, clip, image
from scalor_ppl.report.lives import Life, draw_trails, draw_ways
from scalor_ppl.report.material import Material
from scalor_ppl.report.page import Figure, PageSection
from scalor_ppl.results.drawing import draw_tracks, id_colour
from scalor_ppl.results.pixels import as_rgb, enlarge

_PANEL = 400  # of a panel, in pixels, about
_LABELLED = 25  # objects a frame up to which ids are readable


def tracked_section(material: Material) -> PageSection:
    """Input and tracks side by side."""
    frames, tracks = material.clip, material.tracks
    length = len(frames)
    scale = max(1, round(_PANEL / max(frames.shape[1:3])))
    named = bool(tracks.present().sum(-1).max(initial=0) <= _LABELLED)
    boxed = draw_tracks(
        frames,
        tracks.boxes[:length],
        tracks.ids[:length],
        tracks.presence[:length],
        tracks.discovered[:length],
        scale=scale,
        labels=named,
    )
    trailed = draw_trails(boxed, material.lives, scale)
    both = beside({"input": enlarge(as_rgb(frames), scale), "tracked": trailed})
    return PageSection(
        "tracked",
        "Tracked clip",
        (
            Figure(
                clip(both, "the input, and beside it the same with boxes, ids and trails"),
                f"The first {length} frames of {material.source}, and beside them what was "
                f"tracked: {'a colour and number' if named else 'a colour'} is an identity that "
                "should stay with its object, a white dot marks the frame of discovery, a line the "
                "way of the last frames.",
            ),
        ),
    )


SHOWN: Final = 24  # objects
_GLIMPSES: Final = 12  # of one object, at most
_HIGH: Final = 48  # pixels of a glimpse
_SHAPES: Final = (0.4, 1.25)  # narrowest and widest glimpse, width by height
_ROOM: Final = 1.3  # of the object's box, so that its surroundings are seen
_OUTSIDE: Final = 128  # grey beyond the frame


def gallery_section(material: Material) -> PageSection:
    """Cut-outs of the longest-lived objects over time."""
    lives = material.lives
    if not lives:
        return PageSection("objects", "Objects", note="No object was found in this video.")
    rows = [_row(life, material.video) for life in lives[:SHOWN]]
    many = f"the {SHOWN} longest-lived of {len(lives)} objects" if len(lives) > SHOWN else "objects"
    return PageSection(
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


def trajectories_section(material: Material) -> PageSection:
    """All tracks as lines over the scene."""
    scene, ground = material.background, "the model's background"
    if scene is None:
        scene, ground = material.video[0], "the first frame"
    lives = material.lives
    if not lives:
        return PageSection("trajectories", "Trajectories", note="There are no tracks to draw.")
    drawn = draw_ways(scene, lives)
    return PageSection(
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
