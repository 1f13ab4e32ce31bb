"""The sets of G-SWM's benchmark, made on the fly; see :mod:`scalor_ppl.data.gswm_specs`."""

from dataclasses import dataclass

import numpy as np

from scalor_ppl.config.reading import DEFAULT_OPTIONS, SourceOptions
from scalor_ppl.data import shapes
from scalor_ppl.data.balls import bouncing, falling, layers_of
from scalor_ppl.data.generated import LENGTH, GeneratedSet, with_channels
from scalor_ppl.data.gswm_specs import COLOURS, GswmSpec
from scalor_ppl.data.looks import Looks
from scalor_ppl.data.records import Clip, Split, Truth, check_clip, generator

_THRESHOLD = 0.5  # coverage from which a pixel is the disc's


@dataclass(frozen=True)
class Discs:
    """All that there is to see in a clip of T frames.

    Attributes:
        name: the clip's.
        centres: float64 [T, N, 2] x, y in pixels.
        velocities: float64 [T, N, 2] in pixels a frame.
        colours: float32 [N, 3] in 0..1.
        behind: float32 [H, W, 3] the background; None for black.
    """

    name: str
    centres: np.ndarray
    velocities: np.ndarray
    colours: np.ndarray
    behind: np.ndarray | None = None


class DiscSource(GeneratedSet[Discs]):
    """A set of the benchmark as a clip source; see `gswm_specs.GSWM_SETS` for what there is.

    Args:
        spec: the set.
        split: train or test clips; none is in both.
        seed: another seed gives other clips.
        options: `channels` applies, the rest must be left alone.

    Raises:
        UserError: options that a generated set has no use for.
    """

    def __init__(
        self,
        spec: GswmSpec,
        *,
        split: Split = "train",
        seed: int = 0,
        options: SourceOptions = DEFAULT_OPTIONS,
    ) -> None:
        super().__init__(spec.name, spec.view, 3, split=split, seed=seed, options=options)
        self.spec = spec

    def starts(self, frames: int) -> int:
        """How many clips of `frames` frames there are; a single ball has 9 frames at most."""
        return LENGTH if self.spec.motion != "falls" or frames <= self.spec.frames else 0

    def discs(self, index: int, frames: int) -> Discs:
        """What the clip of an index shows, before it is painted.

        Raises:
            UserError: no such index, or no frames.
        """
        check_clip(self.name, index, frames, self.starts)
        spec = self.spec
        looks, motion = generator(self.name, self.split, self.seed, index).spawn(2)
        behind = None
        if spec.motion == "wander":
            # Imported when needed: scipy takes its time.
            from scalor_ppl.data.maze import draw_maze, painted, wandering

            free = draw_maze(motion)
            behind = painted(free, spec.view)
            centres, velocities = wandering(spec, motion, free, frames)
        elif spec.motion == "falls":
            centres, velocities = falling(spec, motion, frames)
        else:
            centres, velocities = bouncing(spec, motion, frames)
        return Discs(
            name=f"{self.name}/{self.split}/{index}",
            centres=centres,
            velocities=velocities,
            colours=_colours(spec, looks, centres.shape[1]),
            behind=behind,
        )

    def _shown(self, index: int, frames: int) -> Discs:
        return self.discs(index, frames)

    def _render(self, shown: Discs, frames: range) -> Clip:
        centres = shown.centres[frames.start : frames.stop]
        count = centres.shape[1]
        radius = np.full(count, self.spec.radius)
        canvas = np.zeros((len(frames), self.height, self.width, 3), dtype=np.float32)
        if shown.behind is not None:
            canvas += shown.behind
        rim = np.stack([-radius, -radius, radius, radius], axis=1)
        looks = Looks(
            kinds=np.full(count, shapes.DISC),
            glyphs=np.zeros((1, 1, 1), dtype=np.float32),
            angles=np.zeros(count),
            scales=1 / (2 * radius * shapes.UNITS[shapes.DISC]),
            reach=rim,
            colours=shown.colours,
            boxes=rim,
            threshold=_THRESHOLD,
            labels=np.zeros(count, dtype=np.int64),
        )
        painted = looks.paint(canvas, centres, np.zeros(count, dtype=np.int64))
        sides = np.full_like(centres, self.spec.size)
        truth = Truth(
            ids=np.arange(count, dtype=np.int64),
            boxes=np.concatenate([centres - sides / 2, sides], axis=2).astype(np.float32),
            visible=painted.visible,
            masks=painted.masks,
            object_size=self.spec.size,
            # Known exactly: what is painted has its centre there but for the grain of the pixels.
            centres=centres.copy(),
        )
        return Clip(with_channels(canvas, self.channels), truth, shown.name)


def _colours(spec: GswmSpec, rng: np.random.Generator, count: int) -> np.ndarray:
    """Float32 [N, 3] in 0..1."""
    palette = np.array([COLOURS[name] for name in spec.palette], dtype=np.float32)
    if spec.colouring == "layer":
        return palette[layers_of(spec, count)]
    return palette[rng.choice(len(palette), count, replace=spec.colouring == "any")]
