"""How far tracked positions are from true ones, beside how near they could be.

Tracks and true spots of a frame are paired one to one within a gate, as many as can be and nearest
first. *Isolated* is a spot from which every other spot of the frame, in focus or not, is farther
than three of both their widths, and which lies within the view by four of its own. What is out of
focus is ignored: what finds it is neither right nor wrong.

**Precision and recall** are of the tracks above each threshold on confidence, paired anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from scalor_ppl.data.particle_specs import BOX_WIDTHS
from scalor_ppl.data.particle_truth import KnownParticles
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.assignment import match_within
from scalor_ppl.evaluation.cramer_rao import position_bound
from scalor_ppl.evaluation.positions import read_positions
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.mot_reader import read_rows

GATE = 2.0
"""Gate of the pairs, in widths of a spot: half the side of its box."""

_APART = 3.0  # widths of both
_INSIDE = 4.0  # widths
_NINETY = 1.6448536  # standard deviations that hold nine tenths
_THRESHOLDS = 25


class Matches(NamedTuple):
    """M pairs of a row of tracks and a row of truth.

    Attributes:
        found: int64 [M], rows of the tracks.
        known: int64 [M], rows of the truth.
        aside: int64, rows of the tracks that find what is ignored.
    """

    found: np.ndarray
    known: np.ndarray
    aside: np.ndarray


@dataclass(frozen=True)
class Errors:
    """Errors of the positions of some spots.

    Attributes:
        count: positions.
        rms: [2] root mean square of x and y, in pixels; NaN of none.
        bias: [2] mean, in pixels.
        spread: [2] 1.4826 times the median distance from the median: as the standard deviation of a
            Gaussian, whatever few outliers do.
        bound: [2] root mean square of the Cramer-Rao bounds, in pixels.
        coverage: share of the coordinates within the nominal 90 % interval; None if none is stated.
        z_spread: standard deviation of error over stated deviation: 1 where they are honest.
    """

    count: int
    rms: np.ndarray
    bias: np.ndarray
    spread: np.ndarray
    bound: np.ndarray
    coverage: float | None
    z_spread: float | None

    @property
    def ratio(self) -> float:
        """Error over bound, both coordinates together; 1 is as good as can be."""
        return float(np.sqrt(np.square(self.rms).sum() / np.square(self.bound).sum()))

    @property
    def pixels(self) -> float:
        """Root mean square of both coordinates together, in pixels; compares with the bound."""
        return float(np.sqrt(np.square(self.rms).mean()))

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON; null of no positions."""
        if not self.count:
            return {"count": 0}
        return {
            "count": self.count,
            "rms": self.rms.tolist(),
            "bias": self.bias.tolist(),
            "spread": self.spread.tolist(),
            "bound": self.bound.tolist(),
            "ratio": self.ratio,
            "coverage": self.coverage,
            "z_spread": self.z_spread,
        }


class OperatingPoint(NamedTuple):
    """What is left above a threshold on confidence."""

    threshold: float
    precision: float
    recall: float


def recall_at(curve: Iterable[OperatingPoint], precision: float) -> float:
    """The largest recall of a curve at this precision or above; 0 where there is none."""
    return max((point.recall for point in curve if point.precision >= precision), default=0.0)


@dataclass(frozen=True)
class Localisation:
    """Positions of tracks against those of known particles.

    Attributes:
        isolated: errors of spots that stand alone.
        every: errors of all that were found.
        curve: operating points, by rising threshold; the first is of all rows.
        gate: of the pairs, in pixels.
    """

    isolated: Errors
    every: Errors
    curve: tuple[OperatingPoint, ...]
    gate: float

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        return {
            "gate": self.gate,
            "isolated": self.isolated.to_dict(),
            "all": self.every.to_dict(),
            "curve": [point._asdict() for point in self.curve],
        }


