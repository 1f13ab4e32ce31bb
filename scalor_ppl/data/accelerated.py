"""Motion whose acceleration wanders: the moving digits of SQAIR (Kosiorek et al. 2018).

In a frame an object goes on by its velocity, the velocity changes by the acceleration, and that by
noise. Velocity and acceleration are bounded along each axis, and both turn round where the object
does. First values are drawn uniformly within the bounds. The noise is small (0.01 pixels): what
will happen follows from what was seen, but for the walls.
"""

import numpy as np


def accelerated(
    rng: np.random.Generator,
    start: np.ndarray,
    frames: int,
    low: np.ndarray,
    high: np.ndarray,
    fastest: float,
    strongest: float,
    noise: float,
) -> np.ndarray:
    """Move N objects for T frames.

    Args:
        rng: of what is random. A longer clip begins with the shorter one.
        start: [N, 2] x, y in the first frame, within the bounds.
        frames: T, at least 1.
        low: [N, 2] least places, in pixels; objects are reflected there.
        high: [N, 2] greatest places, likewise.
        fastest: greatest velocity along an axis, in pixels a frame.
        strongest: greatest acceleration along an axis, in pixels a frame and frame.
        noise: standard deviation of its change a frame.

    Returns:
        float64 [T, N, 2] places.
    """
    place = start.astype(np.float64)
    velocity = rng.uniform(-fastest, fastest, place.shape)
    acceleration = rng.uniform(-strongest, strongest, place.shape)
    track = [place]
    for _ in range(frames - 1):
        place = place + velocity
        velocity = velocity + acceleration
        acceleration = acceleration + rng.normal(0, noise, place.shape)
        short, far = place < low, place > high
        place = np.where(short, 2 * low - place, np.where(far, 2 * high - place, place))
        turned = np.where(short | far, -1.0, 1.0)
        velocity = (turned * velocity).clip(-fastest, fastest)
        acceleration = (turned * acceleration).clip(-strongest, strongest)
        track.append(place)
    return np.stack(track)
