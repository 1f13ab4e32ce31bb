"""How tracked objects move and keep their looks, and how far two samples of that are apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wasserstein_distance

from scalor_ppl.realism.extraction import Crops
from scalor_ppl.tracks.table import Tracks

LOOK_FRAMES = 5
"""Frames over which the change of an object's look is taken."""


@dataclass(frozen=True)
class MotionSamples:
    """Samples of what a side's tracks do, each a flat array.

    Attributes:
        count: objects in each frame.
        x, y: of their centres, in pixels.
        size: square roots of the areas of their boxes, in pixels.
        speed: lengths of steps from frame to frame, in pixels.
        lifetime: frames in which each object of a clip was there.
        cosine: of the angle between two successive steps, in -1..1.
        turning: that angle, in degrees, 0..180.
    """

    count: np.ndarray
    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    speed: np.ndarray
    lifetime: np.ndarray
    cosine: np.ndarray
    turning: np.ndarray


def motion_samples(tracks: Sequence[Tracks]) -> MotionSamples:
    """What the objects of a side's clips do; a step of no length has no direction."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in MotionSamples.__annotations__}
    for each in tracks:
        present = each.present()
        centres = each.middles()
        parts["count"].append(present.sum(1))
        parts["x"].append(centres[present, 0])
        parts["y"].append(centres[present, 1])
        parts["size"].append(np.sqrt(each.boxes[present, 2:].prod(-1)))
        for identity in np.unique(each.ids[present]):
            time, slot = np.nonzero(present & (each.ids == identity))
            parts["lifetime"].append(np.array([len(time)]))
            _add_steps(parts, time, centres[time, slot])
    joined = {name: np.concatenate(values or [np.empty(0)]) for name, values in parts.items()}
    return MotionSamples(**joined)


def _add_steps(parts: dict[str, list[np.ndarray]], time: np.ndarray, centres: np.ndarray) -> None:
    """Add the steps of one object that is at ``centres`` [n, 2] in frames ``time`` [n]."""
    steps = np.diff(centres, axis=0)
    whole = np.diff(time) == 1  # a gap is no step
    speed = np.linalg.norm(steps, axis=1)
    parts["speed"].append(speed[whole])
    directed = whole & (speed > 0)
    both = directed[1:] & directed[:-1]
    unit = steps / np.where(speed > 0, speed, 1)[:, None]
    cosine = (unit[1:] * unit[:-1]).sum(1)[both].clip(-1, 1)
    parts["cosine"].append(cosine)
    parts["turning"].append(np.degrees(np.arccos(cosine)))


def wasserstein(first: np.ndarray, second: np.ndarray) -> float | None:
    """1-Wasserstein distance of two samples, in their unit; none where one is empty."""
    if not len(first) or not len(second):
        return None
    return float(wasserstein_distance(first, second))


def mean(values: np.ndarray) -> float | None:
    """The mean; none of nothing."""
    return float(values.mean()) if len(values) else None


def look_persistence(crops: Crops, seed: int, pairs: int = 20_000) -> float | None:
    """Mean squared change of an object's look over some frames, over that between two objects.

    Crops of objects that stand alone, wholly in view, are compared pixel by pixel. 0 where looks
    never change, 1 where an object is after `LOOK_FRAMES` frames as different from itself as from
    any other object.

    Args:
        crops: of a side.
        seed: of the pairs of objects.
        pairs: of two objects, at most.

    Returns:
        None where no object is seen twice so far apart, or there are no two objects, or all look
        the same.
    """
    alone = crops.where(crops.alone)
    place: Mapping[tuple[int, int, int], int] = {
        key: row
        for row, key in enumerate(
            zip(alone.clip.tolist(), alone.identity.tolist(), alone.frame.tolist(), strict=True)
        )
    }
    later = [
        (row, place[clip, identity, frame + LOOK_FRAMES])
        for (clip, identity, frame), row in place.items()
        if (clip, identity, frame + LOOK_FRAMES) in place
    ]
    rng = np.random.default_rng(seed)
    two = rng.integers(0, max(len(alone), 1), (pairs, 2)) if len(alone) else np.empty((0, 2), int)
    other = (alone.clip[two[:, 0]] != alone.clip[two[:, 1]]) | (
        alone.identity[two[:, 0]] != alone.identity[two[:, 1]]
    )
    between = _difference(alone.pixels, two[other])
    if not later or not between:
        return None
    within = _difference(alone.pixels, np.array(later))
    return None if within is None else within / between


def _difference(pixels: np.ndarray, pairs: np.ndarray) -> float | None:
    """Mean squared difference of pairs ``[P, 2]`` of pictures; none without pairs."""
    if not len(pairs):
        return None
    first, second = (pixels[pairs[:, n]].astype(np.float32) for n in (0, 1))
    return float(np.square(first - second).mean())
