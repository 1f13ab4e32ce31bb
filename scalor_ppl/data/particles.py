"""Sets of diffusing particles made on the fly; see :mod:`scalor_ppl.data.particle_specs`."""

from dataclasses import dataclass

import numpy as np

from scalor_ppl.config.reading import DEFAULT_OPTIONS, SourceOptions
from scalor_ppl.data.generated import GeneratedSet
from scalor_ppl.data.particle_specs import BOX_WIDTHS, ParticleMotion, ParticleSpec
from scalor_ppl.data.records import Clip, Split, Truth, check_clip, generator
from scalor_ppl.data.spots import light, sensed, share_in_view

_SCENE, _NOISE = 0, 1  # keys of random numbers


@dataclass(frozen=True)
class Particles:
    """All that is to be known of the N particles of a clip of T frames.

    Attributes:
        name: the clip's.
        index: the clip's, a key of its noise.
        centres: float64 [T, N, 2] x, y in pixels of the view; NaN while one does not exist.
        widths: [N] standard deviations of the spots, in pixels.
        peaks: [N] their heights before they are integrated over pixels, in grey levels.
        kinds: [N] which of the set's motions.
    """

    name: str
    index: int
    centres: np.ndarray
    widths: np.ndarray
    peaks: np.ndarray
    kinds: np.ndarray


