"""Toy sets made on the fly: moving sprites and moving digits (paper, section 5.1, appendix C)."""

from dataclasses import dataclass

import numpy as np

from scalor_ppl.config.reading import DEFAULT_OPTIONS, SourceOptions
from scalor_ppl.data import shapes
from scalor_ppl.data.accelerated import accelerated
from scalor_ppl.data.backgrounds import Texture
from scalor_ppl.data.collisions import bounce, closest
from scalor_ppl.data.generated import GeneratedSet, with_channels
from scalor_ppl.data.looks import Looks
from scalor_ppl.data.mnist import Digits, load_digits
from scalor_ppl.data.motion import move, place
from scalor_ppl.data.records import (
    Clip,
    Split,
    Truth,
    check_clip,
    generator,
)
from scalor_ppl.data.specs import ToySpec
from scalor_ppl.errors import UserError

_TRIES = 30  # places tried for each object until one is free
_SPACING = 0.8  # least distance of centres in the first frame, in object sizes
_SPRITE_THRESHOLD = 0.5  # coverage from which a pixel is the object's
_GLYPH_THRESHOLD = 0.25  # lower: strokes of small digits are thinner than a pixel


@dataclass(frozen=True)
class Portraits:
    """Single objects of a set on black, each in the middle of a picture of its own.

    Attributes:
        pictures: [N, S, S, C] uint8.
        boxes: [N, 4] float32 left, top, width, height in pixels.
        labels: [N] int64 which of `names` each is.
        names: of the kinds: square, ellipse, heart; or the digits.
    """

    pictures: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Scene:
    """All that there is to see in a clip of T frames, before it is painted.

    Attributes:
        name: the clip's.
        centres: [T, N, 2] in pixels of the view; NaN before birth.
        births: [N] the frame in which each object first exists.
        looks: of the objects.
        texture: the background; None for black.
    """

    name: str
    centres: np.ndarray
    births: np.ndarray
    looks: Looks
    texture: Texture | None


