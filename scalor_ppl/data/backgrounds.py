"""Dynamic backgrounds for toy videos: soft textures whose phase and colour drift.

The paper (section 5.1, experiment 2) shows such a background without saying how it is made. Ours is
a base colour plus three slow plane waves, each with its own colour, dark and muted enough (at most
0.6 bright) that the bright, saturated objects stay visible.
"""

from dataclasses import dataclass

import numpy as np

_WAVES = 3
_DARKEST, _BRIGHTEST = 0.05, 0.6


@dataclass(frozen=True)
class Texture:
    """A background that moves smoothly: C channels, W waves.

    Attributes:
        base: [C] the mean colour, in 0..1.
        swing: [C] how far the colour swings about it.
        swing_rate: [C] of the swing, in radians a frame.
        cycles: [W, 2] of a wave over the view, along x and y.
        phase: [W] in the first frame, in radians.
        rate: [W] of a wave, in radians a frame.
        strength: [W, C] of a wave, in units of brightness.
    """

    base: np.ndarray
    swing: np.ndarray
    swing_rate: np.ndarray
    cycles: np.ndarray
    phase: np.ndarray
    rate: np.ndarray
    strength: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, channels: int) -> "Texture":
        """A random texture of 1 or 3 channels."""
        return cls(
            base=rng.uniform(0.2, 0.36, channels),
            swing=rng.uniform(0.0, 0.06, channels),
            swing_rate=rng.uniform(-0.3, 0.3, channels),
            cycles=rng.uniform(-1.6, 1.6, (_WAVES, 2)),
            phase=rng.uniform(0, 2 * np.pi, _WAVES),
            rate=rng.uniform(0.1, 0.45, _WAVES) * rng.choice((-1, 1), _WAVES),
            strength=rng.uniform(-0.1, 0.1, (_WAVES, channels)),
        )

    def paint(self, frames: range, height: int, width: int) -> np.ndarray:
        """Some frames; each is the same whatever others are painted with it.

        Args:
            frames: which, T of them, counted from 0.
            height: H in pixels.
            width: W in pixels.

        Returns:
            [T, H, W, C] float32 in 0.05..0.6.
        """
        time = np.array(frames, dtype=np.float64)
        x = (np.arange(width) + 0.5) / width
        y = (np.arange(height) + 0.5) / height
        colour = self.base + self.swing * np.sin(np.multiply.outer(time, self.swing_rate))
        video = np.empty((len(frames), height, width, len(self.base)), dtype=np.float32)
        video[:] = colour[:, None, None, :]
        for k in range(_WAVES):
            # cos(a + b) from the parts of a (time and row) and b (column): no cosine per pixel.
            a = self.phase[k] + self.rate[k] * time[:, None] + 2 * np.pi * self.cycles[k, 1] * y
            b = 2 * np.pi * self.cycles[k, 0] * x
            wave = np.cos(a)[..., None] * np.cos(b) - np.sin(a)[..., None] * np.sin(b)
            video += wave.astype(np.float32)[..., None] * self.strength[k].astype(np.float32)
        return video.clip(_DARKEST, _BRIGHTEST)