class ParticleSource(GeneratedSet[Particles]):
    """A set of particles as a clip source; see `particle_specs.PARTICLE_SETS` for what there is.

    In a longer clip more particles may exist later on. What is out of focus is ignored.

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
        spec: ParticleSpec,
        *,
        split: Split = "train",
        seed: int = 0,
        options: SourceOptions = DEFAULT_OPTIONS,
    ) -> None:
        super().__init__(spec.name, spec.view, 1, split=split, seed=seed, options=options)
        self.spec = spec

    def particles(self, index: int, frames: int) -> Particles:
        """What the clip of an index shows, before it is painted.

        The world has no walls: who leaves it comes in again on the other side, out of view, and is
        another particle from then on. So motion is nowhere disturbed.

        Raises:
            UserError: no such index, or no frames.
        """
        check_clip(self.name, index, frames, self.starts)
        spec = self.spec
        rng = generator(self.name, self.split, self.seed, index, _SCENE)
        clear = int(rng.integers(*spec.count, endpoint=True))
        focused = [motion.share for motion in spec.motions[:-1]]
        kinds = rng.choice(len(focused), clear, p=focused)
        blurred = round(clear * spec.motions[-1].share)
        kinds = np.concatenate((kinds, np.full(blurred, len(focused))))
        widths = np.full(len(kinds), spec.width)
        peaks = spec.peak * rng.uniform(1 - spec.peak_spread, 1 + spec.peak_spread, len(kinds))
        widths[clear:] = rng.uniform(*spec.blur_widths, blurred)
        peaks[clear:] = rng.uniform(*spec.blur_peaks, blurred)
        walks = _walks(rng, [spec.motions[kind] for kind in kinds], spec.world, frames)
        centres, which = _wrapped(walks, spec.world)
        return Particles(
            name=f"{self.name}/{self.split}/{index}",
            index=index,
            centres=centres - spec.margin,
            widths=widths[which],
            peaks=peaks[which],
            kinds=kinds[which],
        )

    def _shown(self, index: int, frames: int) -> Particles:
        return self.particles(index, frames)

    def _render(self, shown: Particles, frames: range) -> Clip:
        spec, widths = self.spec, shown.widths
        centres = shown.centres[frames.start : frames.stop]
        video = np.empty((len(frames), self.height, self.width, self.channels), np.uint8)
        masks = np.full(video.shape[:3], -1, dtype=np.int32)
        focused = np.flatnonzero(shown.kinds < len(spec.motions) - 1)
        for t, number in enumerate(frames):
            rng = generator(self.name, self.split, self.seed, shown.index, _NOISE, number)
            spots = light(centres[t], widths, shown.peaks, self.height, self.width)
            video[t] = sensed(spec.background + spots, spec.read_noise, spec.gain, rng)[..., None]
            _draw_discs(masks[t], centres[t], focused, spec.size / 2)
        sides = np.broadcast_to((BOX_WIDTHS * widths)[:, None], (*centres.shape[:2], 2))
        sides = np.where(np.isnan(centres), np.nan, sides)
        ignored = np.zeros(centres.shape[:2], dtype=bool)
        ignored[:] = shown.kinds == len(spec.motions) - 1
        truth = Truth(
            ids=np.arange(len(widths), dtype=np.int64),
            boxes=np.concatenate([centres - sides / 2, sides], axis=2).astype(np.float32),
            visible=share_in_view(centres, widths, self.height, self.width).astype(np.float32),
            masks=masks,
            object_size=spec.size,
            ignored=ignored,
            centres=centres,
        )
        return Clip(video, truth, shown.name)


def _walks(
    rng: np.random.Generator, motions: list[ParticleMotion], world: float, frames: int
) -> np.ndarray:
    """[T, N, 2] where particles are that began anywhere in the world, and may have left it.

    In a trap the law of each step is that of the Ornstein-Uhlenbeck process, not an approximation.
    """
    count = len(motions)
    diffusion, speed, stiffness = (
        np.array([getattr(motion, name) for motion in motions])[:, None]
        for name in ("diffusion", "speed", "stiffness")
    )
    start = rng.uniform(0, world, (count, 2))
    heading = rng.uniform(0, 2 * np.pi, (count, 1))
    drift = speed * np.concatenate((np.cos(heading), np.sin(heading)), axis=1)
    trapped = stiffness > 0
    rate = np.where(trapped, stiffness, 1.0)
    kept = np.where(trapped, np.exp(-rate), 1.0)
    spread = np.sqrt(diffusion * np.where(trapped, -np.expm1(-2 * rate) / rate, 2.0))
    # A trap has held its particle for long: it is anywhere in it.
    away = np.where(trapped, np.sqrt(diffusion / rate), 0.0) * rng.normal(size=(count, 2))
    noise = rng.normal(size=(frames - 1, count, 2))  # last: a longer clip begins with a shorter
    walks = np.empty((frames, count, 2))
    for t in range(frames):
        if t:
            away = kept * away + spread * noise[t - 1]
        walks[t] = start + away + t * drift
    return walks


def _wrapped(walks: np.ndarray, world: float) -> tuple[np.ndarray, np.ndarray]:
    """Particles as they come into the world, each time as another one.

    Args:
        walks: [T, M, 2] as if the world had no end.
        world: its side.

    Returns:
        [T, N, 2] in the world, NaN where one is elsewhere; [N] which of the M each is. In the order
        in which they first are in the world.
    """
    laps = np.floor(walks / world).astype(np.int64)
    frames, count = walks.shape[:2]
    keys = np.concatenate(
        (np.broadcast_to(np.arange(count)[None, :, None], (frames, count, 1)), laps), axis=2
    )
    found, first, number = np.unique(
        keys.reshape(-1, 3), axis=0, return_index=True, return_inverse=True
    )
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    centres = np.full((frames, len(found), 2), np.nan)
    rows = np.repeat(np.arange(frames), count)
    centres[rows, rank[number.reshape(-1)]] = (walks - laps * world).reshape(-1, 2)
    return centres, found[order, 0]


def _draw_discs(mask: np.ndarray, centres: np.ndarray, chosen: np.ndarray, radius: float) -> None:
    """Draw discs of one radius into a mask [H, W]; a pixel is of the nearest centre.

    Args:
        mask: gets the numbers of the discs.
        centres: [N, 2] x, y in pixels.
        chosen: [n] which of them have a disc.
        radius: in pixels.
    """
    height, width = mask.shape
    nearest = np.full(mask.shape, np.square(radius))
    for n in chosen:
        x, y = centres[n]
        if not (-radius < x < width + radius and -radius < y < height + radius):
            continue
        rows = np.arange(max(0, int(y - radius)), min(height, int(y + radius) + 1))
        columns = np.arange(max(0, int(x - radius)), min(width, int(x + radius) + 1))
        apart = np.square(rows + 0.5 - y)[:, None] + np.square(columns + 0.5 - x)
        window = np.ix_(rows, columns)
        nearer = apart < nearest[window]
        nearest[window] = np.where(nearer, apart, nearest[window])
        mask[window] = np.where(nearer, n, mask[window])
