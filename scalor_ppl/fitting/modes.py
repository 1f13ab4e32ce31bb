"""The background of a fixed camera's video: what each pixel shows most often."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from scipy.ndimage import convolve1d

from scalor_ppl.fitting.sampling import EvenSample
from scalor_ppl.fitting.standing import Doubtful

_BANDWIDTH = 3.0  # of the smoothing, in levels: noise and compression spread a value over a few
_BLOCK = 8192  # values of a frame handled at once: 8 MB of histograms


def mode_image(frames: Iterable[np.ndarray] | np.ndarray, samples: int = 200) -> np.ndarray:
    """The most frequent colour of each pixel.

    Not the median: that keeps the ghost of a man who stands there for half of the video, and mixes
    him with the pavement. The mode is the pavement as long as it shows the same value more often
    than anything else does.

    Each channel's values over time make a histogram, smoothed. The frame whose value is the most
    frequent, summed over channels in log-density, marks the mode; so the channels never mix two
    things. The mean of all frames close to it is the result; where a region shows another thing for
    long as well, the one that fits its surroundings (see `standing`).

    Args:
        frames: [T, H, W, C] uint8, or [H, W, C] one by one (then only the sampled ones are kept).
        samples: most frames used, at least 2, evenly spread (at least half as many where there are
            more).

    Returns:
        [H, W, C] float32 in 0..255.

    Raises:
        ValueError: there are no frames.
    """
    sample = EvenSample(samples)
    for frame in frames:
        sample.offer(frame)
    kept = sample.frames
    if not kept:
        raise ValueError("the mode of no frames is not defined")
    height, width, channels = kept[0].shape
    rows = max(1, _BLOCK // (width * channels))
    image = np.empty((height, width, channels), np.float32)
    doubtful = Doubtful((height, width), channels, _modes, *_range(kept))
    for top in range(0, height, rows):
        block = np.stack([frame[top : top + rows] for frame in kept])
        part = slice(top, top + rows)
        image[part] = _modes(block.reshape(len(kept), -1, channels)).reshape(-1, width, channels)
        doubtful.add(part, block, image[part])
    return doubtful.settled(image)


def _range(frames: list[np.ndarray]) -> tuple[float, float]:
    """Noise of a pixel that shows one thing, and the brightness range in use, in levels."""
    few = [frame[::4, ::4].astype(np.int16) for frame in frames]
    changes = [np.abs(after - before) for before, after in pairwise(few)] or [np.zeros(1)]
    noise = 1.4826 * float(np.median(np.stack(changes))) / np.sqrt(2)
    low, high = np.percentile(np.stack(few[:: max(1, len(few) // 8)]), (0.1, 99.9))
    return noise, float(high - low)


def _modes(values: np.ndarray, counted: np.ndarray | None = None) -> np.ndarray:
    """Modes [P, C] of uint8 values [T, P, C]; of those that are counted [T, P], if given."""
    frames, pixels, channels = values.shape
    flat = values.reshape(frames, -1)
    bins = np.arange(pixels * channels) * 256 + flat
    weights = None if counted is None else np.repeat(counted, channels, 1).ravel()
    counts = np.bincount(bins.ravel(), weights, minlength=pixels * channels * 256)
    reach = round(3 * _BANDWIDTH)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _BANDWIDTH) ** 2)
    density = convolve1d(
        counts.reshape(-1, 256).astype(np.float32), kernel, axis=1, mode="constant"
    )
    # Every value that is counted has density of at least its own count.
    score = np.log(np.take_along_axis(density, flat.T.astype(np.intp), axis=1) + 1e-9)
    total = score.reshape(pixels, channels, frames).sum(1)
    if counted is not None:
        total[~counted.T] = -np.inf
    best = total.argmax(1)
    centre = values[best, np.arange(pixels)].astype(np.int16)
    near = (np.abs(values - centre) <= 2 * _BANDWIDTH).all(-1, keepdims=True)
    if counted is not None:
        near &= counted[..., None]
    return (values * near).sum(0) / near.sum(0)
