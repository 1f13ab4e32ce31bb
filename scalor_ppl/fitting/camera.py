"""Does the camera stand still?"""

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from scalor_ppl.fitting.components import EIGHT, change

_TOLERANCE = 0.08  # of the brightness range, within which a pixel shows the background
_MOSTLY = 0.6  # share of pixels that it explains where no detail tells whether the picture shifts
_PIXELS = 120_000  # of a frame; from four times as many on, blocks of pixels are taken together
_SHIFT = 1.0  # pixels
_CELLS = 8  # along each side of the frame, that vote
_FOR_NOISE = 5  # runs that it is taken from
_LEAST_NOISE = 0.5  # levels: rounding
_DETAIL = 4.0  # standard deviations of the noise: a clear edge
_LEAST_DETAIL = 4.0  # pixels' worth of edges that agree: a vote
_MARGIN = 1.3  # times the agreement of the other way
_RIGID = 0.5  # of a cell's edges that agree where all goes one way; a current leaves fewer alike
_WIDELY = 0.5  # of the cells, whose votes are of the whole picture
_GROUPS = 4  # of cells that lie apart: as many things do not go one way by chance
_SPAN, _SPARSE_SPAN = 7, 6  # rows and columns of cells that such votes must reach across
_MOVING = 0.5  # of the pairs of frames that tell, in which the picture has shifted
_LEAST_SHIFTED = 0.3  # of all pairs; now and then a large animal looks like a picture that shifts


@dataclass(frozen=True)
class Camera:
    """What is known of the camera.

    Attributes:
        static: it stands still.
        still: pairs of frames in which what there is of detail stays in its place.
        shifted: pairs in which it goes one way, all over the frame.
        silent: pairs that do not tell.
        explained: share of the pixels that the background explains, in the median frame.
    """

    static: bool
    still: int
    shifted: int
    silent: int
    explained: float


def look_at_camera(
    runs: list[list[np.ndarray]], background: np.ndarray, noise: float, spread: float
) -> Camera:
    """Whether the camera stands still.

    Frames of a run, and of one run and the middle one, are compared in pairs. Where a pair has a
    clear detail in its place in both frames, that part of the frame votes for a camera that stands
    still; where it has gone the way that most details go, for one that moves. A cell of a grid has
    one vote, so that a large animal on a plain floor does not outvote the floor. Where only few
    details lie on a plain floor, a moving camera takes along all of them; animals do not go one
    way all over the frame. Where no pair tells, the background must explain most pixels.

    Args:
        runs: of consecutive frames [H, W, C].
        background: [H, W, C], see `mode_image`.
        noise: standard deviation of the residual, in levels.
        spread: brightness range in use, in levels.
    """
    middle = len(runs) // 2
    step = _step(background.shape)
    runs = [[_fewer(frame, step) for frame in (run[0], run[1], run[-1])] for run in runs]
    background = _fewer(background, step)
    fleeting = min(noise / step, _fleeting(runs))
    first, last = ([_edges(run[at], max(fleeting, _LEAST_NOISE)) for run in runs] for at in (0, -1))
    quick = [_vote(before, after) for before, after in zip(first, last, strict=True)]
    slow = [_vote(edges, first[middle]) for n, edges in enumerate(first) if n != middle]
    votes = quick + slow
    still, shifted = votes.count("still"), votes.count("shifted")
    tolerance = max(_TOLERANCE * spread, 3.5 * fleeting)
    explained = _explained(runs, background, tolerance)
    told = still + shifted > 0
    static = not (_goes(quick) or _goes(slow)) if told else explained >= _MOSTLY
    return Camera(static, still, shifted, len(votes) - still - shifted, explained)


def _step(shape: tuple[int, ...]) -> int:
    """By what whole number a large frame is made smaller."""
    return max(1, int(np.sqrt(shape[0] * shape[1] / _PIXELS)))


