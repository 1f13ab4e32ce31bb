"""The toy sets as data: one `ToySpec` per set (paper, section 5.1 and appendix C).

The paper gives, for each density, how many objects are in the world (drawn uniformly from min to
max) and how many of them are visible on average. It does not give sizes, speeds or world sizes;
those below are our choice. A size is the mean side of an object's box, over all shapes and angles;
sizes within a clip vary by `spread`. Denser sets have smaller and slower objects, so that they fit:

===============  ==============================  =======  =========  ==================
density          in the world                    visible  size (px)  speed (px a frame)
===============  ==============================  =======  =========  ==================
vld              2 to 4                          2.9      12         1 to 3
ld               8 to 11                         8        10         1 to 2.5
md               18 to 24                        20       8          0.8 to 2
hd               50 to 64                        55       6          0.5 to 1.5
vhd              90 to 110                       90       5          0.5 to 1.5
dense-discovery  10 to 15 new at frames 1, 5, 9  all      7          0.8 to 2
6-36             6 to 36                         -        7          0.8 to 2
15-25, 50-60     15 to 25, 50 to 60              -        6          0.8 to 2
crossing         4 to 8                          -        10         1.5 to 4
colliding        6 to 8                          all      9          1.5 to 3 at first
wide             30                              -        12         1 to 3
two              0 to 2                          -        17         up to 10
===============  ==============================  =======  =========  ==================

The view is 64 pixels a side (paper, section 5.1), that of `wide` 256: about as sparse as vld; that
of `two` 50. `two` is the set of SQAIR (Kosiorek et al. 2018), see `ToySpec.acceleration`; sizes,
speeds and accelerations are those of the code that its authors published.

Where objects turn round. In the paper objects leave the view completely and come back within a few
frames, yet in VLD 2.9 of 3 are visible on average. One wall for all cannot give both: a wall far
enough to leave behind hides a fifth of the objects of 12 pixels. So each object has its own
*reach*: how far beyond the view's edge its centre goes before it turns round (negative: it turns
inside the view), drawn uniformly from the set's `reach` for each of the four sides. The longest
reach lets an object of the set's size leave completely; the shortest was tuned so that the average
number visible (by at least a quarter of their area) is the paper's. `data describe` measures it.
"""

from dataclasses import dataclass, replace
from typing import Literal

VISIBLE_SHARE = 0.25
"""The share of its area from which an object counts as visible (ours; the paper does not say)."""


@dataclass(frozen=True)
class ToySpec:
    """One toy set.

    Attributes:
        name: what `open_source` knows it by.
        shapes: coloured squares, ellipses and hearts, or grey MNIST digits.
        count: fewest and most objects in the world; per cohort where there are several.
        visible: the paper's average number of visible objects a frame; None where it gives none.
        size: mean side of an object's box, in pixels.
        speed: slowest and fastest, in pixels a frame.
        reach: nearest and farthest turning point of a centre, in pixels beyond the view's edge.
        spread: sizes lie within size * (1 -+ spread).
        jitter: standard deviation of the change of each velocity component a frame, in pixels.
        background: whether the background moves; else it is black.
        births: frames (from 0) at which a cohort of objects appears, inside the view if not at 0.
        spring: pull between the two objects of a pair, per frame squared; 0 for none.
        digits: the digits that occur, for MNIST.
        elastic: whether objects bounce off each other, as discs of their own size and of equal
            mass, and go straight on in between; jitter and spring play no part, and speeds are
            those of the first frame. One cohort only.
        view: height and width of the view, in pixels.
        acceleration: greatest along each axis, in pixels a frame and frame; 0 for none. With one,
            jitter is the standard deviation of its change a frame, `speed` bounds the velocity
            along each axis, and a box turns round where it touches the view's left or upper edge,
            or has just left by the right or lower one (`data.accelerated`).
    """

    name: str
    shapes: Literal["dsprites", "mnist"]
    count: tuple[int, int]
    visible: float | None
    size: float
    speed: tuple[float, float]
    reach: tuple[float, float]
    spread: float = 0.15
    jitter: float = 0.1
    background: bool = False
    births: tuple[int, ...] = (0,)
    spring: float = 0.0
    digits: tuple[int, ...] = tuple(range(10))
    elastic: bool = False
    view: int = 64
    acceleration: float = 0.0

    @property
    def world(self) -> float:
        """Side of the world that centres move in, in pixels; the view is at its centre."""
        return self.view + 2 * self.reach[1]

    @property
    def behind(self) -> str:
        """What the background is, in a word."""
        return "moving" if self.background else "black"

    @property
    def channels(self) -> int:
        """3 for coloured sprites, 1 for digits."""
        return 3 if self.shapes == "dsprites" else 1


