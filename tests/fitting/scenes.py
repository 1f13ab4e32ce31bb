"""Synthetic recordings whose objects are known, written to files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Scene:
    """Ellipses that move over a static textured background.

    Attributes:
        size: height and width of the frames.
        objects: how many.
        box: width and height of an object.
        speed: pixels a frame, in a direction of its own.
        diffuse: a random direction in each frame.
        frames: how many.
        contrast: brightness of the objects over the background, in levels.
        noise: standard deviation, in levels.
        grain: standard deviation of the background's fixed texture, in levels.
        hole: diameter of a hole in each object that shows the background, as a share of its own.
        soft: objects are Gaussian blobs, of four standard deviations in a box.
        channels: 1 or 3.
        perspective: how much larger objects are at the lower edge than in the middle, as a share.
        seed: of all.
    """

    size: tuple[int, int] = (96, 128)
    objects: int = 5
    box: tuple[float, float] = (10.0, 10.0)
    speed: float = 1.0
    diffuse: bool = False
    frames: int = 60
    contrast: float = 90.0
    noise: float = 2.0
    grain: float = 6.0
    hole: float = 0.0
    soft: bool = False
    channels: int = 1
    perspective: float = 0.0
    seed: int = 0

    def background(self) -> np.ndarray:
        """[H, W] levels: slow waves and fixed grain around 100."""
        rng = np.random.default_rng(self.seed)
        y, x = np.indices(self.size)
        waves = np.sin(x / 9 + y / 14)
        return 100 + 2 * self.grain * waves + rng.normal(0, self.grain, self.size)

    def video(self) -> np.ndarray:
        """[T, H, W, C] uint8."""
        rng = np.random.default_rng(self.seed + 1)
        height, width = self.size
        places = rng.uniform((0, 0), self.size, (self.objects, 2))
        angle = rng.uniform(0, 2 * np.pi, self.objects)
        background = self.background()
        frames = []
        for _ in range(self.frames):
            picture = background + self.contrast * self._drawn(places)
            picture = picture + rng.normal(0, self.noise, self.size)
            frames.append(np.clip(np.round(picture), 0, 255).astype(np.uint8))
            if self.diffuse:
                angle = rng.uniform(0, 2 * np.pi, self.objects)
            places = places + self.speed * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
            # What leaves at one side comes in at the other, a margin outside the view.
            margin = max(self.box)
            places = (places + margin) % (np.array([height, width]) + 2 * margin) - margin
        return np.repeat(np.stack(frames)[..., None], self.channels, axis=-1)

    def _drawn(self, places: np.ndarray) -> np.ndarray:
        """[H, W] in 0..1: where the objects are."""
        covered = np.zeros(self.size)
        for row, column in places:
            near = 1 + self.perspective * (2 * row / self.size[0] - 1)
            width, height = (near * side for side in self.box)
            top, left = max(0, int(row - height)), max(0, int(column - width))
            part = covered[
                top : max(0, int(row + height) + 2), left : max(0, int(column + width) + 2)
            ]
            y, x = np.indices(part.shape)
            radius2 = ((x + left - column) / (width / 2)) ** 2 + (
                (y + top - row) / (height / 2)
            ) ** 2
            shape = np.exp(-2 * radius2) if self.soft else (radius2 <= 1).astype(float)
            np.maximum(part, shape * (radius2 >= self.hole**2), out=part)
        return covered


def write_images(folder: Path, video: np.ndarray) -> Path:
    """Frames [T, H, W, C] as PNG files."""
    folder.mkdir(parents=True)
    for t, frame in enumerate(video):
        picture = frame[..., 0] if frame.shape[-1] == 1 else frame
        Image.fromarray(picture).save(folder / f"{t:04d}.png", compress_level=1)
    return folder


def write_mp4(path: Path, video: np.ndarray, rate: int = 10) -> Path:
    """Frames [T, H, W, 3] as H.264."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate)
        stream.height, stream.width, stream.pix_fmt = *video.shape[1:3], "yuv420p"
        for frame in video:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path
