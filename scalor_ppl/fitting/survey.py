"""What a video is like, measured without ground truth: the ground of `proposal.propose`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from scalor_ppl.data import SourceOptions, probe
from scalor_ppl.errors import UserError
from scalor_ppl.fitting.camera import Camera, look_at_camera
from scalor_ppl.fitting.components import change
from scalor_ppl.fitting.kinds import NOTHING_GIVEN, Given
from scalor_ppl.fitting.linking import ObjectMotion
from scalor_ppl.fitting.modes import mode_image
from scalor_ppl.fitting.moving import VideoSample, find_moving
from scalor_ppl.fitting.objects import ObjectStatistics
from scalor_ppl.fitting.sampling import gather

FEWEST_FRAMES = 20
"""Shorter videos tell too little to fit anything to them."""

_FULL_RANGE = 0.6  # of 255 levels; less is low contrast
_LEAST_NOISE = 0.5  # levels: rounding
_SHOWN = 6  # frames that are kept for a picture


@dataclass(frozen=True)
class Survey:
    """What a video is like.

    Attributes:
        name: the file's or folder's.
        options: how it was read; all else is in frames and pixels that these give.
        size: height and width of a frame, in pixels.
        channels: 3, or 1 where there is no colour, even if the file is in RGB.
        frames: how many there are.
        rate: frames a second in the file; None where it does not say.
        levels: darkest and brightest level of a low-contrast video, with some slack; None where
            at least 0.6 of the range is in use, or levels were given.
        noise: standard deviation of background pixels, as a share of the range: of the levels, or
            of 255 without.
        camera: whether it moves.
        objects: what moves before a static camera, with its contrast as a share of the range; None
            where nothing does, or the camera moves.
        motion: how the objects move; None where they could not be followed.
        given: what the user knows of the objects, in the same pixels.
        sample: some of the frames, for a picture: numbers among those that are read, and pixels.
    """

    name: str
    options: SourceOptions
    size: tuple[int, int]
    channels: Literal[1, 3]
    frames: int
    rate: float | None
    levels: tuple[int, int] | None
    noise: float
    camera: Camera
    objects: ObjectStatistics | None
    motion: ObjectMotion | None
    given: Given = NOTHING_GIVEN
    sample: tuple[tuple[int, np.ndarray], ...] = field(default=(), repr=False)

    @property
    def static(self) -> bool:
        """The camera does not move."""
        return self.camera.static


def survey(
    path: str | Path,
    options: SourceOptions,
    samples: int = 200,
    given: Given = NOTHING_GIVEN,
) -> Survey:
    """Look at a video, in one pass and a few hundred MB.

    Objects are what differs from the background, the per-pixel mode. Frames of more than 3.2 MB
    are looked at in a reduced size.

    Args:
        path: a video file, a folder of images, or a MOTChallenge sequence folder.
        options: how to read it; tiles cannot be surveyed, a crop is left out.
        samples: most frames that the background is taken from, at least 2.
        given: what the user knows of the objects, in pixels of the video.

    Raises:
        UserError: it cannot be read, is shorter than 20 frames, or is to be cut into tiles.
    """
    path = Path(path)
    if options.tiles is not None:
        raise UserError(f"tiles={options.tiles}: whole frames are fitted, so leave the tiles out")
    about = probe(path, options)
    seen = gather(path, options, samples)
    if seen.frames < FEWEST_FRAMES:
        raise UserError(
            f"{path} gives {seen.frames} frames, too few to fit a model to: "
            f"give at least {FEWEST_FRAMES} (a longer video, a smaller stride)"
        )
    if options.resize is not None:
        given = given.resized(seen.size[1] / about.width, seen.size[0] / about.height)
    levels, spread = _levels(seen.samples)
    if options.levels is not None:  # already applied
        levels = None
    scale = 255 if levels is None else levels[1] - levels[0]
    background = mode_image(seen.samples, samples)
    noise = _noise(seen.samples, background)
    camera = look_at_camera(seen.runs, background, noise, spread)
    found = None
    if camera.static:
        look = VideoSample(seen.samples, seen.spacing, seen.runs, background, noise)
        found = find_moving(look, given.resized(1 / seen.reduction, 1 / seen.reduction))
    objects, motion = found or (None, None)
    shown = np.linspace(0, len(seen.samples) - 1, _SHOWN).round().astype(int)
    return Survey(
        name=path.name,
        options=options,
        size=seen.size,
        channels=3 if background.shape[-1] == 3 else 1,
        frames=seen.frames,
        rate=about.fps,
        levels=levels,
        noise=noise / scale,
        camera=camera,
        objects=None if objects is None else objects.in_units(seen.reduction, scale),
        motion=None if motion is None else motion.in_units(seen.reduction),
        given=given,
        sample=tuple((int(n) * seen.spacing, seen.samples[n]) for n in np.unique(shown).tolist()),
    )


def _levels(frames: list[np.ndarray]) -> tuple[tuple[int, int] | None, int]:
    """The levels of a low-contrast video, and how many levels are in use."""
    counts = np.zeros(256, dtype=np.int64)
    for frame in frames:
        counts += np.bincount(frame.ravel(), minlength=256)
    share = np.cumsum(counts) / counts.sum()
    low, high = (int(np.searchsorted(share, q)) for q in (1e-4, 1 - 1e-4))
    used = high - low
    if used == 0 or used >= _FULL_RANGE * 255:
        return None, used
    slack = round(0.1 * used) + 1  # what is rarer than the percentiles may be an object's core
    return (max(0, low - slack), min(255, high + slack)), used


def _noise(frames: list[np.ndarray], background: np.ndarray) -> float:
    """Standard deviation of the residual in levels, robust: objects are in the tails."""
    away = [np.abs(change(frame[::2, ::2], background[::2, ::2])) for frame in frames[::4]]
    return max(_LEAST_NOISE, 1.4826 * float(np.median(np.stack(away))))
