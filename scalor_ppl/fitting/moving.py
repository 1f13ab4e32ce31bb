"""The moving objects before a fixed camera: how large, how many, how fast."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import theilslopes

from scalor_ppl.fitting.components import (
    Components,
    change,
    find_components,
    residual,
    soft_margin,
    typical_area,
)
from scalor_ppl.fitting.motion import Motion, Patches, measure_motion
from scalor_ppl.fitting.painting import looks, unpainted

_LEAST_THRESHOLD = 3.0  # levels: below, flicker of the compression looks like objects
_PLAUSIBLE = (0.4, 1.5)  # share of the typical area that a single object covers
_FRAGMENT = 0.25  # of the typical area; smaller patches do not count
_FEWEST_FOR_TREND = 50  # single objects
_MOST_FOR_TREND = 1000  # likewise; more tell nothing new
_LEAST_SPREAD = 0.3  # of rows, in half-heights of the frame
_LEAST_TREND = 0.15  # a smaller perspective is within the range of sizes
_ROUNDS = 8  # of finding the trend and what is single
_BAND = 0.2  # of the median, in which single objects lie with the distance taken out
_STEEPEST = 0.9  # so that nothing shrinks to nothing at the other edge
_FEWEST = 8  # single objects, in all frames looked at, that a statement takes

Percentiles = tuple[float, float, float]


@dataclass(frozen=True)
class Plane:
    """The plane that objects move on, as a camera sees it that looks down on it.

    Attributes:
        perspective: how much larger they are at the lower edge of the frame than in its middle row,
            as a share.
        widths, heights: percentiles as in `Objects`, of what they would be in the middle row.
    """

    perspective: float
    widths: Percentiles
    heights: Percentiles

    def in_units(self, length: float) -> "Plane":
        """The same with lengths `length` times as large."""
        return replace(
            self, widths=_times(self.widths, length), heights=_times(self.heights, length)
        )


@dataclass(frozen=True)
class Objects:
    """The moving things of a video.

    Attributes:
        widths: of their boxes, in pixels: 5th, 50th and 95th percentile.
        heights: likewise.
        count: in view at once: median and 95th percentile over frames.
        covered: share of the pixels that they cover, 0..1.
        contrast: how far their pixels are from the background, in levels (in a `Survey` as a share
            of the range).
        unpainted: standard deviation of their pixels about what a decoder can be expected to paint,
            in the same units; none where too few were seen.
        plane: how they shrink with the distance; none where their size does not depend on the
            place.
    """

    widths: Percentiles
    heights: Percentiles
    count: tuple[float, float]
    covered: float
    contrast: float
    unpainted: float | None = None
    plane: Plane | None = None

    @property
    def size(self) -> float:
        """Mean of the median object's width and height, in pixels."""
        return (self.widths[1] + self.heights[1]) / 2

    def in_units(self, length: float, contrast: float) -> "Objects":
        """The same with lengths `length` times as large and contrast in units of `contrast`."""
        return replace(
            self,
            widths=_times(self.widths, length),
            heights=_times(self.heights, length),
            contrast=self.contrast / contrast,
            unpainted=None if self.unpainted is None else self.unpainted / contrast,
            plane=None if self.plane is None else self.plane.in_units(length),
        )


def _times(sides: Percentiles, factor: float) -> Percentiles:
    low, middle, high = sides
    return factor * low, factor * middle, factor * high


def find_moving(
    runs: list[list[np.ndarray]], background: np.ndarray, noise: float
) -> tuple[Objects, Motion | None] | None:
    """Measure what differs from the background.

    Sizes and ways are those of single objects: patches of about the most common area. Merged
    objects count as often as that area goes into theirs.

    Args:
        runs: of consecutive frames [H, W, C], equally long, at least 2 frames each.
        background: [H, W, C], see `mode_image`.
        noise: standard deviation of the residual, in levels.

    Returns:
        The objects, and their motion where they can be followed; None where there are none.
    """
    firsts = [residual(run[0], background) for run in runs]
    contrast = _contrast(firsts, 5 * noise)
    if contrast == 0:
        return None
    threshold = max(4 * noise, 0.35 * contrast, _LEAST_THRESHOLD)
    areas = _areas(find_components(difference, threshold, 1) for difference in firsts)
    if not len(areas):
        return None
    # Large objects fall into parts that lie further apart.
    reach = int(np.clip(round(np.sqrt(typical_area(areas)) / 16), 1, 6))
    found = [
        [find_components(residual(frame, background), threshold, reach) for frame in run]
        for run in runs
    ]
    perspective = find_perspective([frame for run in found for frame in run])
    if perspective:
        found = [[frame.levelled(perspective) for frame in run] for run in found]
    frames = [frame for run in found for frame in run]
    areas = _areas(frames)
    if not len(areas):
        return None
    typical = typical_area(areas)
    level = np.concatenate([frame.sizes[_single(frame, typical)] for frame in frames])
    if len(level) < _FEWEST:
        return None
    near = [frame.nearness(perspective)[_single(frame, typical)] for frame in frames]
    sizes = level * np.concatenate(near)[:, None]
    soft = _softness(firsts, threshold, contrast, float(np.median(sizes.min(1))))
    sizes += soft
    level += soft
    count, most = np.percentile([_count(frame, typical) for frame in frames], (50, 95)).tolist()
    objects = Objects(
        widths=_percentiles(sizes[:, 1]),
        heights=_percentiles(sizes[:, 0]),
        count=(count, most),
        covered=float(np.mean([frame.covered for frame in frames])),
        contrast=contrast,
        unpainted=_unpainted(runs, found, background, perspective, typical, np.median(level, 0)),
        plane=Plane(perspective, _percentiles(level[:, 1]), _percentiles(level[:, 0]))
        if perspective
        else None,
    )
    patches = [[_patches(frame, typical) for frame in run] for run in found]
    return objects, measure_motion(patches, objects.size)


