"""Who stands in one place for most of a video, and is taken for a part of the scene."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage, sparse

_LEAST_SHARE = 0.06  # of the frames that a pixel has to show the other thing
_FEWEST_SHOWN = 4  # frames, likewise
_APART = (8.0, 30.0)  # levels, bounds: two things, and not one in the light and in a shadow
_APART_OF_SPREAD = 0.12  # of the levels in use, within those bounds
_RIM = 0.25  # of that, down to which a region goes on: rims and thin limbs
_SAME = (6.0, 12.0)  # levels, bounds: within, a pixel shows the same thing
_SAME_OF_NOISE = 4.0  # standard deviations, within those bounds
_FEWEST = 30  # pixels of a region; a few show their surroundings by chance
_LARGEST_STEP = 60.0  # levels between neighbours that count; edges of the scene itself are no more
_CLEARLY = 1.5  # times the other's, an edge that is one
_AGREE = 0.25  # of the frames of the rarer thing, in which neighbours of a region may disagree
_SWEEPS = 3
# To pixels that belong to one region when they change together; two away, for noise leaves gaps.
_NEAR = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))
_SIDES = ((0, 2), (2, 0), (0, -2), (-2, 0))  # two away: an edge is blurred

Slices = tuple[slice, slice]


class Doubtful:
    """Pixels that show two things for long: what they show earlier, and later.

    Args:
        size: height and width.
        channels: of the image.
        modes: what values [T, P, C] are most often, of those that are counted [T, P].
        noise: standard deviation of a pixel that shows one thing, in levels.
        spread: brightness range in use, in levels.
    """

    def __init__(
        self,
        size: tuple[int, int],
        channels: int,
        modes: Callable[[np.ndarray, np.ndarray], np.ndarray],
        noise: float,
        spread: float,
    ) -> None:
        self._modes = modes
        self._same = float(np.clip(_SAME_OF_NOISE * noise, *_SAME))
        self._apart = float(np.clip(_APART_OF_SPREAD * spread, *_APART))
        self.there = np.zeros(size, dtype=bool)
        self.early = np.zeros((*size, channels), np.float32)
        self.late = np.zeros((*size, channels), np.float32)
        self._shown: list[np.ndarray] = []

    def add(self, rows: slice, values: np.ndarray, first: np.ndarray) -> None:
        """Look at some rows, after those above them.

        Args:
            rows: which.
            values: [T, h, W, C] uint8, in the order of time.
            first: [h, W, C] what each pixel shows most often.
        """
        least = max(_LEAST_SHARE, _FEWEST_SHOWN / len(values))
        other = (np.abs(values - first) > self._same).any(-1)
        doubted = other.mean(0) >= least
        if not doubted.any():
            return
        shown, others, usual = values[:, doubted], other[:, doubted], first[doubted]
        second = self._modes(shown, others)
        near = (np.abs(shown - second) <= self._same).all(-1) & others
        apart = np.abs(second - usual).max(-1) >= max(self._same, _RIM * self._apart)
        kept = apart & (near.mean(0) >= least)
        time = np.arange(len(shown))[:, None]
        usual_time = (time * ~others).sum(0) / np.maximum(1, (~others).sum(0))
        second_time = (time * near).sum(0) / np.maximum(1, near.sum(0))
        before = (second_time < usual_time)[:, None]
        mean = (shown * near[..., None]).sum(0) / np.maximum(1, near.sum(0))[:, None]
        doubted[doubted] = kept
        self.there[rows] = doubted
        self.early[rows][doubted] = np.where(before, mean, usual)[kept]
        self.late[rows][doubted] = np.where(before, usual, mean)[kept]
        times = np.where(before.T, (near, ~others), (~others, near))[..., kept]
        # [2, P, T / 8]: the frames in which a pixel shows the earlier, and the later thing.
        self._shown.append(np.packbits(times, axis=1).transpose(0, 2, 1))

    def settled(self, image: np.ndarray) -> np.ndarray:
        """The image, with what fits its surroundings better in regions of doubtful pixels.

        An object that stands in the scene has an edge all around; where it does not stand, the
        scene goes on. A region's pixels change at the same times, from one thing to the other; so
        a man is taken out as a whole, whether he came to stand or went away, or both, and where he
        stood before is another region. Regions are settled in turns, beside others that are.

        Args:
            image: [H, W, C] what each pixel shows most often.
        """
        if not self.there.any():
            return image
        labels, found = self._regions()
        size = np.bincount(labels.ravel(), minlength=found + 1)
        contrast = np.zeros(found + 1)
        np.maximum.at(contrast, labels, np.abs(self.early - self.late).max(-1))
        large = np.flatnonzero((size >= _FEWEST) & (contrast >= self._apart))
        large = large[large > 0]
        if not len(large):
            return image
        order = large[np.argsort(-size[large])]
        boxes = ndimage.find_objects(labels)
        regions = np.isin(labels, order)
        # What they enclose may be the middle of an animal, which it has never left.
        enclosed = ndimage.binary_fill_holes(regions) & ~regions
        settled, open_ = image.copy(), regions | enclosed
        for _ in range(_SWEEPS):
            for label in order.tolist():
                self._settle(label, _about(boxes[label - 1]), labels, image, settled, open_)
        self._fill(enclosed, regions, image, settled)
        # Specks within, whose noise has cut them off, follow.
        changed = (settled != image).any(-1)
        touched = np.unique(labels[ndimage.binary_dilation(changed, iterations=2)])
        for label in np.setdiff1d(touched, np.append(order, 0)).tolist():
            self._settle(label, _about(boxes[label - 1]), labels, image, settled, open_)
        # Single pixels saw somebody else pass: they keep what is more like the pixels about them.
        about = ndimage.median_filter(settled, (5, 5, 1))
        off = np.abs(settled - about).max(-1)
        worse = off > np.abs(image - about).max(-1)
        # And those that he was never seen to leave, amid those that he did, have nothing better.
        changed = (settled != image).any(-1)
        left = ndimage.binary_closing(changed, iterations=2) & ~changed & (off > self._apart)
        settled = np.where(worse[..., None], image, settled)
        return np.where(left[..., None], about, settled)

    def _regions(self) -> tuple[np.ndarray, int]:
        """Labels [H, W] of pixels that change together, 0 elsewhere, and how many there are."""
        early, late = np.concatenate(self._shown, axis=1)
        count = len(early)
        numbers = np.full(self.there.shape, -1)
        numbers[self.there] = np.arange(count)
        ends = []
        for step in _NEAR:
            here, there = (numbers[part] for part in _shifted(step))
            both = (here >= 0) & (there >= 0)
            one, two = here[both], there[both]
            known = np.minimum(_bits(early[one] & early[two]), _bits(late[one] & late[two]))
            differ = _bits(early[one] & late[two]) + _bits(late[one] & early[two])
            joined = (differ <= _AGREE * known) & (known > 0)
            ends.append(np.stack((one[joined], two[joined])))
        one, two = np.concatenate(ends, axis=1)
        graph = sparse.coo_array((np.ones(len(one), bool), (one, two)), shape=(count, count))
        found, group = sparse.csgraph.connected_components(graph, directed=False)
        labels = np.zeros(self.there.shape, dtype=np.intp)
        labels[self.there] = 1 + group
        return labels, int(found)

    def _settle(
        self,
        label: int,
        part: Slices,
        labels: np.ndarray,
        image: np.ndarray,
        settled: np.ndarray,
        open_: np.ndarray,
    ) -> None:
        """Choose for one region, by its edges to what is not open; it is open itself if unclear."""
        inside = labels[part] == label
        early = _edge(inside, self.early[part], settled[part], open_[part])
        late = _edge(inside, self.late[part], settled[part], open_[part])
        if early is None or late is None:
            return
        chosen = image[part]
        if _CLEARLY * early < late:
            chosen = self.early[part]
        elif _CLEARLY * late < early:
            chosen = self.late[part]
        settled[part][inside] = chosen[inside]
        open_[part][inside] = False

    def _fill(
        self, enclosed: np.ndarray, regions: np.ndarray, image: np.ndarray, settled: np.ndarray
    ) -> None:
        """Lay the scene over what goes on in the things that were taken out all around it."""
        as_early = (settled == self.early).all(-1, keepdims=True)
        taken_out = np.where(as_early, self.late, self.early)
        labels, _ = ndimage.label(enclosed)
        for n, box in enumerate(ndimage.find_objects(labels), 1):
            part = _about(box)
            inside = labels[part] == n
            if inside.sum() < _FEWEST:
                continue
            to_scene, to_thing = (
                _edge(inside, image[part], about[part], ~regions[part])
                for about in (settled, taken_out)
            )
            if to_scene is None or to_thing is None or _CLEARLY * to_thing >= to_scene:
                continue
            _, nearest = ndimage.distance_transform_edt(~regions[part], return_indices=True)
            settled[part][inside] = settled[part][tuple(nearest)][inside]


def _edge(
    inside: np.ndarray, values: np.ndarray, outside: np.ndarray, left_out: np.ndarray
) -> float | None:
    """Mean step from pixels of a region to those beyond it; none where all beyond is left out."""
    beyond = ~inside & ~left_out
    steps = []
    for side in _SIDES:
        here, there = _shifted(side)
        rim = inside[here] & beyond[there]
        steps.append(np.abs(values[here][rim] - outside[there][rim]).max(-1))
    found = np.concatenate(steps)
    return float(np.minimum(found, _LARGEST_STEP).mean()) if len(found) else None


def _shifted(step: tuple[int, int]) -> tuple[Slices, Slices]:
    """Slices of a picture: of pixels, and of those a step of rows and columns away."""
    pairs = [
        (slice(max(0, -by), -by if by > 0 else None), slice(max(0, by), by if by < 0 else None))
        for by in step
    ]
    (top, bottom), (left, right) = pairs
    return (top, left), (bottom, right)


def _about(box: Slices) -> Slices:
    """The box of a region and what is beyond its rim."""
    rows, columns = (slice(max(0, part.start - 3), part.stop + 3) for part in box)
    return rows, columns


def _bits(packed: np.ndarray) -> np.ndarray:
    """[N] how many bits are set in [N, bytes]."""
    return np.bitwise_count(packed).sum(-1, dtype=np.intp)
