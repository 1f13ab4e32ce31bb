"""Where objects are that bounce off each other and off walls: discs of equal mass, no friction.

Positions are (x, y) in pixels of the view, x to the right and y down. From one collision to the
next all discs go straight on, so the time of the next one has a closed form: nothing is stepped,
discs neither overlap nor stick, and energy is kept to rounding.
"""

import numpy as np

from scalor_ppl.compiled import compiled

_APPROACH = 1e-9  # pixels^2 a frame; discs that touch and come nearer by less slide past each other


@compiled()
def bounce(
    position: np.ndarray,
    velocity: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    radius: np.ndarray,
    frames: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Move discs that bounce elastically off each other and off the bounds of their centres.

    Args:
        position: [N, 2] in the first frame, inside the bounds.
        velocity: [N, 2] in pixels a frame.
        low: [N, 2] least coordinates of each centre.
        high: [N, 2] greatest coordinates of each centre.
        radius: [N] in pixels. Discs that overlap in the first frame part as soon as they can.
        frames: T.

    Returns:
        [T, N, 2] positions and [T, N, 2] velocities in each frame.
    """
    count = position.shape[0]
    places = np.empty((frames, count, 2), dtype=np.float64)
    velocities = np.empty((frames, count, 2), dtype=np.float64)
    place, speed = position.copy(), velocity.copy()
    for t in range(frames):
        places[t], velocities[t] = place, speed
        left = 1.0  # of the frame
        while True:
            # An event at the very end of a frame is the next frame's.
            when, one, other, axis = left, -1, -1, 0
            for n in range(count):
                for a in range(2):
                    until = _until_wall(place[n, a], speed[n, a], low[n, a], high[n, a])
                    if until < when:
                        when, one, other, axis = until, n, -1, a
                for m in range(n):
                    until = _until_contact(
                        place[m] - place[n], speed[m] - speed[n], radius[m] + radius[n]
                    )
                    if until < when:
                        when, one, other = until, n, m
            place += when * speed
            left -= when
            if one < 0:
                break
            if other < 0:
                speed[one, axis] *= -1
            else:
                # Equal masses exchange what they have along the line of their centres.
                line = place[other] - place[one]
                exchanged = line * np.sum((speed[other] - speed[one]) * line) / np.sum(line * line)
                speed[one] += exchanged
                speed[other] -= exchanged
    return places, velocities


@compiled()
def _until_wall(place: float, speed: float, low: float, high: float) -> float:
    """Frames until a coordinate reaches the bound that it moves to."""
    if speed == 0:
        return np.inf
    return max(((high if speed > 0 else low) - place) / speed, 0.0)


@compiled()
def _until_contact(offset: np.ndarray, relative: np.ndarray, contact: float) -> float:
    """Frames until discs at this offset [2], of this relative velocity [2], touch."""
    towards = -np.sum(offset * relative)
    if towards < _APPROACH:
        return np.inf
    gap = np.sum(offset * offset) - contact * contact
    square = towards * towards - np.sum(relative * relative) * gap
    if square <= 0:
        return np.inf
    return max(gap / (towards + np.sqrt(square)), 0.0)


def closest(places: np.ndarray) -> float:
    """The least distance between any two of the places [N, 2], in pixels; infinite below two."""
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    return float(apart.min(initial=np.inf))
