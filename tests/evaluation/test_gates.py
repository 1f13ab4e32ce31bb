"""The gate is inside, wherever in the frame boxes lie: rounding decides nothing."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from scalor_ppl.data.records import Truth
from scalor_ppl.evaluation import evaluate_tracks
from scalor_ppl.evaluation.association import ALPHAS, hota
from scalor_ppl.evaluation.files import paired, score_pair
from scalor_ppl.evaluation.frames import scored_clip
from scalor_ppl.tracks.table import Tracks

PLACES = np.random.default_rng(0).uniform(0, 4000, 400).round(3)


def moved(sides: float, iou: Fraction) -> float:
    """How far a square moves along an axis until its IoU with itself is this."""
    # shared / (2 - shared) = iou
    return sides * float(1 - 2 * iou / (1 + iou))


def score_of(tmp_path: Path, true: list[str], found: list[str], **options: float) -> list[int]:
    names = tmp_path / "true.txt", tmp_path / "found.txt"
    for path, rows in zip(names, (true, found), strict=True):
        path.write_text("\n".join(f"{n + 1},1,{row}" for n, row in enumerate(rows)))
    scores = score_pair(paired(names[1], names[0]), options.get("distance"))
    return [scores[rule].matches for rule in ("centre", "iou")]


def test_a_box_of_half_the_area_matches_everywhere(tmp_path: Path) -> None:
    """A box inside another of twice its area, at places with three decimals."""
    true = [f"{x:.3f},{x:.3f},9.300,4.700" for x in PLACES]
    half = [f"{x:.3f},{x:.3f},4.650,4.700" for x in PLACES]
    assert score_of(tmp_path, true, half)[1] == len(PLACES)
    less = [f"{x:.3f},{x:.3f},4.649,4.700" for x in PLACES]
    assert score_of(tmp_path, true, less)[1] == 0


def test_a_shift_by_a_third_matches_everywhere(tmp_path: Path) -> None:
    true = [f"{x:.3f},7.100,0.300,5.300" for x in PLACES]
    third = [f"{x + 0.1:.3f},7.100,0.300,5.300" for x in PLACES]
    assert score_of(tmp_path, true, third)[1] == len(PLACES)
    beyond = [f"{x + 0.101:.3f},7.100,0.300,5.300" for x in PLACES]
    assert score_of(tmp_path, true, beyond)[1] == 0


def test_a_centre_at_the_gate_matches_everywhere(tmp_path: Path) -> None:
    true = [f"{x:.3f},{2 * x:.3f},4,4" for x in PLACES]
    found = [f"{x + 0.3:.3f},{2 * x + 0.4:.3f},4,4" for x in PLACES]
    assert score_of(tmp_path, true, found, distance=0.5)[0] == len(PLACES)
    assert score_of(tmp_path, true, found, distance=0.4999)[0] == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("step", range(1, 20))
def test_every_similarity_of_hota_is_inside(dtype: type, step: int) -> None:
    iou = Fraction(step, 20)
    places = np.linspace(0.1, 900.1, 60)
    boxes = np.stack((places, places, np.full(60, 20.0), np.full(60, 20.0)), -1)
    found = boxes + np.array((moved(20.0, iou), 0, 0, 0))
    ids = np.zeros((60, 1), np.int64)
    sure, first = np.ones((60, 1)), np.zeros((60, 1), bool)
    tracks = Tracks(ids, found[:, None].astype(dtype), sure, first)
    truth = Truth(np.array([0]), boxes[:, None].astype(dtype), sure, None, 20.0)
    counts = hota(scored_clip(tracks, truth, limit=0.5, match="iou"))
    assert counts.matches.tolist() == [60.0 * (n < step) for n in range(len(ALPHAS))]
    scores = evaluate_tracks([tracks], [truth], match="iou")
    assert scores.matches == (60 if step >= 10 else 0)
