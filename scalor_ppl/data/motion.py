"""Where toy objects are in each frame: placement without heavy overlap, then motion.

Positions are (x, y) in pixels of the view, x to the right and y down. The loops are compiled and
release the interpreter lock, so that clips are made beside training.
"""

import numpy as np

from scalor_ppl.compiled import compiled


@compiled()
def place(candidates: np.ndarray, taken: np.ndarray, distance: float) -> np.ndarray:
    """Choose a place for each object that keeps its distance from those chosen before.

    Args:
        candidates: [N, tries, 2] places to choose from, per object.
        taken: [M, 2] places that are taken already.
        distance: wanted between centres, in pixels. Where no candidate keeps it, the one that
            comes nearest to it is taken.

    Returns:
        [N, 2] places.
    """
    count, tries, _ = candidates.shape
    others = taken.shape[0]
    chosen = np.empty((others + count, 2), dtype=np.float64)
    chosen[:others] = taken
    for n in range(count):
        best = -1.0
        for k in range(tries):
            nearest = np.inf
            for m in range(others + n):
                dx = candidates[n, k, 0] - chosen[m, 0]
                dy = candidates[n, k, 1] - chosen[m, 1]
                nearest = min(nearest, dx * dx + dy * dy)
            if nearest > best:
                best = nearest
                chosen[others + n] = candidates[n, k]
            if nearest >= distance * distance:
                break
    return chosen[others:]


@compiled()
def move(
    position: np.ndarray,
    velocity: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    noise: np.ndarray,
    slowest: float,
    fastest: float,
    spring: float,
) -> np.ndarray:
    """Move objects at constant velocity plus noise; each turns round at its own bounds.

    With a spring, objects 0 and 1, 2 and 3, ... pull each other; an odd last one pulls itself to
    its predecessor.

    Args:
        position: [N, 2] in the first frame.
        velocity: [N, 2] in pixels a frame.
        low: [N, 2] least coordinates of each centre.
        high: [N, 2] greatest coordinates of each centre.
        noise: [T - 1, N, 2] what is added to the velocity at each step.
        slowest: least speed, which noise and spring do not undercut.
        fastest: greatest speed, likewise.
        spring: pull of the partner, per frame squared; 0 for none.

    Returns:
        [T, N, 2] positions.
    """
    steps, count, _ = noise.shape
    track = np.empty((steps + 1, count, 2), dtype=np.float64)
    track[0] = position
    speed = velocity.copy()
    for t in range(steps):
        for n in range(count):
            partner = n ^ 1
            if partner >= count:
                partner = max(n - 1, 0)
            for a in range(2):
                pull = spring * (track[t, partner, a] - track[t, n, a])
                speed[n, a] += noise[t, n, a] + pull
            length = max(np.sqrt(speed[n, 0] ** 2 + speed[n, 1] ** 2), 1e-9)
            factor = min(max(length, slowest), fastest) / length
            for a in range(2):
                speed[n, a] *= factor
                there = track[t, n, a] + speed[n, a]
                if there < low[n, a]:
                    there = 2 * low[n, a] - there
                    speed[n, a] = abs(speed[n, a])
                elif there > high[n, a]:
                    there = 2 * high[n, a] - there
                    speed[n, a] = -abs(speed[n, a])
                track[t + 1, n, a] = there
    return track
