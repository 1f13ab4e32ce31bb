"""The moving objects before a fixed camera: how large, how many, how fast."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scalor_ppl.fitting.components import (
    Components,
    change,
    find_components,
    residual,
    soft_margin,
)
from scalor_ppl.fitting.kinds import NOTHING_GIVEN, Given, Kinds, Percentiles, find_kinds
from scalor_ppl.fitting.linking import ObjectMotion, measure_motion, measure_slow_motion
from scalor_ppl.fitting.objects import Evidence, ObjectStatistics, Plane, Sighting
from scalor_ppl.fitting.painting import looks, unpainted
from scalor_ppl.fitting.perspective import find_perspective

_LEAST_THRESHOLD = 3.0  # levels: below, flicker of the compression looks like objects
_RESOLVED = 32.0  # pixels, square root of its area, from which an object's limbs are told apart
_FAINT = 0.12  # of the contrast, down to which limbs are looked for
_FEWEST = 8  # single objects, in all frames looked at, that a statement takes
_PIXELS = 40_000_000  # of all frames looked at, about
_FRAMES = (20, 100)  # bounds of their number
_ROUGHLY = 20  # frames that the contrast is taken from
_LOOKS = 64  # at objects, that tell what a decoder paints
_SHOWN = 6  # frames that are kept to be shown
_FILL = 0.75  # of a given box that an object covers, where none was seen: an ellipse's is pi / 4
_GIVEN_RANGE = (0.85, 1.0, 1.15)  # of a given size that objects have, where none was seen
_LONG = 1.15  # times the other side, that a box is of an object that lies this way
_STEADY = 0.25  # of the median number, that others may have more or less; one object at least


@dataclass(frozen=True)
class VideoSample:
    """What of a video is looked at.

    Attributes:
        samples: frames [H, W, C] evenly over the whole of it: how large objects are, and how many.
        spacing: frames of the video from one of these to the next.
        runs: of consecutive frames, equally long, at least 2 each: how fast they are.
        background: [H, W, C], see `mode_image`.
        noise: standard deviation of the residual, in levels.
    """

    samples: list[np.ndarray]
    spacing: int
    runs: list[list[np.ndarray]]
    background: np.ndarray
    noise: float

    def thinned(self) -> "VideoSample":
        """As many samples as are needed."""
        pixels = self.background.shape[0] * self.background.shape[1]
        most = int(np.clip(_PIXELS // pixels, *_FRAMES))
        step = -(-len(self.samples) // most)
        return replace(self, samples=self.samples[::step], spacing=step * self.spacing)


def find_moving(
    look: VideoSample, given: Given = NOTHING_GIVEN
) -> tuple[ObjectStatistics, ObjectMotion | None] | None:
    """Measure what differs from the background.

    Sizes and ways are those of single objects: patches of about the most common area, or of two
    areas. Merged objects count as often as that area goes into theirs.

    Args:
        look: at a video before a camera that stands still.
        given: what the user knows of the objects, in pixels of these frames.

    Returns:
        The objects, and their motion where they can be followed; None where there are none.
    """
    look = look.thinned()
    few = look.samples[:: -(-len(look.samples) // _ROUGHLY)]
    rough = [residual(frame, look.background) for frame in few]
    contrast = _contrast(rough, 5 * look.noise)
    if contrast == 0:
        return None
    threshold = max(4 * look.noise, 0.35 * contrast, _LEAST_THRESHOLD)
    kinds = find_kinds([find_components(difference, threshold, 1) for difference in rough], given)
    if kinds is None:
        if given.size is None:
            return None
        kinds = Kinds((_FILL * given.size[0] * given.size[1],))
    # Large objects fall into parts that lie further apart.
    reach = int(np.clip(round(np.sqrt(kinds.areas[0]) / 16), 1, 6))
    limbs = None
    if np.sqrt(kinds.areas[0]) >= _RESOLVED:
        limbs = max(5 * look.noise, _FAINT * contrast, _LEAST_THRESHOLD)

    def patches(frame: np.ndarray, limbs: float | None) -> Components:
        return find_components(residual(frame, look.background), threshold, reach, limbs)

    frames = [patches(frame, limbs) for frame in look.samples]
    runs = [[patches(frame, None) for frame in run] for run in look.runs]
    perspective = find_perspective(frames, given)
    if perspective:
        frames = [frame.levelled(perspective) for frame in frames]
        runs = [[frame.levelled(perspective) for frame in run] for run in runs]
    kinds = find_kinds(frames, given) or kinds
    level = _sides(frames, kinds)
    if len(level) < _FEWEST and given.size is None:
        if given.count is None:
            return None
        # So many as are said are in what there is: round ones, of its area.
        side = float(np.sqrt(kinds.areas[0] / _FILL))
        given = replace(given, size=(side, side))
    near = np.concatenate([frame.nearness(perspective)[kinds.single(frame)] for frame in frames])
    sizes = level * near[:, None]
    soft = 0.0
    if len(level) and limbs is None:
        soft = _softness(rough, threshold, contrast, float(np.median(sizes.min(1))))
    sizes, level = sizes + soft, level + soft
    if given.size is not None:
        sizes, level = (_resized(each, given.size) for each in (sizes, level))
    numbers = np.array([kinds.counted(frame).sum() for frame in frames])
    count, most = np.percentile(numbers, (50, 95)).tolist()
    mixed, turning = len(kinds.areas) > 1, _turning(level)
    medians = [np.median(_sides(frames, kinds, n) + soft, 0)[::-1] for n in (0, 1) if mixed]
    objects = ObjectStatistics(
        widths=_percentiles(sizes, 1, [m[0] for m in medians] if mixed else None, turning),
        heights=_percentiles(sizes, 0, [m[1] for m in medians] if mixed else None, turning),
        count=(count, most) if given.count is None else (given.count, given.count),
        covered=float(np.mean([frame.covered for frame in frames])),
        contrast=contrast,
        unpainted=_unpainted(look, frames, kinds, perspective, np.median(level, 0)),
        plane=Plane(perspective, *(_percentiles(level, axis, None, turning) for axis in (1, 0)))
        if perspective
        else None,
        kinds=tuple((float(width), float(height)) for width, height in medians) if mixed else (),
        turning=turning,
        evidence=Evidence(
            frames=len(frames),
            singles=len(near),
            alone=_alone(frames, kinds),
            spread=0.0 if mixed else _spread(level),
            steady=float(np.mean(np.abs(numbers - count) <= max(1, _STEADY * count))),
            sightings=_sightings(look, frames, kinds, perspective, soft),
        ),
    )
    ways = [[_followed(frame, kinds) for frame in run] for run in runs]
    motion = measure_motion(ways, objects.size) or measure_slow_motion(
        [_followed(frame, kinds) for frame in frames], look.spacing, objects.size
    )
    return objects, motion


def _sides(frames: Sequence[Components], kinds: Kinds, kind: int | None = None) -> np.ndarray:
    """[N, 2] heights and widths of single objects, or of one kind of them."""
    chosen = [
        kinds.single(frame) if kind is None else kinds.of(frame, kind) & frame.inside
        for frame in frames
    ]
    return np.concatenate([frame.sizes[one] for frame, one in zip(frames, chosen, strict=True)])


def _resized(sides: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """Heights and widths about a given size, as different from each other as those seen."""
    wanted = np.array(size[::-1])
    if len(sides) < _FEWEST:
        return np.outer(_GIVEN_RANGE, wanted)
    return sides * wanted / np.median(sides, 0)


def _percentiles(
    sides: np.ndarray, axis: int, medians: Sequence[float] | None, turning: bool
) -> Percentiles:
    """5th, 50th, 95th of heights (axis 0) or widths of boxes [N, 2].

    Of two kinds, the middle is halfway between their medians, as a ratio. Of objects that turn, the
    lowest is that of the short sides, the highest that of the long ones.
    """
    low, middle, high = np.percentile(sides[:, axis], (5, 50, 95)).tolist()
    if medians is not None:
        middle = float(np.sqrt(np.prod(medians)))
    if turning:
        low, high = float(np.percentile(sides.min(1), 5)), float(np.percentile(sides.max(1), 95))
    return low, middle, high


def _turning(sides: np.ndarray) -> bool:
    """Whether boxes [N, 2] are of long objects that lie this way and that."""
    if len(sides) < _FEWEST:
        return False
    high, wide = np.log(sides).T
    if min(high.std(), wide.std()) == 0:
        return False
    upright, flat = np.percentile(high - wide, (95, 5)).tolist()
    opposed = np.corrcoef(high, wide)[0, 1] < 0
    return bool(opposed and upright > np.log(_LONG) and -flat > np.log(_LONG))


def _spread(sides: np.ndarray) -> float:
    low, middle, high = np.percentile(sides, (5, 50, 95), axis=0)
    return float(((high - low) / (2 * middle)).max())


def _alone(frames: Sequence[Components], kinds: Kinds) -> float:
    """Share of the area of all patches that count that is of single objects."""
    counted = sum(float(frame.areas[kinds.counted(frame) > 0].sum()) for frame in frames)
    whole = sum(float(frame.areas[kinds.whole(frame)].sum()) for frame in frames)
    return whole / counted if counted else 0.0


def _sightings(
    look: VideoSample, frames: Sequence[Components], kinds: Kinds, perspective: float, soft: float
) -> tuple[Sighting, ...]:
    """Some frames of the whole video, with boxes as they are seen."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, _SHOWN).round().astype(int)).tolist()
    found = []
    for n in chosen:
        frame = frames[n]
        counted = kinds.counted(frame)
        seen = counted > 0
        sides = frame.sizes * frame.nearness(perspective)[:, None]
        corners = frame.corners - soft / 2
        boxes = np.concatenate((corners[:, ::-1], sides[:, ::-1] + soft), axis=1)
        single = kinds.whole(frame)[seen]
        found.append(
            Sighting(n * look.spacing, look.samples[n], boxes[seen], counted[seen], single)
        )
    return tuple(found)