class ToySource(GeneratedSet[_Scene]):
    """A toy set as a clip source; see `specs.TOY_SETS` for what there is. Later ids are in front.

    Args:
        spec: the set.
        split: train or test clips; none is in both.
        seed: another seed gives other clips.
        options: `channels` and `folder` apply, the rest must be left alone.

    Raises:
        UserError: options that a toy set has no use for, or MNIST's files are missing.
    """

    def __init__(
        self,
        spec: ToySpec,
        *,
        split: Split = "train",
        seed: int = 0,
        options: SourceOptions = DEFAULT_OPTIONS,
    ) -> None:
        super().__init__(
            spec.name, spec.view, spec.channels, split=split, seed=seed, options=options
        )
        self.spec = spec
        self._digits: Digits | None = None
        self._chosen = np.zeros(0, dtype=np.int64)
        if spec.shapes == "mnist":
            folder = options.folder
            self._digits = load_digits(folder, split)
            self._chosen = np.flatnonzero(np.isin(self._digits.labels, spec.digits))
            if not len(self._chosen):
                raise UserError(f"{folder} has none of the digits {spec.digits} of {spec.name}")

    def portraits(self, count: int, seed: int = 0) -> Portraits:
        """Objects as the set's clips have them, and what each is.

        Args:
            count: N.
            seed: of the choice.
        """
        rng = generator(f"portraits of {self.name}", self.split, self.seed, seed)
        sizes = self.spec.size * rng.uniform(1 - self.spec.spread, 1 + self.spec.spread, count)
        looks = self._sprites(rng, sizes) if self._digits is None else self._glyphs(rng, sizes)
        side = 2 * int(np.ceil(self.spec.size * (1 + self.spec.spread)))
        centres = side / 2 + rng.uniform(-0.5, 0.5, (count, 2))
        canvas = np.zeros((count, side, side, self.spec.channels), np.float32)
        for n in range(count):
            one = slice(n, n + 1)
            looks.only(n).paint(canvas[one], centres[None, one], np.zeros(1, np.int64))
        corner = centres + looks.boxes[:, :2]
        boxes = np.concatenate((corner, looks.boxes[:, 2:] - looks.boxes[:, :2]), 1)
        names = ("square", "ellipse", "heart") if self._digits is None else tuple("0123456789")
        return Portraits(
            with_channels(canvas, self.channels),
            boxes.astype(np.float32),
            looks.labels.astype(np.int64),
            names,
        )

    def _shown(self, index: int, frames: int) -> _Scene:
        check_clip(self.name, index, frames, self.starts)
        rng = generator(self.name, self.split, self.seed, index)
        scene, texture = rng.spawn(2)
        cohorts = [int(scene.integers(*self.spec.count, endpoint=True)) for _ in self.spec.births]
        births = np.repeat(np.array(self.spec.births, dtype=np.int64), cohorts)
        sizes = self.spec.size * scene.uniform(
            1 - self.spec.spread, 1 + self.spec.spread, len(births)
        )
        looks = self._sprites(scene, sizes) if self._digits is None else self._glyphs(scene, sizes)
        if self.spec.acceleration:
            centres = self._accelerated(scene, looks.boxes, frames)
        else:
            centres = self._trajectories(scene, sizes, cohorts, frames)
        return _Scene(
            name=f"{self.name}/{self.split}/{index}",
            centres=centres,
            births=births,
            looks=looks,
            texture=Texture.draw(texture, self.spec.channels) if self.spec.background else None,
        )

    def _sprites(self, rng: np.random.Generator, sizes: np.ndarray) -> Looks:
        """Squares, ellipses and hearts at any angle, in saturated colours."""
        count = len(sizes)
        kinds = rng.integers(0, 3, count)
        angles = rng.uniform(0, 2 * np.pi, count)
        hue, saturation, value = rng.uniform((0, 0.8, 0.9), (1, 1, 1), (count, 3)).T
        reach = shapes.extents(kinds, angles, sizes)
        return Looks(
            kinds=kinds,
            glyphs=np.zeros((1, 1, 1), dtype=np.float32),
            angles=angles,
            scales=1 / (sizes * shapes.UNITS[kinds]),
            reach=reach,
            colours=_rgb(hue, saturation, value),
            boxes=reach,
            threshold=_SPRITE_THRESHOLD,
            labels=kinds,
        )

    def _glyphs(self, rng: np.random.Generator, sizes: np.ndarray) -> Looks:
        """White digits, upright, all scaled alike: a 1 is as high as an 8."""
        digits = self._digits
        assert digits is not None
        count = len(sizes)
        chosen = self._chosen[rng.integers(0, len(self._chosen), count)]
        scales = digits.mean_side / sizes
        boxes = digits.boxes[chosen] / scales[:, None]
        rim = digits.images.shape[1] / 2 / scales
        return Looks(
            kinds=np.full(count, shapes.GLYPH),
            glyphs=digits.images[chosen],
            angles=np.zeros(count),
            scales=scales,
            reach=np.stack([-rim, -rim, rim, rim], axis=1),
            colours=np.ones((count, 1), dtype=np.float32),
            boxes=boxes,
            threshold=_GLYPH_THRESHOLD,
            labels=digits.labels[chosen],
        )

    def _trajectories(
        self, rng: np.random.Generator, sizes: np.ndarray, cohorts: list[int], frames: int
    ) -> np.ndarray:
        """[T, N, 2] centres in pixels of the view; NaN before birth."""
        spec = self.spec
        spacing = spec.size * (1 + spec.spread if spec.elastic else _SPACING)
        centres = np.full((frames, sum(cohorts), 2), np.nan)
        done = 0
        for birth, count, own in zip(spec.births, cohorts, rng.spawn(len(cohorts)), strict=True):
            reach = own.uniform(*spec.reach, (count, 2, 2))
            low, high = -reach[..., 0], spec.view + reach[..., 1]
            candidates = _scattered(own, low, high)
            heading = own.uniform(0, 2 * np.pi, count)
            speed = own.uniform(*spec.speed, count)
            if birth >= frames:
                break
            start = place(candidates, centres[birth, :done], spacing)
            velocity = speed[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
            if spec.elastic:
                # Discs must not overlap: where one found no free place, all are placed anew.
                while closest(start) < spacing:
                    start = place(_scattered(own, low, high), start[:0], spacing)
                tracks, _ = bounce(start, velocity, low, high, sizes / 2, frames)
            else:
                if spec.spring:
                    velocity = speed[:, None] * _towards_partner(start)
                noise = own.normal(0, spec.jitter, (frames - 1 - birth, count, 2))
                tracks = move(start, velocity, low, high, noise, *spec.speed, spec.spring)
            centres[birth:, done : done + count] = tracks
            done += count
        return centres

    def _accelerated(self, rng: np.random.Generator, boxes: np.ndarray, frames: int) -> np.ndarray:
        """[T, N, 2] likewise, of a set whose objects have an acceleration.

        Args:
            rng: of the clip.
            boxes: [N, 4] of the objects, from what they turn about, in pixels.
            frames: T.
        """
        spec = self.spec
        inside = -boxes[:, :2], spec.view - boxes[:, 2:]
        start = place(_scattered(rng, *inside), np.zeros((0, 2)), spec.size)
        beyond = spec.view - boxes[:, :2]
        return accelerated(
            rng, start, frames, inside[0], beyond, spec.speed[1], spec.acceleration, spec.jitter
        )

    def _render(self, shown: _Scene, frames: range) -> Clip:
        looks, centres = shown.looks, shown.centres[frames.start : frames.stop]
        count = len(shown.births)
        if shown.texture is None:
            shape = (len(frames), self.height, self.width, self.spec.channels)
            canvas = np.zeros(shape, dtype=np.float32)
        else:
            canvas = shown.texture.paint(frames, self.height, self.width)
        painted = looks.paint(canvas, centres, shown.births - frames.start)
        corner = centres + looks.boxes[:, :2]
        side = np.where(np.isnan(corner), np.nan, looks.boxes[:, 2:] - looks.boxes[:, :2])
        truth = Truth(
            ids=np.arange(count, dtype=np.int64),
            boxes=np.concatenate([corner, side], axis=2).astype(np.float32),
            visible=painted.visible,
            masks=painted.masks,
            object_size=self.spec.size,
            centres=painted.masses,
        )
        return Clip(with_channels(canvas, self.channels), truth, shown.name)


def _scattered(rng: np.random.Generator, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[N, tries, 2] places between the bounds [N, 2] of each object."""
    return low[:, None] + (high - low)[:, None] * rng.random((len(low), _TRIES, 2))


def _towards_partner(places: np.ndarray) -> np.ndarray:
    """[N, 2] unit vectors from objects 0 and 1, 2 and 3, ... to each other."""
    count = len(places)
    partner = np.arange(count) ^ 1
    partner[partner >= count] = max(count - 2, 0)
    way = places[partner] - places
    return way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)


def _rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """[N, 3] float32 RGB of [N] hue, saturation and value, all in 0..1."""
    ramp = np.abs((hue[:, None] * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    full = ramp.clip(0, 1)
    colour = value[:, None] * (1 - saturation[:, None] * (1 - full))
    return colour.astype(np.float32)