def localisation(
    found: BoxTable,
    known: BoxTable,
    particles: KnownParticles,
    *,
    size: tuple[int, int],
    spread: np.ndarray | None = None,
    gate: float | None = None,
) -> Localisation:
    """Measure the positions of tracks.

    Args:
        found: tracks.
        known: boxes of the particles in the same frames; those of confidence 0 are ignored.
        particles: what is known of them.
        size: height and width of the frames, in pixels.
        spread: [R, 2] stated standard deviations of the rows of tracks, in pixels; NaN where
            nothing is stated.
        gate: in pixels; `GATE` widths by default.

    Raises:
        UserError: a box has no particle that is known, or nothing of both is near.
    """
    labels = np.array(known.labels, dtype=np.int64)[known.objects]
    place = np.searchsorted(particles.labels, labels).clip(0, max(len(particles.labels) - 1, 0))
    if not len(particles.labels) or (particles.labels[place] != labels).any():
        raise UserError("the boxes of the truth and what is known of its particles do not agree")
    gate = GATE * particles.spec.width if gate is None else gate
    widths, peaks = particles.widths[place], particles.peaks[place]
    centres, positions = centres_of(known), centres_of(found)
    matches = _matched(found.frames, positions, known.frames, centres, known.ignored, gate, widths)
    if not len(matches.found):
        raise UserError(
            f"no track lies within {gate:g} pixels of a particle: are these tracks of this video?"
        )
    alone = isolated(known.frames, centres, widths, size)
    rows = matches.known
    errors = positions[matches.found] - centres[rows]
    spec = particles.spec
    bounds = position_bound(
        centres[rows],
        widths[rows],
        peaks[rows],
        background=spec.background,
        read_noise=spec.read_noise,
        gain=spec.gain,
    )
    stated = None if spread is None else spread[matches.found]
    return Localisation(
        isolated=_errors(errors, bounds, stated, alone[rows]),
        every=_errors(errors, bounds, stated, np.ones(len(rows), dtype=bool)),
        curve=tuple(_curve(found, positions, known, centres, widths, gate)),
        gate=gate,
    )


def localised(tracks: Path, truth: Path, confidence: float | None = None) -> Localisation:
    """Measure the positions in a file of tracks against the truth of a set of particles.

    Args:
        tracks: see `positions.read_positions`.
        truth: the boxes; what is known of the particles lies beside it.
        confidence: least of a row of tracks that counts; every row does by default.

    Raises:
        UserError: as `localisation`, or a file cannot be read.
    """
    particles = KnownParticles.read(truth.with_suffix(".json"))
    view = particles.spec.view
    found, spread = read_positions(tracks).kept(confidence)
    return localisation(found, read_rows(truth), particles, size=(view, view), spread=spread)


def centres_of(table: BoxTable) -> np.ndarray:
    """float64 [R, 2] x, y of the rows of a table, in pixels."""
    return table.boxes[:, :2] + table.boxes[:, 2:] / 2


