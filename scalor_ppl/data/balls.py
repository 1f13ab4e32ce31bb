"""How the balls of G-SWM's benchmark move; see :mod:`scalor_ppl.data.gswm_specs`."""

import numpy as np

from scalor_ppl.data.collisions import bounce
from scalor_ppl.data.gswm_specs import GswmSpec

_TRIES = 1000  # places tried for a ball before all are placed anew
_SEGMENTS = 4  # steps of the single ball before it turns, and after


def bouncing(
    spec: GswmSpec, rng: np.random.Generator, frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """Place balls in the view and let them move.

    Args:
        spec: the set.
        rng: of where they begin, and which way.
        frames: T.

    Returns:
        [T, N, 2] centres in pixels and [T, N, 2] velocities in pixels a frame.
    """
    count = spec.count[1]
    places = _scattered(spec, rng, count)
    heading = rng.uniform(0, 2 * np.pi, count)
    velocity = spec.speed * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return go_on(spec, places, velocity, frames)


def go_on(
    spec: GswmSpec, places: np.ndarray, velocity: np.ndarray, frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """The set's physics: walls for all, collisions within a layer.

    Args:
        spec: the set, of balls that bounce.
        places: [N, 2] centres in the first frame.
        velocity: [N, 2] in pixels a frame.
        frames: T.

    Returns:
        [T, N, 2] centres and [T, N, 2] velocities, the first those given.
    """
    count = len(places)
    layers = layers_of(spec, count)
    if not spec.layers:
        layers = np.arange(count)  # each to itself
    centres = np.empty((frames, count, 2))
    velocities = np.empty((frames, count, 2))
    for layer in np.unique(layers):
        own = layers == layer
        low = np.full((int(own.sum()), 2), spec.radius)
        centres[:, own], velocities[:, own] = bounce(
            np.ascontiguousarray(places[own]),
            np.ascontiguousarray(velocity[own]),
            low,
            spec.view - low,
            low[:, 0].copy(),
            frames,
        )
    return centres, velocities


def layers_of(spec: GswmSpec, count: int) -> np.ndarray:
    """[N] the layer of each ball, from 0, the last in front; all 0 where there are none."""
    return np.arange(count) * max(spec.layers, 1) // count


def falling(spec: GswmSpec, rng: np.random.Generator, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A ball that falls to the middle of the view, then goes to its lower left or right corner.

    Args:
        spec: the set.
        rng: of which way it turns.
        frames: T, at most ``spec.frames``.

    Returns:
        [T, 1, 2] centres and [T, 1, 2] velocities, those of the step that follows.
    """
    near, far = spec.radius, spec.view - spec.radius
    middle = spec.view / 2
    end = near if rng.integers(2) == 0 else far
    corners = np.array([(middle, near), (middle, middle), (end, far)])
    steps = np.repeat(np.diff(corners, axis=0) / _SEGMENTS, _SEGMENTS, axis=0)
    way = np.concatenate([corners[:1], corners[0] + np.cumsum(steps, axis=0)])
    velocity = np.concatenate([steps, np.zeros((1, 2))])
    return way[:frames, None], velocity[:frames, None]


def _scattered(spec: GswmSpec, rng: np.random.Generator, count: int) -> np.ndarray:
    """[N, 2] places wholly in view, one after another uniform where there is room for it."""
    while True:
        places = np.empty((count, 2))
        for n in range(count):
            tried = rng.uniform(spec.radius, spec.view - spec.radius, (_TRIES, 2))
            apart = np.linalg.norm(tried[:, None] - places[None, :n], axis=-1)
            free = (apart >= spec.size).all(axis=1) | (not spec.apart)
            if not free.any():
                break
            places[n] = tried[free.argmax()]
        else:
            return places