def find_perspective(frames: list[Components]) -> float:
    """How the heights of single objects grow from the middle row to the lower edge, as a share.

    A line through the heights over the rows of the centres (Theil and Sen: the median of slopes, so
    that merged and cut objects do not bend it). Which patches are single objects depends on where
    they are, so both are found in turns.

    Returns:
        0 where there are too few objects, they lie too much in a row, or the trend is too small to
        be worth a setting, could be chance, or is not there in the upper and the lower half alike
        (as with two objects of their own size that keep to their own rows).
    """
    found = 0.0
    for _ in range(_ROUNDS):
        rows, sides = _heights([frame.levelled(found) for frame in frames])
        if len(rows) < _FEWEST_FOR_TREND or np.ptp(np.percentile(rows, (5, 95))) < _LEAST_SPREAD:
            return 0.0
        if found:  # what is far from the line stands on another plane, is cut, or is two
            near = np.abs(sides / np.median(sides) - 1) < _BAND
            rows, sides = rows[near], sides[near]
        sides = sides * (1 + found * rows)  # as they are seen
        slope, middle, _, _ = _line(rows, sides)
        if not middle > 0:
            return 0.0
        found = float(np.clip(slope / middle, -_STEEPEST, _STEEPEST))
    upper = rows < np.median(rows)
    for half in (upper, ~upper):
        _, _, least, most = _line(rows[half], sides[half])
        if not (least * most > 0 and least * found > 0):
            return 0.0
    return found if abs(found) >= _LEAST_TREND else 0.0


def _heights(frames: list[Components]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and heights of single objects, at most about a thousand of them."""
    areas = _areas(frames)
    if not len(areas):
        return areas, areas
    typical = typical_area(areas)
    single = [_single(frame, typical) for frame in frames]
    sides = np.concatenate([f.sizes[s, 0] for f, s in zip(frames, single, strict=True)])
    rows = np.concatenate([f.rows[s] for f, s in zip(frames, single, strict=True)])
    # Pairs of objects grow with the square of their number.
    step = max(1, -(-len(rows) // _MOST_FOR_TREND))
    return rows[::step], sides[::step]


def _line(rows: np.ndarray, sides: np.ndarray) -> tuple[float, float, float, float]:
    """Slope, height in the middle row, and the 95 % interval of the slope."""
    if len(rows) < 2 or np.ptp(rows) == 0:
        return 0.0, float("nan"), 0.0, 0.0
    with np.errstate(invalid="ignore"):  # with many ties there is no interval
        slope, middle, least, most = theilslopes(sides, rows)
    return float(slope), float(middle), float(least), float(most)


def _percentiles(sides: np.ndarray) -> Percentiles:
    low, middle, high = np.percentile(sides, (5, 50, 95)).tolist()
    return low, middle, high


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
    runs: list[list[np.ndarray]],
    found: list[list[Components]],
    background: np.ndarray,
    perspective: float,
    typical: float,
    sides: np.ndarray,
) -> float | None:
    """See `unpainted`, of single objects; frames side by side tell little more than one of them."""
    seen = []
    for run, components in zip(runs, found, strict=True):
        first, single = components[0], _single(components[0], typical)
        near = first.nearness(perspective)[single]
        seen.append(looks(change(run[0], background), first.centres[single], sides, near))
    return unpainted(np.concatenate(seen))


def _areas(frames: Iterable[Components]) -> np.ndarray:
    return np.concatenate([frame.areas for frame in frames])


def _single(frame: Components, typical: float) -> np.ndarray:
    """[N] bool: patches that are whole, single objects."""
    low, high = (share * typical for share in _PLAUSIBLE)
    return frame.inside & (frame.areas >= low) & (frame.areas <= high)


def _count(frame: Components, typical: float) -> int:
    """Objects in a frame."""
    patches = frame.areas[frame.areas >= _FRAGMENT * typical]
    return int(np.maximum(1, np.round(patches / typical)).sum())


def _patches(frame: Components, typical: float) -> Patches:
    """What can be followed."""
    single = _single(frame, typical)
    return frame.centres[single], frame.areas[single]
