"""Scores of a file of tracks against a file of ground truth, both MOTChallenge rows."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scalor_ppl.data.region import Region
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.counting import PropagationSums, propagation_of_rows
from scalor_ppl.evaluation.scores import Scores, evaluate_tables
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.mot_reader import read_rows

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """Tracks and ground truth of the same frames.

    Attributes:
        found: predictions; frame 0 is the first of `frames`.
        known: ground truth, likewise.
        frames: which frames of the files, from 0.
        origins: how the predictions came to be.
    """

    found: BoxTable
    known: BoxTable
    frames: range
    origins: PropagationSums


def paired(
    tracks: Path,
    truth: Path,
    *,
    frames: range | None = None,
    ignore: Region | None = None,
    count_ignored: bool = False,
    confidence: float | None = None,
) -> Pair:
    """Read tracks and ground truth of the same frames.

    Every box counts: the format does not say how much of an object is in view.

    Args:
        tracks: predictions.
        truth: ground truth. Rows with confidence 0 are neither hits nor misses, and what finds them
            is no error.
        frames: which frames, from 0; from the first to the last row of either file by default.
        ignore: objects and predictions whose centre lies there are left out.
        count_ignored: rows with confidence 0 count like all others.
        confidence: predictions of less are left out; none are by default.

    Raises:
        UserError: a file cannot be read, the truth holds nothing in these frames, or the files have
            no frame in common.
    """
    found, known = read_rows(tracks), read_rows(truth)
    if confidence is not None:
        found = found.kept(found.confidence >= confidence)
    if frames is None:
        _check_common(found, known, tracks, truth)
        every = np.concatenate((found.frames, known.frames))
        frames = range(int(every.min()), int(every.max()) + 1) if len(every) else range(0)
    if found.counted_from != known.counted_from and len(found) and len(known):
        _LOG.warning(
            "%s counts frames from %d, %s from %d: the first frame of both is taken for the same",
            *(tracks, found.counted_from, truth, known.counted_from),
        )
    discovered = found.first_rows()
    during = (found.frames >= frames.start) & (found.frames < frames.stop)
    if ignore is not None:
        during &= ~ignore.holds(found.boxes)
        known = known.kept(~ignore.holds(known.boxes))
    found, discovered = found.kept(during), discovered[during]
    found = replace(found, frames=found.frames - frames.start)
    known = known.during(frames.start, frames.stop)
    if count_ignored:
        known = replace(known, confidence=np.ones(len(known)))
    if known.ignored.all():
        where = f" in frames {frames.start + 1} to {frames.stop}" if frames else ""
        raise UserError(f"{truth} has no boxes that count{where}")
    _tell_of_strides(found, known, tracks)
    return Pair(found, known, frames, propagation_of_rows(found, discovered, 0))


def score_pair(pair: Pair, distance: float | None = None) -> dict[str, Scores]:
    """Score by centre distance and by box IoU of at least a half.

    Args:
        pair: predictions and ground truth.
        distance: gate of the centres, in pixels; twice the mean side of a true box by default.

    Returns:
        Scores of the rules ``centre`` and ``iou``.

    Raises:
        UserError: no distance, and true boxes have no size.
    """
    if distance is None and not pair.known.object_size > 0:
        raise UserError("the true boxes are points: give the gate of the centres, --distance")
    rows = pair.found, pair.known, pair.origins
    return {
        "centre": evaluate_tables(*rows, frames=len(pair.frames), distance=distance),
        "iou": evaluate_tables(*rows, frames=len(pair.frames), match="iou"),
    }


def _check_common(found: BoxTable, known: BoxTable, tracks: Path, truth: Path) -> None:
    """Refuse files of different frames: nothing would be found, for no fault of the tracker's."""
    if not (len(found) and len(known)) or np.isin(found.frames, known.frames).any():
        return
    raise UserError(
        f"{tracks} has {_span(found)}, {truth} has {_span(known)}, and none in common: number them "
        "alike, or choose the frames to score with --frames"
    )


def _span(table: BoxTable) -> str:
    first, last = (int(table.frames[n]) + table.counted_from for n in (0, -1))
    return f"frames {first} to {last}"


def _tell_of_strides(found: BoxTable, known: BoxTable, tracks: Path) -> None:
    """Note that every second frame was tracked, say: the others count as missed."""
    stride, other = (stride_of(each.frames) for each in (found, known))
    if stride > 1 and stride != other:
        _LOG.warning(
            "%s has rows in every %s frame only: objects in the frames between count as missed",
            *(tracks, "second" if stride == 2 else f"{stride}th"),
        )


def stride_of(frames: np.ndarray) -> int:
    """The largest number that all distances between frames are multiples of; 0 of one frame.

    Args:
        frames: int64 [R], ascending.
    """
    steps = np.diff(frames)
    return int(np.gcd.reduce(steps)) if len(steps) else 0
