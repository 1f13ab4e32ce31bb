"""Does the camera stand still?"""

import numpy as np

from scalor_ppl.fitting.components import change

_TOLERANCE = 0.08  # of the brightness range, within which a pixel shows the background
_SURELY = 0.95  # share of pixels that the background explains: nothing but objects moves
_MOSTLY = 0.6  # share that does where the shift of the picture cannot be told
_SHIFT = 1.0  # pixels
_CLEAR = 15  # standard deviations by which a shift must stand out of all others


def is_static(
    runs: list[list[np.ndarray]], background: np.ndarray, noise: float, spread: float
) -> bool:
    """Whether the camera stands still.

    It does where the background explains nearly all pixels. Else the picture as a whole must not
    shift, neither within a run nor from a run to the middle one. Where the picture has too little
    that stays to tell that, the background must explain most of it.

    Args:
        runs: of consecutive frames [H, W, C].
        background: [H, W, C], see `mode_image`.
        noise: standard deviation of the residual, in levels.
        spread: brightness range in use, in levels.
    """
    tolerance = _TOLERANCE * spread
    if _explained(runs, background, tolerance) >= _SURELY:
        return True
    middle = len(runs) // 2
    within = [_shift(run[0], run[-1]) for run in runs]
    across = [_shift(run[0], runs[middle][0]) for n, run in enumerate(runs) if n != middle]
    shifts = [np.median(some, axis=0) for some in (within, across) if some]
    clear = [float(shift) for shift, height in shifts if height >= _CLEAR]
    if clear:
        return max(clear) < _SHIFT
    tolerance = max(tolerance, 3.5 * min(noise, _fleeting(runs)))
    return _explained(runs, background, tolerance) >= _MOSTLY


def _explained(runs: list[list[np.ndarray]], background: np.ndarray, tolerance: float) -> float:
    """Share of pixels that show the background up to a tolerance in levels, in the median frame."""
    shares = [np.mean(np.abs(change(run[0], background)).max(-1) <= tolerance) for run in runs]
    return float(np.median(shares))


def _fleeting(runs: list[list[np.ndarray]]) -> float:
    """Noise in levels, by frames in a row: in a moving picture the residual is more than noise."""
    pairs = [(run[0][::2, ::2], run[1][::2, ::2]) for run in runs]
    changes = [np.abs(after.astype(np.int16) - before) for before, after in pairs]
    return 1.4826 * float(np.median(np.stack(changes))) / np.sqrt(2)


def _shift(first: np.ndarray, last: np.ndarray) -> tuple[float, float]:
    """Pixels between two frames [H, W, C], and how clear that is: phase correlation."""
    before, after = (np.fft.rfft2(_windowed(frame.mean(-1))) for frame in (first, last))
    cross = before * np.conj(after)
    surface = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), s=first.shape[:2])
    peak = np.unravel_index(surface.argmax(), surface.shape)
    ways = [min(int(at), side - int(at)) for at, side in zip(peak, surface.shape, strict=True)]
    return float(np.hypot(*ways)), float(surface.max() / max(surface.std(), 1e-12))


def _windowed(picture: np.ndarray) -> np.ndarray:
    """Without mean, faded out towards the edges, which would correlate with themselves."""
    rows, columns = (np.hanning(side + 2)[1:-1] for side in picture.shape)
    return (picture - picture.mean()) * rows[:, None] * columns
