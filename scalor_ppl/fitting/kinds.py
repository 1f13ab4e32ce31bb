"""Which patches are single objects: those of the most common size, or of two sizes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from scalor_ppl.fitting.components import Components

Percentiles = tuple[float, float, float]

_PLAUSIBLE = (0.4, 1.5)  # share of the typical area that a single object covers
_FRAGMENT = 0.25  # of the typical area; smaller patches do not count
_BIN, _BLUR = 0.1, 3.0  # octaves of area; bins
_OTHER = 2.6  # times the area, of another kind of object; merged pairs have twice the area
_OFTEN = 0.3  # of the frames, in which a second kind is seen at least
_WEIGHT = 0.15  # of the first kind's peak, that of the second
_VALLEY = 0.6  # of the lower peak, at most between the two
_SMALLEST = 36.0  # times the area; a smaller kind than that is dust
_SWAPPED = -0.5  # objects of the one kind for one of the other, below which the one is the other's
_PAIR, _PAIR_SWAPPED = (1.6, 2.5), -1.2  # times the area of one; singles for one pair
_APART = 0.75  # sides of a large object, farther from its centre than its own limbs are
_GIVEN = 1.4  # times a given side, either way, that a patch may have


@dataclass(frozen=True)
class Given:
    """What the user knows of the objects.

    Attributes:
        size: width and height of an object, in pixels of the frames as read; none if not known.
        count: objects in view; none if not known.
    """

    size: tuple[float, float] | None = None
    count: int | None = None

    def resized(self, across: float, down: float) -> "Given":
        """The same in frames that are so many times as wide and as high."""
        if self.size is None:
            return self
        return Given((across * self.size[0], down * self.size[1]), self.count)


NOTHING_GIVEN = Given()


@dataclass(frozen=True)
class Kinds:
    """What a single object covers.

    Attributes:
        areas: in pixels, of the objects of the most common size; or of either of two sizes, the
            smaller first.
    """

    areas: tuple[float, ...]

    def single(self, frame: Components) -> np.ndarray:
        """[N] bool: patches that are whole, single objects."""
        return self.whole(frame) & frame.inside

    def whole(self, frame: Components) -> np.ndarray:
        """[N] bool: patches as large as single objects, cut off by the edge of the frame or not."""
        return np.any([self.of(frame, n) for n in range(len(self.areas))], axis=0)

    def of(self, frame: Components, kind: int) -> np.ndarray:
        """[N] bool: patches of one kind."""
        low, high = (share * self.areas[kind] for share in _PLAUSIBLE)
        return (frame.areas >= low) & (frame.areas <= high)

    def counted(self, frame: Components) -> np.ndarray:
        """[N] objects in each patch; none in what is too small."""
        typical = self.areas[0]
        several = np.maximum(1, np.round(frame.areas / typical))
        found = np.where(frame.areas >= _FRAGMENT * typical, several, 0)
        if len(self.areas) == 1:
            return found
        # Merged ones are taken to be of the larger kind.
        larger = np.maximum(1, np.round(frame.areas / self.areas[1]))
        single = self.whole(frame) | (frame.areas > typical)
        return np.where(single, larger, found)


def find_kinds(
    frames: Sequence[Components], given: Given = NOTHING_GIVEN, *, most: int = 2
) -> Kinds | None:
    """The areas of single objects.

    Args:
        frames: patches, of frames over the whole of the video.
        given: what the user knows.
        most: kinds that are looked for, 1 or 2.

    Returns:
        None where there are no patches, or none that fit what is given.
    """
    areas = np.concatenate([frame.areas for frame in frames])
    if not len(areas):
        return None
    if given.size is not None:
        return _sized(frames, given.size)
    if given.count is not None:
        return _numbered(frames, given.count)
    typical = _unmerged(frames, typical_area(areas))
    other = _second(frames, typical) if most > 1 else None
    return Kinds((typical,) if other is None else tuple(sorted((typical, other))))


def typical_area(areas: np.ndarray) -> float:
    """The most common area of patches: that of a single object.

    The peak of the smoothed distribution of log-areas, weighted with the square root of the area:
    specks are many but light, merged objects heavy but few.

    Args:
        areas: [N] in pixels, N at least 1.
    """
    edges, smooth = _distribution(areas)
    return float(2 ** (edges[smooth.argmax()] + _BIN / 2))


def _distribution(areas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges of bins in octaves, and the weight in each."""
    edges = np.arange(0, np.log2(areas.max()) + 1, _BIN)
    weight, _ = np.histogram(np.log2(areas), edges, weights=np.sqrt(areas))
    return edges, ndimage.gaussian_filter1d(weight, _BLUR, mode="constant")


