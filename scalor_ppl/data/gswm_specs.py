"""The benchmark of G-SWM as data: one `GswmSpec` per set.

Lin et al. 2020, "Improving Generative Imagination in Object-Centric World Models", section 4.1;
radii, speeds, colours and layers are those of the code that its authors published. Frames have
64 x 64 pixels, balls are discs that always stay in view.

==================  ========  ======  =========  ==================================================
set                 objects   radius  a clip of  what happens
==================  ========  ======  =========  ==================================================
gswm-occlusion      3         8       100        three colours; pass in front of each other
gswm-interaction    3         8       100        any of five colours; bounce off each other
gswm-two-layer      6         8       100        3 blue ones bounce off each other, and 3 red ones,
                                                 which pass in front of the blue ones
gswm-dense          16        5       100        the same, of 8 and 8
gswm-single-ball    1         7       9          falls, then goes left or right, one as likely as
                                                 the other
gswm-maze           3 to 4    4.6     99         agents in the corridors of a maze of 7 x 7 cells
==================  ========  ======  =========  ==================================================

Balls have equal masses and move 3 pixels a frame at first. Clips may be shorter or longer than
those of the benchmark, but for the single ball, which has arrived after 9 frames.

**Where this generator differs.** The published one moves balls in 10 steps a frame and turns them
round at the first step that would overlap, so that they part up to 0.6 pixels before they touch.
Here the time of a collision has a closed form (:mod:`scalor_ppl.data.collisions`). Statistics of
the motion agree to within what 100 test clips can tell; balls never overlap, and energy is kept.
"""

from dataclasses import dataclass
from typing import Literal

COLOURS = {
    "blue": (0.0, 0.0, 1.0),
    "red": (1.0, 0.0, 0.0),
    "yellow": (1.0, 1.0, 0.0),
    "fuchsia": (1.0, 0.0, 1.0),
    "aqua": (0.0, 1.0, 1.0),
    "lime": (0.0, 1.0, 0.0),
}
"""Red, green and blue in 0..1, by name."""

_FIVE = ("blue", "red", "yellow", "fuchsia", "aqua")
_SIX = ("red", "lime", "blue", "yellow", "aqua", "fuchsia")

CELLS = 7
"""Cells a side of the maze."""


@dataclass(frozen=True)
class GswmSpec:
    """One set of the benchmark.

    Attributes:
        name: what `open_source` knows it by.
        motion: balls that ``bounce`` off walls and others of their layer, one that ``falls`` and
            turns left or right, or agents that ``wander`` through a maze.
        count: fewest and most objects.
        radius: in pixels.
        palette: names of the colours.
        colouring: drawn from the palette with (``any``) or without (``distinct``) replacement, or
            one of it for each ``layer``.
        layers: groups, of equally many balls, that bounce off their own kind only; 0 where no ball
            bounces off another. Later balls are in front.
        apart: whether balls, of all layers, do not overlap in the first frame.
        speed: in pixels a frame, in the first one.
        frames: length of a clip of the benchmark.
        view: height and width, in pixels.
    """

    name: str
    motion: Literal["bounce", "falls", "wander"]
    count: tuple[int, int]
    radius: float
    palette: tuple[str, ...] = _FIVE
    colouring: Literal["any", "distinct", "layer"] = "any"
    layers: int = 0
    apart: bool = True
    speed: float = 3.0
    frames: int = 100
    view: int = 64

    @property
    def size(self) -> float:
        """Diameter, in pixels."""
        return 2 * self.radius

    @property
    def shapes(self) -> str:
        """What objects look like, in a word."""
        return "discs"

    @property
    def behind(self) -> str:
        """What the background is, in a word."""
        return "maze" if self.motion == "wander" else "black"


def _table() -> dict[str, GswmSpec]:
    two = ("blue", "red")
    sets = [
        GswmSpec("gswm-occlusion", "bounce", (3, 3), 8.0, colouring="distinct", apart=False),
        GswmSpec("gswm-interaction", "bounce", (3, 3), 8.0, layers=1),
        GswmSpec("gswm-two-layer", "bounce", (6, 6), 8.0, two, "layer", layers=2),
        GswmSpec("gswm-dense", "bounce", (16, 16), 5.0, two, "layer", layers=2),
        GswmSpec("gswm-single-ball", "falls", (1, 1), 7.0, ("red",), speed=6.25, frames=9),
        GswmSpec(
            "gswm-maze",
            "wander",
            (3, 4),
            64 / CELLS / 2,
            _SIX,
            "distinct",
            apart=False,
            speed=64 / CELLS / 2,
            frames=99,
        ),
    ]
    return {spec.name: spec for spec in sets}


GSWM_SETS: dict[str, GswmSpec] = _table()
"""Every set of the benchmark, by name."""
