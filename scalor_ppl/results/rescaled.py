"""Draws whose spread is brought to stated standard deviations, object by object."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from scalor_ppl.results.samples import ByObject

LEAST = 5
"""Draws of an object in a frame; in fewer they do not say how wide they are."""

_ENDS = (0.05, 0.95)
_NINETY = 1.6448536  # standard deviations of a Gaussian that hold 90 % to both sides
_SIDE = 0.1  # pixels: no box becomes smaller


class Rescaled(NamedTuple):
    """Draws with the spread that was asked for.

    Attributes:
        objects: the draws.
        own: float64 [T, O, 2], the standard deviations of x and y before, in pixels; NaN where
            there is no draw.
        changed: bool [T, O]: where the spread was changed; elsewhere draws are as they were.
    """

    objects: ByObject
    own: np.ndarray
    changed: np.ndarray


def rescaled(objects: ByObject, centre: np.ndarray, size: np.ndarray) -> Rescaled:
    """Move draws towards or away from their median, so that their central 90 % are as wide as said.

    Of a Gaussian of standard deviation s, these are 1.645 s to both sides.

    Args:
        objects: S draws.
        centre: float [T, O, 2] standard deviations of x and y in pixels; NaN where unknown.
        size: float [T, O, 2] of width and height, likewise.
    """
    places, changed = _widened(objects.centres.astype(np.float64), centre)
    sides, _ = _widened(objects.boxes[..., 2:].astype(np.float64), size)
    own = np.full(centre.shape, np.nan)
    known = np.isfinite(objects.centres).any(axis=(0, 3))
    own[known] = np.nanstd(objects.centres[:, known], axis=0, dtype=np.float64)
    sides = np.maximum(sides, _SIDE)
    moved = places - objects.centres + (objects.boxes[..., 2:] - sides) / 2
    corner = objects.boxes[..., :2] + moved
    boxes = np.concatenate((corner, sides), axis=-1).astype(np.float32)
    made = replace(objects, centres=places.astype(np.float32), boxes=boxes)
    return Rescaled(made, own, np.logical_and(changed[..., 0], changed[..., 1]))


def _widened(draws: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draws [S, T, O, 2] of the wanted deviations [T, O, 2], and bool [T, O, 2] what changed."""
    enough = np.isfinite(draws).sum(0) >= LEAST
    low, middle, high = np.full((3, *wanted.shape), np.nan)
    if enough.any():
        shares = (_ENDS[0], 0.5, _ENDS[1])
        low[enough], middle[enough], high[enough] = np.nanquantile(draws[:, enough], shares, axis=0)
    reach = (high - low) / (2 * _NINETY)
    changed = enough & np.isfinite(wanted) & (reach > 0)
    factor = np.where(changed, wanted / np.where(changed, reach, 1), 1)
    middle = np.where(changed, middle, 0)
    return np.where(changed, middle + (draws - middle) * factor, draws), changed
