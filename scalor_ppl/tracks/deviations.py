"""Standard deviations of tracked positions that hold what they promise, from those of a guide.

A guide's own deviations are those of its posterior given the frames before, which is narrower than
its errors: they are wide where objects overlap or were found just now. A *calibration* is a small
log-linear model of the errors' scale, fitted on simulated clips whose truth is known:

    log s = w . (1, log of the guide's deviation, log of the object's side, share of its box
                 under others' boxes, found in this frame, outside, doubt)

where outside is log(1 + percent of its box that is out of view) and doubt is 1 less the confidence
that the object is there. Boxes about what was painted may also be too large or too small by about
as much in all objects: widths and heights have an *offset* each, which no scale can mend. Both are
fitted by `scalor_ppl.evaluation.scale_fit`. They describe errors on such clips, not on other data.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.tracks.counting import COUNT_FEATURES, CountModel
from scalor_ppl.tracks.table import EMPTY, Tracks
from scalor_ppl.tracks.visibility import covered_share, share_in_view

FEATURES = ("constant", "deviation", "side", "covered", "discovered", "outside", "doubt")
"""What the scale depends on, in the order of the coefficients."""

FILE = "calibration.json"
_PERCENT = 0.01  # of a box: as little as that out of view changes little
_LEAST = 1e-3  # pixels: of the guide's deviation, below which its logarithm says nothing


@dataclass(frozen=True)
class ScaleModel:
    """The scale of some errors, and what they are about.

    Attributes:
        coefficients: by the names of `FEATURES`; those that are missing are 0.
        freedom: degrees of freedom of the Student t that the errors followed, scaled so.
        stretch: standard deviation to state over that scale. It is such that the nominal 90 %
            interval of a Gaussian, 1.645 standard deviations to both sides, held 90 % of the
            errors; of heavy tails it is not their standard deviation.
        offset: what the errors are about in x and y, found less true, in pixels, of objects wholly
            in view. A box that the edge cuts has an extent that is guessed: its errors are about 0.
    """

    coefficients: Mapping[str, float]
    freedom: float
    stretch: float
    offset: tuple[float, float] = (0.0, 0.0)

    def deviations(self, features: np.ndarray) -> np.ndarray:
        """Float64 [...] standard deviations to state, from features [..., 7]."""
        weights = np.array([self.coefficients.get(name, 0.0) for name in FEATURES])
        stated: np.ndarray = self.stretch * np.exp(features @ weights)
        return stated

    def offsets(self, features: np.ndarray) -> np.ndarray:
        """Float64 [..., 2] to take off what was found, from features [..., 2, 7].

        Where 1 % of a box is out of view it is half the offset, and a tenth where 9 % are.
        """
        in_view = np.exp(-features[..., FEATURES.index("outside")])
        taken: np.ndarray = np.array(self.offset) * in_view
        return taken


@dataclass(frozen=True)
class Calibration:
    """What makes the deviations of a program's tracks honest, for one way of inference.

    Attributes:
        centre: of errors of x and y, in pixels of the view.
        size: of errors of width and height, likewise; the guide's deviation has no part in it.
        refine: steps of refinement for which it holds.
        fitted_on: set, split, seed, clips, frames, objects: where it comes from.
        count: of the number of objects in view; None in calibrations of before it was known.
    """

    centre: ScaleModel
    size: ScaleModel
    refine: int
    fitted_on: Mapping[str, Any]
    count: CountModel | None = None

    def applied(self, tracks: Tracks, size: tuple[int, int]) -> Tracks:
        """The tracks with calibrated deviations of the centres, in place of the guide's.

        Args:
            tracks: with the guide's in `spread`, confidences in `presence`, in pixels of the view.
            size: height and width of the view.
        """
        spread = self.centre.deviations(features_of(tracks, size)).astype(np.float32)
        spread[tracks.ids == EMPTY] = np.nan
        return Tracks(
            tracks.ids, tracks.boxes, tracks.presence, tracks.discovered, tracks.centres, spread
        )

    def sizes(self, tracks: Tracks, size: tuple[int, int]) -> np.ndarray:
        """Float64 [T, K, 2] standard deviations of width and height; arguments as `applied`."""
        return self.size.deviations(features_of(tracks, size))

    def oversizes(self, tracks: Tracks, size: tuple[int, int]) -> np.ndarray:
        """Float64 [T, K, 2] by which boxes are too wide and too high; arguments as `applied`."""
        return self.size.offsets(features_of(tracks, size))

    def in_words(self) -> str:
        """What it is, for the files that hold calibrated numbers."""
        where = self.fitted_on
        return (
            f"calibrated on {where.get('clips')} simulated clips of {where.get('source')} (seed "
            f"{where.get('seed')}): 1.645 standard deviations to both sides held 90 % there"
        )


def features_of(tracks: Tracks, size: tuple[int, int]) -> np.ndarray:
    """What the scale of errors depends on, float64 [T, K, 2, 7], of x and of y; see `FEATURES`.

    Args:
        tracks: with `spread`; finite wherever there is an object.
        size: height and width of the view.

    Raises:
        ValueError: the tracks have no `spread`.
    """
    if tracks.spread is None:
        raise ValueError("the tracks do not say how sure the guide is of the centres")
    living = tracks.ids != EMPTY
    boxes = np.where(living[..., None], tracks.boxes, 0).astype(np.float64)
    sides = np.maximum(boxes[..., 2:], 1.0)
    found = np.empty((*tracks.ids.shape, 2, len(FEATURES)))
    found[..., 0] = 1
    found[..., 1] = np.log(np.maximum(np.nan_to_num(tracks.spread), _LEAST))
    found[..., 2] = np.log(sides)
    found[..., 3] = covered_share(boxes, living)[..., None]
    found[..., 4] = tracks.discovered[..., None]
    found[..., 5] = np.log1p((1 - share_in_view(boxes, size)) / _PERCENT)[..., None]
    found[..., 6] = 1 - tracks.presence.clip(0, 1)[..., None]
    return found


def read_calibration(folder: Path, refine: int) -> Calibration | None:
    """The calibration of a run for so many steps of refinement; None where it has none.

    Raises:
        UserError: the file is not one of calibrations.
    """
    return next((each for each in _read(folder) if each.refine == refine), None)


def write_calibration(folder: Path, calibration: Calibration) -> Path:
    """Store a calibration with a run, in place of that for the same steps of refinement.

    Returns:
        The file.

    Raises:
        UserError: the file that is there is no such, or cannot be written.
    """
    kept = [each for each in _read(folder) if each.refine != calibration.refine]
    entries = [asdict(each) for each in sorted([*kept, calibration], key=lambda each: each.refine)]
    with written_whole(folder / FILE) as path:
        path.write_text(json.dumps({"calibrations": entries}, indent=2) + "\n", encoding="utf-8")
    return folder / FILE


def _read(folder: Path) -> Sequence[Calibration]:
    path = folder / FILE
    if not path.is_file():
        return ()
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["calibrations"]
        return [_calibration(each) for each in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is no calibration ({error}): make it anew with: scalor-ppl evaluate {folder} "
            "--calibrate"
        ) from None


def _calibration(stored: Mapping[str, Any]) -> Calibration:
    """One entry of the file, checked."""
    return Calibration(
        _scale(stored["centre"]),
        _scale(stored["size"]),
        int(stored["refine"]),
        stored["fitted_on"],
        _count(stored["count"]) if stored.get("count") else None,
    )


def _count(stored: Mapping[str, Any]) -> CountModel:
    weights = {name: float(value) for name, value in stored["coefficients"].items()}
    unknown = sorted(set(weights) - set(COUNT_FEATURES))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is nothing that a count depends on")
    model = CountModel(weights, float(stored["missed"]))
    if not np.isfinite([*weights.values(), model.missed]).all() or model.missed < 0:
        raise ValueError("a number is not finite, or fewer than no object is missed")
    return model


def _scale(stored: Mapping[str, Any]) -> ScaleModel:
    weights = {name: float(value) for name, value in stored["coefficients"].items()}
    unknown = sorted(set(weights) - set(FEATURES))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is nothing that a scale depends on")
    across, down = stored.get("offset", (0.0, 0.0))
    offset = float(across), float(down)
    model = ScaleModel(weights, float(stored["freedom"]), float(stored["stretch"]), offset)
    if not np.isfinite([*weights.values(), model.freedom, model.stretch, *offset]).all():
        raise ValueError("a number is not finite")
    return model