def _fewer(frame: np.ndarray, step: int) -> np.ndarray:
    """Means of blocks of pixels [h, w, C]."""
    rows, columns = (side // step * step for side in frame.shape[:2])
    blocks = frame[:rows, :columns].reshape(rows // step, step, columns // step, step, -1)
    return blocks.mean((1, 3), dtype=np.float32)


def _goes(votes: list[str]) -> bool:
    """Whether most pairs that tell say so, and they are not few."""
    shifted = votes.count("shifted")
    told = votes.count("still") + shifted
    return shifted > _MOVING * told and shifted >= _LEAST_SHIFTED * len(votes)


def _explained(runs: list[list[np.ndarray]], background: np.ndarray, tolerance: float) -> float:
    """Share of pixels that show the background up to a tolerance in levels, in the median frame."""
    shares = [np.mean(np.abs(change(run[0], background)).max(-1) <= tolerance) for run in runs]
    return float(np.median(shares))


def _fleeting(runs: list[list[np.ndarray]]) -> float:
    """Noise in levels, by frames in a row, laid over each other where the picture has shifted."""
    changes = []
    for run in runs[:: -(-len(runs) // _FOR_NOISE)]:
        shift = _shift(*(_edges(frame, _LEAST_NOISE) for frame in run[:2]))
        after = np.roll(run[1], (-shift[0], -shift[1]), (0, 1))
        changes.append(np.abs(after - run[0])[::2, ::2])
    return 1.4826 * float(np.median(np.stack(changes))) / np.sqrt(2)


def _vote(before: np.ndarray, after: np.ndarray) -> str:
    """Of the edges of two frames [H, W]: still, shifted, or silent."""
    shift = _shift(before, after)
    stays = _agreement(before, after)
    goes = _agreement(before, np.roll(after, (-shift[0], -shift[1]), (0, 1)))
    enough = np.maximum(stays, goes) >= _LEAST_DETAIL
    stay = enough & (stays >= goes)
    go = enough & (goes > np.maximum(_MARGIN * stays, _RIGID * _agreement(before, before)))
    if np.hypot(*shift) < _SHIFT or stay.sum() >= go.sum() or not go.any():
        return "still" if stay.any() else "silent"
    _, groups = ndimage.label(go, EIGHT)
    reach = min(int(np.ptp(np.flatnonzero(go.any(axis)))) + 1 for axis in (0, 1))
    widely = go.mean() >= _WIDELY and reach >= _SPAN
    sparsely = groups >= _GROUPS and reach >= _SPARSE_SPAN
    return "shifted" if widely or sparsely else "silent"


def _edges(frame: np.ndarray, noise: float) -> np.ndarray:
    """Complex [H, W]: the direction of the gradient where it is clear, less where it is not.

    All clear edges count alike: those of a bright animal no more than those of the floor.
    """
    smooth = ndimage.gaussian_filter(frame.mean(-1), 1.0)
    gradient = np.stack([ndimage.sobel(smooth, axis) / 8 for axis in (0, 1)])
    slope = gradient[0] + 1j * gradient[1]
    clear = _DETAIL * noise * 0.2  # smoothing and Sobel's mask leave a fifth of the noise, about
    return (slope * np.abs(slope) / (np.abs(slope) ** 2 + clear**2)).astype(np.complex64)


def _shift(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    """Rows and columns that most edges have gone."""
    cross = fft.fft2(after) * np.conj(fft.fft2(before))
    surface = fft.ifft2(cross).real
    peak = np.unravel_index(surface.argmax(), surface.shape)
    rows, columns = (
        int(at) if at <= side // 2 else int(at) - side
        for at, side in zip(peak, surface.shape, strict=True)
    )
    return rows, columns


def _agreement(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """[cells, cells] pixels' worth of edges that agree."""
    product = (before * np.conj(after)).real
    rows, columns = (
        np.linspace(0, side, _CELLS + 1).round().astype(int)[:-1] for side in product.shape
    )
    return np.add.reduceat(np.add.reduceat(product, rows, 0), columns, 1)
