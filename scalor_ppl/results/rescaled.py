"""Draws brought to stated uncertainties and sizes, object by object.

A guide's draws say too little of how wide errors are, and their shape is none of errors: with
refinement most nearly agree and few lie far off, so that no factor makes them honest. What they do
say is which draw lies on which side, and how that goes together over frames, axes and objects. So
each draw keeps its rank among the draws of its object and frame, and takes the value that the
stated distribution has there (ensemble copula coupling: Schefzik, Thorarinsdottir and Gneiting,
Statistical Science 28, 2013). That distribution lies about what was found with the most likely
values, whose errors it is of: the median of a few draws has an error of its own besides.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from scalor_ppl.results.samples import ByObject

LEAST = 5
"""Draws of an object in a frame; in fewer they do not say how wide they are."""

_NINETY = 1.6448536  # standard deviations of a Gaussian that hold 90 % to both sides
_SIDE = 0.1  # pixels: no box becomes smaller


class StatedErrors(NamedTuple):
    """Where two numbers of T frames and O objects truly are: about those found, a Student t.

    Attributes:
        about: float [T, O, 2], in pixels, its median; NaN where unknown.
        deviations: float [T, O, 2], in pixels, of which 1.645 to both sides hold 90 %; NaN where
            unknown.
        freedom: degrees of freedom, above 0.
    """

    about: np.ndarray
    deviations: np.ndarray
    freedom: float


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


def rescaled(objects: ByObject, centre: StatedErrors, size: StatedErrors) -> Rescaled:
    """Give draws the stated distributions; boxes lie about their centres as before.

    Args:
        objects: S draws. Where all draws of an object agree, or there are fewer than `LEAST`,
            they stay as they are.
        centre: of x and y.
        size: of width and height.
    """
    places, changed = _spread(objects.centres.astype(np.float64), centre)
    sides, _ = _spread(objects.boxes[..., 2:].astype(np.float64), size)
    own = np.full(centre.deviations.shape, np.nan)
    drawn = np.isfinite(objects.centres).any(axis=(0, 3))
    own[drawn] = np.nanstd(objects.centres[:, drawn], axis=0, dtype=np.float64)
    sides = np.maximum(sides, _SIDE)
    moved = places - objects.centres + (objects.boxes[..., 2:] - sides) / 2
    corner = objects.boxes[..., :2] + moved
    boxes = np.concatenate((corner, sides), axis=-1).astype(np.float32)
    made = replace(objects, centres=places.astype(np.float32), boxes=boxes)
    return Rescaled(made, own, np.logical_and(changed[..., 0], changed[..., 1]))


def _spread(draws: np.ndarray, stated: StatedErrors) -> tuple[np.ndarray, np.ndarray]:
    """Draws [S, T, O, 2] of the stated distribution, and bool [T, O, 2] what changed."""
    there = np.isfinite(draws)
    number = there.sum(0)
    enough = number >= LEAST
    apart = np.full(number.shape, np.nan)
    if enough.any():
        apart[enough] = np.nanmax(draws[:, enough], axis=0) - np.nanmin(draws[:, enough], axis=0)
    known = np.isfinite(stated.deviations) & np.isfinite(stated.about)
    changed = enough & known & (apart > 0)
    ranks = draws.argsort(0).argsort(0) + 1  # those that are missing come last
    shares = np.where(there, ranks / (number + 1), 0.5)
    unit = _NINETY / stats.t.ppf(0.95, stated.freedom)
    errors = stated.deviations * unit * stats.t.ppf(shares, stated.freedom)
    wanted = np.where(there, stated.about + errors, np.nan)
    return np.where(changed, wanted, draws), changed
