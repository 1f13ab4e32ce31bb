"""How sure a guide is of its tracks, calibrated where the program is."""

from dataclasses import replace
from typing import Any

import numpy as np
from pyro.poutine import Trace

from scalor_ppl.data.specs import VISIBLE_SHARE
from scalor_ppl.programs import FindsObjects, Program, require
from scalor_ppl.results.rescaled import Rescaled, StatedErrors, rescaled
from scalor_ppl.results.samples import ByObject, Samples
from scalor_ppl.tracks.table import EMPTY, Tracks

UNCALIBRATED = "not calibrated: the guide's own, given the frames before, which is often too small"


def certain_tracks(
    program: Program, trace: Trace, scene: Any, *, calibrated: bool = True
) -> list[Tracks]:
    """The tracks of every video of a scene, with confidences and standard deviations.

    Args:
        program: trained, of a kind that finds objects.
        trace: of the guide, most likely values taken.
        scene: what the model made of them.
        calibrated: bring the guide's deviations to those that the program's calibration states;
            without one they stay.

    Returns:
        Tracks in pixels of the view, whose `presence` is the confidence; `spread` is None where the
        program does not say.
    """
    finder = require(program, FindsObjects, "track")
    # The mode of z_pres is nearly always 0 or 1; how sure it is, is worth more.
    confidence = finder.confidence(trace, scene).cpu().numpy()
    spread = finder.spread(trace, scene)
    found = []
    for b, tracks in enumerate(finder.tracks(scene)):
        own = None if spread is None else spread[b].cpu().numpy()
        tracks = replace(tracks, presence=confidence[b], spread=own)
        if calibrated and own is not None and program.calibration is not None:
            tracks = program.calibration.applied(tracks, tuple(scene.image.shape[-2:]))
        found.append(tracks)
    return found


def calibrated_draws(
    program: Program, reference: Tracks, names: np.ndarray, objects: ByObject
) -> Rescaled | None:
    """Draws about the most likely account, as a program's calibration says that errors are.

    Args:
        program: trained.
        reference: the most likely account of the clip, as `certain_tracks` makes it.
        names: int [O], identities of the draws' columns in it.
        objects: the draws.

    Returns:
        They; None where the program has no calibration.
    """
    if program.calibration is None or reference.spread is None:
        return None
    t, k = np.nonzero(reference.ids != EMPTY)
    column = np.searchsorted(names, reference.ids[t, k])

    def by_name(values: np.ndarray) -> np.ndarray:
        made = np.full((reference.frames, len(names), 2), np.nan)
        made[t, column] = values[t, k]
        return made

    calibration = program.calibration
    centres, spread = by_name(reference.middles()), by_name(reference.spread)
    sides = reference.boxes[..., 2:] - calibration.oversizes(reference, program.size)
    apart = by_name(calibration.sizes(reference, program.size))
    return rescaled(
        objects,
        StatedErrors(centres, spread, calibration.centre.freedom),
        StatedErrors(by_name(sides), apart, calibration.size.freedom),
    )


def counts_in_view(program: Program, reference: Tracks, samples: Samples, seed: int) -> np.ndarray:
    """Draws of how many objects have a quarter or more of themselves in view, int64 [S, T].

    Args:
        program: trained. By its calibration, where that knows of counts; else objects of the draws
            count of whose boxes as much is in view.
        reference: the most likely account of the clip, as `certain_tracks` makes it.
        samples: S draws.
        seed: of calibrated draws.
    """
    if program.calibration is None or program.calibration.count is None:
        return samples.counts_in_view(VISIBLE_SHARE)
    return program.calibration.count.drawn(reference, program.size, len(samples), seed)


def count_in_words(program: Program) -> str:
    """What the draws of `counts_in_view` are."""
    said = f"objects of which at least {VISIBLE_SHARE:.0%} is in view"
    if program.calibration is None or program.calibration.count is None:
        return f"{said}, by their boxes; not calibrated"
    return f"{said}; calibrated: who is doubted in a frame is doubted in all of a draw"


def deviations_in_words(program: Program) -> str:
    """Whether the standard deviations of a program's tracks are calibrated, and on what."""
    return UNCALIBRATED if program.calibration is None else program.calibration.in_words()
