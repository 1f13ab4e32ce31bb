"""Dynamic backgrounds for toy videos: soft textures whose phase and colour drift.

The paper (section 5.1, experiment 2) shows such a background without saying how it is made. Ours is
a base colour plus three slow plane waves, each with its own colour, dark and muted enough (at most
0.6 bright) that the bright, saturated objects stay visible.
"""

import numpy as np

_WAVES = 3
_DARKEST, _BRIGHTEST = 0.05, 0.6


def moving_texture(
    rng: np.random.Generator, frames: int, height: int, width: int, channels: int
) -> np.ndarray:
    """A background that moves smoothly; the first frames do not depend on how many follow.

    Args:
        rng: where its colours, waves and drift come from.
        frames: T.
        height: H in pixels.
        width: W in pixels.
        channels: C, 1 or 3.

    Returns:
        [T, H, W, C] float32 in 0.05..0.6.
    """
    base = rng.uniform(0.2, 0.36, channels)
    swing = rng.uniform(0.0, 0.06, channels)
    swing_rate = rng.uniform(-0.3, 0.3, channels)  # radians a frame
    cycles = rng.uniform(-1.6, 1.6, (_WAVES, 2))  # over the view, per axis
    phase = rng.uniform(0, 2 * np.pi, _WAVES)
    rate = rng.uniform(0.1, 0.45, _WAVES) * rng.choice((-1, 1), _WAVES)  # radians a frame
    strength = rng.uniform(-0.1, 0.1, (_WAVES, channels))

    time = np.arange(frames, dtype=np.float64)
    x = (np.arange(width) + 0.5) / width
    y = (np.arange(height) + 0.5) / height
    colour = base + swing * np.sin(np.multiply.outer(time, swing_rate))
    video = np.broadcast_to(
        colour[:, None, None, :].astype(np.float32), (frames, height, width, channels)
    ).copy()
    for k in range(_WAVES):
        # cos(a + b) from the parts of a (time and row) and b (column): no cosine per pixel.
        a = phase[k] + rate[k] * time[:, None] + 2 * np.pi * cycles[k, 1] * y
        b = 2 * np.pi * cycles[k, 0] * x
        wave = np.cos(a)[..., None] * np.cos(b) - np.sin(a)[..., None] * np.sin(b)
        video += wave.astype(np.float32)[..., None] * strength[k].astype(np.float32)
    return video.clip(_DARKEST, _BRIGHTEST)