def _sized(frames: Iterable[Components], size: tuple[float, float]) -> Kinds | None:
    """Patches of about the given width and height, whatever is more common."""
    sides = np.array(size[::-1])
    fitting = [
        frame.areas[(np.abs(np.log(frame.sizes / sides)) <= np.log(_GIVEN)).all(1) & frame.inside]
        for frame in frames
    ]
    areas = np.concatenate(fitting)
    return Kinds((float(np.median(areas)),)) if len(areas) else None


def _numbered(frames: Iterable[Components], count: int) -> Kinds:
    """The area with which the patches of the median frame are so many objects."""
    total = float(np.median([frame.areas.sum() for frame in frames]))
    share = max(1.0, total / count)
    areas = np.concatenate([frame.areas for frame in frames])
    near = areas[(areas >= share / _GIVEN) & (areas <= share * _GIVEN)]
    return Kinds((typical_area(near) if len(near) else share,))


def _unmerged(frames: Sequence[Components], typical: float) -> float:
    """The area of one object, where the most common patch is a pair of them that keep together."""
    for peak, weight in _peaks(frames):
        if weight >= _WEIGHT and _PAIR[0] <= typical / peak <= _PAIR[1]:
            seen = _seen(frames, Kinds((peak, typical)))
            if _swap(seen) <= _PAIR_SWAPPED:
                return peak
    return typical


def _second(frames: Sequence[Components], typical: float) -> float | None:
    """The area of a second kind of objects, if there is one."""
    weight = _distribution(np.concatenate([frame.areas for frame in frames]))[1]
    first = int(weight.argmax())
    for peak, height in _peaks(frames):
        ratio = max(peak / typical, typical / peak)
        if height < _WEIGHT or not _OTHER <= ratio <= _SMALLEST:
            continue
        at, home = (int((np.log2(area) - _BIN / 2) / _BIN) for area in (peak, typical))
        valley = weight[min(at, home) : max(at, home) + 1].min() / weight[first]
        if valley <= _VALLEY * height and _own(frames, *sorted((typical, peak))):
            return peak
    return None


def _peaks(frames: Sequence[Components]) -> list[tuple[float, float]]:
    """Areas that are more common than those about them, and how common, the most common's being 1.

    The most common first.
    """
    edges, weight = _distribution(np.concatenate([frame.areas for frame in frames]))
    inner = weight[1:-1]
    at = np.flatnonzero((inner > weight[:-2]) & (inner >= weight[2:])) + 1
    found = zip(2 ** (edges[at] + _BIN / 2), weight[at] / weight.max(), strict=True)
    return sorted(((float(a), float(w)) for a, w in found), key=lambda pair: -pair[1])


def _own(frames: Sequence[Components], small: float, large: float) -> bool:
    """Whether two areas are those of two kinds, and not of objects and their parts or groups."""
    kinds = Kinds((small, large))
    seen = _seen(frames, kinds)
    # Small ones are gone where a large one is there: it was a group of them, or fell into them.
    if (seen > 0).mean(0).min() < _OFTEN or _swap(seen) < _SWAPPED:
        return False
    near = [_beside(frame, kinds) for frame in frames]
    return float(np.mean(np.concatenate(near))) < 0.5


def _seen(frames: Sequence[Components], kinds: Kinds) -> np.ndarray:
    """[T, 2] patches of either kind in each frame."""
    return np.array([[kinds.of(frame, n).sum() for n in (0, 1)] for frame in frames], float)


def _swap(seen: np.ndarray) -> float:
    """How many small ones there are more in a frame with a large one more; 0 if always as many."""
    spread = seen[:, 1].var()
    return float(np.cov(seen.T, bias=True)[0, 1] / spread) if spread else 0.0


def _beside(frame: Components, kinds: Kinds) -> np.ndarray:
    """[n] bool: patches of the small kind that lie where limbs of a large one could."""
    small, large = (kinds.of(frame, n) for n in (0, 1))
    if not large.any():
        return np.zeros(int(small.sum()), dtype=bool)
    away = np.abs(frame.centres[small][:, None] - frame.centres[large])
    return (away <= _APART * frame.sizes[large]).all(-1).any(-1)