def _table() -> dict[str, ToySpec]:
    vld = ToySpec("vld", "dsprites", (2, 4), 2.9, 12.0, (1.0, 3.0), (-18.0, 7.5))
    ld = ToySpec("ld", "dsprites", (8, 11), 8.0, 10.0, (1.0, 2.5), (1.3, 8.0))
    md = ToySpec("md", "dsprites", (18, 24), 20.0, 8.0, (0.8, 2.0), (-5.7, 5.5))
    hd = ToySpec("hd", "dsprites", (50, 64), 55.0, 6.0, (0.5, 1.5), (-10.0, 4.5))
    vhd = ToySpec("vhd", "dsprites", (90, 110), 90.0, 5.0, (0.5, 1.5), (1.0, 4.0))

    sets = []
    for density in (vld, ld, md, hd, vhd):
        for shapes in ("dsprites", "mnist"):
            plain = replace(density, name=f"moving-{shapes}-{density.name}", shapes=shapes)
            sets += [plain, replace(plain, name=f"{plain.name}-background", background=True)]

    other = replace(md, visible=None)
    # Kosiorek et al. 2018, section 4.1: digits as large as MNIST has them.
    two = ToySpec(
        "moving-mnist-two",
        "mnist",
        count=(0, 2),
        visible=None,
        size=17.1,
        speed=(0.0, 10.0),
        reach=(0.0, 0.0),
        spread=0.0,
        jitter=0.01,
        view=50,
        acceleration=3.0,
    )
    sets += [
        # Appendix C.1: objects enter in the middle of the clip, as after a cut.
        replace(
            other,
            name="moving-dsprites-dense-discovery",
            count=(10, 15),
            births=(0, 4, 8),
            size=7.0,
            reach=(-3.5, -3.5),
        ),
        # Section 5.3: the ablation of attention and rejection.
        replace(other, name="moving-dsprites-6-36", count=(6, 36), size=7.0),
        # Appendix C.4: more objects than in training, of the same size.
        replace(other, name="moving-dsprites-15-25", count=(15, 25), size=6.0),
        replace(other, name="moving-dsprites-50-60", count=(50, 60), size=6.0),
        # Appendix C.4: digits not seen in training.
        *(
            replace(
                ld,
                name=f"moving-mnist-ld-digits-{first}-{last}",
                shapes="mnist",
                digits=tuple(range(first, last + 1)),
            )
            for first, last in ((0, 5), (6, 9))
        ),
        # Appendix C.3: objects are driven at each other, so that they overlap.
        *(
            replace(
                other,
                name=f"moving-{shapes}-crossing",
                shapes=shapes,
                count=(4, 8),
                size=10.0,
                speed=(1.5, 4.0),
                spring=0.02,
            )
            for shapes in ("dsprites", "mnist")
        ),
        # Not in the paper: only who sees the others foresees where an object goes.
        replace(
            other,
            name="moving-dsprites-colliding",
            count=(6, 8),
            size=9.0,
            spread=0.1,
            speed=(1.5, 3.0),
            reach=(-6.5, -6.5),
            jitter=0.0,
            elastic=True,
        ),
        # Not in the paper: frames larger than those trained on, for videos of any length.
        replace(vld, name="moving-dsprites-wide", count=(30, 30), visible=None, view=256),
        two,
        # The hard ones of these: every clip has both.
        replace(two, name="moving-mnist-pair", count=(2, 2)),
    ]
    return {spec.name: spec for spec in sets}


TOY_SETS: dict[str, ToySpec] = _table()
"""Every toy set, by name."""
