"""Scores of a file of tracks against a file of ground truth, both MOTChallenge rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from scalor_ppl.data.motchallenge import last_frame, read_boxes
from scalor_ppl.data.records import Truth
from scalor_ppl.data.region import Region
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.scores import Scores, evaluate_tracks
from scalor_ppl.tracks.mot import read_mot
from scalor_ppl.tracks.table import EMPTY, Tracks


def paired(
    tracks: Path,
    truth: Path,
    *,
    frames: range | None = None,
    ignore: Region | None = None,
    count_ignored: bool = False,
) -> tuple[Tracks, Truth]:
    """Read tracks and ground truth of the same frames.

    Every box counts: the format does not say how much of an object is in view.

    Args:
        tracks: predictions.
        truth: ground truth. Rows with confidence 0 are neither hits nor misses, and what finds them
            is no error.
        frames: which frames, from 0; from the first to the last of either file by default.
        ignore: objects and predictions whose centre lies there are left out.
        count_ignored: rows with confidence 0 count like all others.

    Raises:
        UserError: a file cannot be read, or the truth holds nothing in these frames.
    """
    found = read_mot(tracks)
    if frames is None:
        frames = range(max(found.frames, last_frame(truth)))
    boxes = read_boxes(truth, frames)
    found = _cut(found, frames)
    if ignore is not None:
        found = _without(found, ignore.holds(found.boxes))
        kept = np.where(ignore.holds(boxes.boxes)[..., None], np.nan, boxes.boxes)
        boxes = replace(boxes, boxes=kept)
    if count_ignored:
        boxes = replace(boxes, ignored=np.zeros_like(boxes.ignored))
    if not (np.isfinite(boxes.boxes[..., 0]) & ~boxes.ignored).any():
        raise UserError(
            f"{truth} has no boxes that count in frames {frames.start + 1} to {frames.stop}"
        )
    return found, Truth(
        ids=boxes.ids,
        boxes=boxes.boxes.astype(np.float32),
        visible=np.isfinite(boxes.boxes[..., 0]).astype(np.float32),
        masks=None,
        object_size=boxes.object_size,
        ignored=boxes.ignored,
    )


def score_pair(found: Tracks, known: Truth, distance: float | None = None) -> dict[str, Scores]:
    """Score by centre distance and by box IoU of at least a half.

    Args:
        found: predictions.
        known: ground truth of the same frames.
        distance: gate of the centres, in pixels; twice the mean side of a true box by default.

    Returns:
        Scores of the rules ``centre`` and ``iou``.
    """
    return {
        "centre": evaluate_tracks([found], [known], distance=distance, presence_threshold=0.0),
        "iou": evaluate_tracks([found], [known], match="iou", presence_threshold=0.0),
    }


def _cut(tracks: Tracks, frames: range) -> Tracks:
    """Some frames of the tracks; frames after the last one that has a row are empty."""
    missing = max(0, frames.stop - tracks.frames)

    def part(array: np.ndarray, empty: float) -> np.ndarray:
        width = [(0, missing)] + [(0, 0)] * (array.ndim - 1)
        return np.pad(array, width, constant_values=empty)[frames.start : frames.stop]

    return Tracks(
        part(tracks.ids, EMPTY),
        part(tracks.boxes, 0),
        part(tracks.presence, 0),
        part(tracks.discovered, 0),
    )


def _without(tracks: Tracks, left_out: np.ndarray) -> Tracks:
    """The tracks without some of the boxes ``[T, K]``."""
    ids = np.where(left_out, EMPTY, tracks.ids)
    return Tracks(ids, tracks.boxes, tracks.presence, tracks.discovered & ~left_out)
