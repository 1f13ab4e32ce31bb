"""Judge and calibrate a program's uncertainty on clips whose truth is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scalor_ppl.data import ClipSource, Truth
from scalor_ppl.data.specs import VISIBLE_SHARE
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.calibration import (
    Intervals,
    Reliability,
    drawn_intervals,
    gaussian_intervals,
    reliability,
)
from scalor_ppl.evaluation.calibration_pairs import (
    StatedAndTrue,
    paired,
    stated_and_true,
    together,
)
from scalor_ppl.evaluation.count_fit import fit_count
from scalor_ppl.evaluation.scale_fit import fit_offset_and_scale, fit_scale, with_outside
from scalor_ppl.inference.alignment import aligned
from scalor_ppl.inference.certainty import calibrated_draws, certain_tracks, counts_in_view
from scalor_ppl.inference.draws import draw_posterior, reference_tracks
from scalor_ppl.inference.posterior import follow
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import FindsObjects, Program, require
from scalor_ppl.results.rescaled import LEAST
from scalor_ppl.results.samples import Samples, by_object
from scalor_ppl.tracks.deviations import FEATURES, Calibration, ScaleModel

_BATCH = 20  # clips that are tracked at a time
_OF_CENTRE = tuple(name for name in FEATURES if name != "outside")
_OF_SIZE = tuple(name for name in _OF_CENTRE if name != "deviation")


@dataclass(frozen=True)
class Honesty:
    """How honest a program's uncertainty is.

    Attributes:
        centre: of x and y of tracks, by `x_std` and `y_std` read as Gaussian.
        size: of width and height, likewise; None without a calibration, which alone states it.
        presence: of the confidences of tracks.
        drawn_centre: of x and y of draws from the posterior; None where none were taken.
        drawn_size: of width and height of draws, likewise.
        count: of the number of objects in a frame by draws, likewise.
        objects: object-frames that could have been found.
        calibrated: whether the program has a calibration.
    """

    centre: Intervals
    size: Intervals | None
    presence: Reliability
    drawn_centre: Intervals | None
    drawn_size: Intervals | None
    count: Intervals | None
    objects: int
    calibrated: bool

    def intervals(self) -> dict[str, Intervals]:
        """What has been judged by intervals, by its name in words."""
        named = {
            "centre": self.centre,
            "size": self.size,
            "centre, draws": self.drawn_centre,
            "size, draws": self.drawn_size,
            "count, draws": self.count,
        }
        return {name: each for name, each in named.items() if each is not None}

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        found = {name.replace(", ", "_"): each.to_dict() for name, each in self.intervals().items()}
        return {
            "calibrated": self.calibrated,
            "objects": self.objects,
            **found,
            "presence": self.presence.to_dict(),
        }


def fit_calibration(
    program: Program, source: ClipSource, *, clips: int, frames: int
) -> Calibration:
    """Fit what makes a program's standard deviations honest, see `tracks.deviations`.

    Args:
        program: trained; its own calibration has no part in it.
        source: simulated clips that nothing is reported on.
        clips: how many, 0, 1, ...
        frames: length of each.

    Raises:
        UserError: the clips have no truth, the program states no deviations, or too little was
            found in them.
    """
    pairs = _pairs(program, source, clips=clips, frames=frames, calibrated=False)
    if not np.isfinite(pairs.stated).all():
        raise UserError(
            f"{program.name} does not say how sure it is of centres: nothing to calibrate"
        )
    return Calibration(
        centre=_fitted(pairs.centre, pairs, _OF_CENTRE),
        size=_fitted(pairs.size, pairs, _OF_SIZE, about_zero=False),
        refine=program.refinement,
        fitted_on={
            "source": source.name,
            "split": getattr(source, "split", ""),
            "seed": getattr(source, "seed", 0),
            "clips": clips,
            "frames": frames,
            "objects": len(pairs.centre),
        },
        count=fit_count(pairs.tracks, pairs.counted, pairs.missed),
    )


def _fitted(
    errors: np.ndarray, pairs: StatedAndTrue, names: Sequence[str], *, about_zero: bool = True
) -> ScaleModel:
    """The scale of errors [N, 2], first of what is wholly in view and then of the rest."""
    whole, features = pairs.whole, pairs.features

    def rows(values: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return values[which].ravel(), features[which].reshape(-1, len(FEATURES))

    if about_zero:
        model = fit_scale(*rows(errors, whole), names)
    else:
        model = fit_offset_and_scale(errors[whole], features[whole], names)
    return with_outside(model, *rows(errors - model.offsets(features), ~whole))


def judge_calibration(
    program: Program,
    source: ClipSource,
    *,
    clips: int,
    frames: int,
    draws: int = 0,
    seed: int = 0,
) -> Honesty:
    """Compare what a program states with what is true.

    Args:
        program: trained.
        source: of clips with truth; 0, 1, ... are taken.
        clips: how many.
        frames: length of each.
        draws: from the posterior of each clip, 0 for none; at least 5 otherwise.
        seed: of the draws of the first clip; each has the next.

    Raises:
        UserError: the source has no truth, or the program finds no objects or states no deviations.
    """
    if 0 < draws < LEAST:
        raise UserError(f"{draws} draws: give at least {LEAST}, or 0 to leave them out")
    pairs = _pairs(program, source, clips=clips, frames=frames, calibrated=True)
    honesty = judge_pairs(program, pairs)
    if not draws:
        return honesty
    centre, size, count = _drawn(program, source, clips, frames, draws, seed)
    return replace(honesty, drawn_centre=centre, drawn_size=size, count=count)


def judge_pairs(program: Program, pairs: StatedAndTrue) -> Honesty:
    """Judge what the tracks of a program state, without draws.

    Raises:
        UserError: the program states no deviations.
    """
    whole = pairs.whole
    if not np.isfinite(pairs.stated).all():
        raise UserError(f"{program.name} does not say how sure it is of centres")
    size = None
    if program.calibration is not None:
        model, features = program.calibration.size, pairs.features[whole]
        errors = pairs.size[whole] - model.offsets(features)
        size = gaussian_intervals(errors.ravel(), model.deviations(features).ravel())
    return Honesty(
        centre=gaussian_intervals(pairs.centre[whole].ravel(), pairs.stated[whole].ravel()),
        size=size,
        presence=reliability(pairs.confidence, pairs.hits),
        drawn_centre=None,
        drawn_size=None,
        count=None,
        objects=pairs.objects,
        calibrated=program.calibration is not None,
    )


def _pairs(
    program: Program, source: ClipSource, *, clips: int, frames: int, calibrated: bool
) -> StatedAndTrue:
    """What tracks state, and what is true."""
    require(program, FindsObjects, "evaluate --calibration")
    program.check_fits(source.name, source.height, source.width, source.channels)
    taken = list(_clips(source, clips, frames))
    parts = []
    for begin in range(0, len(taken), _BATCH):
        videos, truths = zip(*taken[begin : begin + _BATCH], strict=True)
        with fast_pyro():
            found = follow(program, to_video(np.stack(videos), program.device), None)
        tracks = certain_tracks(program, found.trace, found.scene, calibrated=calibrated)
        for each, truth in zip(tracks, truths, strict=True):
            parts.append(stated_and_true(each, truth, program.size))
    return together(parts)


def _clips(source: ClipSource, clips: int, frames: int) -> Iterator[tuple[np.ndarray, Truth]]:
    for number in range(min(clips, max(1, source.starts(frames)))):
        clip = source.clip(number, frames)
        if clip.truth is None:
            raise UserError(
                f"{source.name} has no ground truth: calibration needs clips whose objects are "
                "known, as those of registered sets"
            )
        yield clip.video, clip.truth


def _drawn(
    program: Program, source: ClipSource, clips: int, frames: int, draws: int, seed: int
) -> tuple[Intervals, Intervals, Intervals]:
    """Centre, size and count by draws from the posterior of each clip."""
    centres, sizes, counts = [], [], []
    for number, (video, truth) in enumerate(_clips(source, clips, frames)):
        samples, _ = draw_posterior(program, video, draws=draws, seed=seed + number, images=0)
        assert isinstance(samples, Samples)
        reference = reference_tracks(program, video)
        names, identities = aligned(reference, samples.tracks)
        objects = by_object(samples, identities)
        honest = calibrated_draws(program, reference, names, objects)
        objects = objects if honest is None else honest.objects
        t, k, n = paired(reference, truth, reference.present())
        column = np.searchsorted(names, reference.ids[t, k])
        enough = (np.isfinite(objects.depth[:, t, column]).sum(0) >= LEAST) & (
            truth.visible[t, n] >= 1
        )
        t, n, column = t[enough], n[enough], column[enough]
        centres.append((objects.centres[:, t, column], truth.middles()[t, n]))
        sizes.append((objects.boxes[:, t, column, 2:], truth.boxes[t, n, 2:]))
        count = counts_in_view(program, reference, samples, seed + number)
        counts.append((count, truth.counted(VISIBLE_SHARE).sum(1)))
    return _over(centres), _over(sizes), _over(counts)


def _over(parts: list[tuple[np.ndarray, np.ndarray]]) -> Intervals:
    """Intervals of draws [S, ...] and truths [...] of several clips."""
    drawn = [each.reshape(len(each), -1).astype(np.float64) for each, _ in parts]
    true = [each.ravel().astype(np.float64) for _, each in parts]
    return drawn_intervals(np.concatenate(drawn, axis=1), np.concatenate(true))
