"""Videos of a few large animals in an arena, whose ways are known."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Animal:
    """An ellipse, dark or bright, that goes straight on when it does not rest.

    Attributes:
        place: row and column of its centre in the first frame.
        box: width and height.
        speed: rows and columns a frame, while it moves.
        rests: share of the time that it stays where it is, at first.
        rests_later: likewise, at the end.
        level: its brightness.
        turns: whether width and height change places half way.
    """

    place: tuple[float, float]
    box: tuple[float, float]
    speed: tuple[float, float] = (0.0, 0.0)
    rests: float = 0.0
    rests_later: float = 0.0
    level: float = 40.0
    turns: bool = False


def film(
    size: tuple[int, int],
    animals: list[Animal],
    frames: int = 80,
    *,
    floor: float = 120.0,
    specks: int = 0,
    grain: float = 0.0,
    noise: float = 2.0,
    pan: float = 0.0,
    shake: int = 0,
    seed: int = 0,
) -> np.ndarray:
    """Animals on a floor that is plain but for specks of dirt, or has a texture.

    Args:
        size: height and width of the frames.
        animals: on the floor.
        frames: how many.
        floor: its brightness.
        specks: of dirt in view, of 3 pixels.
        grain: standard deviation of the floor's texture, in levels.
        noise: of the camera, likewise.
        pan: columns that the camera goes in a frame.
        shake: rows and columns that it is off at most, at random.
        seed: of all.

    Returns:
        [T, H, W, 1] uint8.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    wide = width + int(abs(pan) * frames) + 2 * shake + 1
    high = height + 2 * shake
    scene = floor + rng.normal(0, grain, (high, wide)) if grain else np.full((high, wide), floor)
    for _ in range(round(specks * wide / width)):
        top, left = int(rng.integers(2, high - 3)), int(rng.integers(2, wide - 3))
        scene[top : top + 3, left : left + 3] += rng.choice((-60, 70))
    y, x = np.mgrid[:high, :wide]
    video = np.empty((frames, height, width, 1), np.uint8)
    for t in range(frames):
        picture = scene.copy()
        for animal in animals:
            begin, end = animal.rests * frames, (1 - animal.rests_later) * frames
            moved = min(max(t, begin), end) - begin
            row, column = (
                at + by * moved for at, by in zip(animal.place, animal.speed, strict=True)
            )
            across, down = animal.box
            if animal.turns and t >= frames / 2:
                across, down = down, across
            inside = ((x - column) / (across / 2)) ** 2 + ((y - row) / (down / 2)) ** 2 <= 1
            picture[inside] = animal.level
        top, left = rng.integers(0, 2 * shake + 1, 2).tolist() if shake else (0, 0)
        left += int(pan * t if pan >= 0 else pan * (t - frames))
        view = picture[top : top + height, left : left + width]
        video[t, ..., 0] = np.clip(view + rng.normal(0, noise, size), 0, 255).round()
    return video