def isolated(
    frames: np.ndarray, centres: np.ndarray, widths: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Bool [R]: spots that stand alone.

    Args:
        frames: int64 [R], ascending.
        centres: [R, 2] x, y in pixels.
        widths: [R] standard deviations of the spots, in pixels.
        size: height and width of the view.
    """
    height, width = size
    far = np.array([width, height]) - _INSIDE * widths[:, None]
    inside = (centres >= _INSIDE * widths[:, None]) & (centres <= far)
    alone: np.ndarray = inside[:, 0] & inside[:, 1]
    for begin, end in _runs(frames):
        here, wide = centres[begin:end], widths[begin:end]
        near = cKDTree(here).query_pairs(2 * _APART * wide.max(), output_type="ndarray")
        apart = np.linalg.norm(here[near[:, 0]] - here[near[:, 1]], axis=1)
        close = near[apart < _APART * wide[near].sum(axis=1)]
        alone[begin + close.ravel()] = False
    return alone


def matched(found: BoxTable, known: BoxTable, gate: float) -> Matches:
    """Pair tracks with spots in focus; `known` has those that are ignored, too."""
    widths = known.boxes[:, 2] / BOX_WIDTHS
    places = centres_of(found), centres_of(known)
    return _matched(found.frames, places[0], known.frames, places[1], known.ignored, gate, widths)


def _matched(
    found_frames: np.ndarray,
    positions: np.ndarray,
    known_frames: np.ndarray,
    centres: np.ndarray,
    ignored: np.ndarray,
    gate: float,
    widths: np.ndarray,
) -> Matches:
    """Pair rows frame by frame; frames ascend in both."""
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    aside = [np.empty(0, np.int64)]
    for begin, end in _runs(known_frames):
        first, last = np.searchsorted(found_frames, (known_frames[begin], known_frames[begin] + 1))
        rows = np.arange(begin, end)
        counted, blurred = rows[~ignored[rows]], rows[ignored[rows]]
        if first == last:
            continue
        tree = cKDTree(positions[first:last])
        near = tree.query_ball_point(centres[counted], gate) if len(counted) else []
        which = np.repeat(np.arange(len(counted)), [len(each) for each in near])
        column = np.array([n for each in near for n in each], dtype=np.int64)
        apart = np.linalg.norm(positions[first + column] - centres[counted[which]], axis=1)
        chosen = match_within(which, column, apart, gate)
        taken = first + column[chosen]
        pairs.append((taken, counted[which[chosen]]))
        if len(blurred):
            reach = np.maximum(gate, GATE * widths[blurred])
            excused = tree.query_ball_point(centres[blurred], reach)
            over = np.unique(np.array([n for each in excused for n in each], dtype=np.int64))
            aside.append(np.setdiff1d(first + over, taken))
    nothing = np.empty(0, dtype=np.int64)
    ours, theirs = (np.concatenate([nothing, *(pair[side] for pair in pairs)]) for side in (0, 1))
    return Matches(ours, theirs, np.concatenate(aside))


def _runs(frames: np.ndarray) -> list[tuple[int, int]]:
    """Begin and end of the rows of each frame, of frames that ascend."""
    begins = np.flatnonzero(np.diff(frames, prepend=frames[:1] - 1))
    return list(zip(begins.tolist(), [*begins[1:].tolist(), len(frames)], strict=True))


def _errors(
    errors: np.ndarray, bounds: np.ndarray, stated: np.ndarray | None, chosen: np.ndarray
) -> Errors:
    errors, bounds = errors[chosen], bounds[chosen]
    if not len(errors):
        nothing = np.full(2, np.nan)
        return Errors(0, nothing, nothing, nothing, nothing, None, None)
    coverage = z_spread = None
    if stated is not None:
        z = errors / np.maximum(stated[chosen], 1e-9)
        z = z[np.isfinite(z)]
    if stated is not None and len(z):
        coverage = float((np.abs(z) <= _NINETY).mean())
        z_spread = float(np.sqrt(np.square(z).mean()))
    return Errors(
        count=len(errors),
        rms=np.sqrt(np.square(errors).mean(0)),
        bias=errors.mean(0),
        spread=1.4826 * np.median(np.abs(errors - np.median(errors, 0)), 0),
        bound=np.sqrt(np.square(bounds).mean(0)),
        coverage=coverage,
        z_spread=z_spread,
    )


def _curve(
    found: BoxTable,
    positions: np.ndarray,
    known: BoxTable,
    centres: np.ndarray,
    widths: np.ndarray,
    gate: float,
) -> list[OperatingPoint]:
    """Precision and recall above thresholds that leave ever fewer rows."""
    shares = np.linspace(0, 1, _THRESHOLDS, endpoint=False)
    wanted = int((~known.ignored).sum())
    curve = []
    for threshold in np.unique(np.quantile(found.confidence, shares, method="higher")):
        kept = found.confidence >= threshold
        hits = _matched(
            found.frames[kept], positions[kept], known.frames, centres, known.ignored, gate, widths
        )
        judged = int(kept.sum()) - len(hits.aside)
        right = len(hits.found)
        curve.append(OperatingPoint(float(threshold), right / max(judged, 1), right / wanted))
    return curve
