"""How objects grow from the top to the bottom of a frame: a plane seen from the side."""

import numpy as np
from scipy.stats import theilslopes

from scalor_ppl.fitting.components import Components
from scalor_ppl.fitting.kinds import NOTHING_GIVEN, Given, find_kinds

_FEWEST_FOR_TREND = 50  # single objects
_MOST_FOR_TREND = 1000  # likewise; more tell nothing new
_LEAST_SPREAD = 0.3  # of rows, in half-heights of the frame
_LEAST_TREND = 0.15  # a smaller perspective is within the range of sizes
_ROUNDS = 8  # of finding the trend and what is single
_BAND = 0.2  # of the median, in which single objects lie with the distance taken out
_STEEPEST = 0.9  # so that nothing shrinks to nothing at the other edge


def find_perspective(frames: list[Components], given: Given = NOTHING_GIVEN) -> float:
    """How the heights of single objects grow from the middle row to the lower edge, as a share.

    A line through the heights over the rows of the centres (Theil and Sen: the median of slopes, so
    that merged and cut objects do not bend it). Which patches are single objects depends on where
    they are, so both are found in turns.

    Args:
        frames: patches, of frames over the whole of the video.
        given: what the user knows of the objects.

    Returns:
        0 where there are too few objects, they lie too much in a row, or the trend is too small to
        be worth a setting, could be chance, or is not there in the upper and the lower half alike
        (as with two objects of their own size that keep to their own rows).
    """
    found = 0.0
    for _ in range(_ROUNDS):
        rows, sides = _heights([frame.levelled(found) for frame in frames], given)
        if len(rows) < _FEWEST_FOR_TREND or np.ptp(np.percentile(rows, (5, 95))) < _LEAST_SPREAD:
            return 0.0
        if found:  # what is far from the line stands on another plane, is cut, or is two
            near = np.abs(sides / np.median(sides) - 1) < _BAND
            rows, sides = rows[near], sides[near]
        sides = sides * (1 + found * rows)  # as they are seen
        slope, middle, _, _ = _line(rows, sides)
        if not middle > 0:
            return 0.0
        found = float(np.clip(slope / middle, -_STEEPEST, _STEEPEST))
    upper = rows < np.median(rows)
    for half in (upper, ~upper):
        _, _, least, most = _line(rows[half], sides[half])
        if not (least * most > 0 and least * found > 0):
            return 0.0
    return found if abs(found) >= _LEAST_TREND else 0.0


def _heights(frames: list[Components], given: Given) -> tuple[np.ndarray, np.ndarray]:
    """Rows and heights of single objects of one kind, at most about a thousand of them."""
    kinds = find_kinds(frames, given, most=1)
    if kinds is None:
        return np.zeros(0), np.zeros(0)
    single = [kinds.single(frame) for frame in frames]
    sides = np.concatenate([f.sizes[s, 0] for f, s in zip(frames, single, strict=True)])
    rows = np.concatenate([f.rows[s] for f, s in zip(frames, single, strict=True)])
    # Pairs of objects grow with the square of their number.
    step = max(1, -(-len(rows) // _MOST_FOR_TREND))
    return rows[::step], sides[::step]


def _line(rows: np.ndarray, sides: np.ndarray) -> tuple[float, float, float, float]:
    """Slope, height in the middle row, and the 95 % interval of the slope."""
    if len(rows) < 2 or np.ptp(rows) == 0:
        return 0.0, float("nan"), 0.0, 0.0
    with np.errstate(invalid="ignore"):  # with many ties there is no interval
        slope, middle, least, most = theilslopes(sides, rows)
    return float(slope), float(middle), float(least), float(most)