def _contrast(differences: list[np.ndarray], floor: float) -> float:
    """Typical difference of objects in levels: the mean above the floor, weighted with itself."""
    total, squares = 0.0, 0.0
    for difference in differences:
        high = difference[difference > floor].astype(np.float64)
        total += float(high.sum())
        squares += float((high**2).sum())
    return squares / total if total else 0.0


def _softness(
    differences: list[np.ndarray], threshold: float, contrast: float, thickness: float
) -> float:
    """Pixels to be added to the sides of patches, for objects without a sharp edge.

    An object as thick as its rim is all rim, a blob, and ends where the rim ends. A thick one has
    an edge, which lies in the middle of the blurred rim, about where the threshold has cut it.
    """
    margin = soft_margin(differences, threshold, contrast)
    return 2 * margin * min(1.0, 2 * margin / thickness)


def _unpainted(
    look: VideoSample,
    frames: Sequence[Components],
    kinds: Kinds,
    perspective: float,
    sides: np.ndarray,
) -> float | None:
    """See `unpainted`, of single objects; frames side by side tell little more than one of them."""
    enough = sum(int(kinds.single(frame).sum()) for frame in frames) // _LOOKS
    step = max(1, min(enough, len(frames) // _ROUGHLY))
    seen = []
    for frame, found in zip(look.samples[::step], frames[::step], strict=True):
        single = kinds.single(found)
        near = found.nearness(perspective)[single]
        seen.append(looks(change(frame, look.background), found.centres[single], sides, near))
    return unpainted(np.concatenate(seen))


def _followed(frame: Components, kinds: Kinds) -> tuple[np.ndarray, np.ndarray]:
    """Centres and areas of what can be followed."""
    single = kinds.single(frame)
    return frame.centres[single], frame.areas[single]
