"""Rates from a frame a month to a million frames a second."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from scalor_ppl.data import probe
from scalor_ppl.data.lossless import encode
from scalor_ppl.results.rates import frame_rate
from scalor_ppl.results.video import write_gif, write_mp4

DAY = 86400


@pytest.mark.parametrize(
    ("fps", "fraction"),
    [
        (24, Fraction(24)),
        (29.97002997002997, Fraction(30000, 1001)),
        (0.5, Fraction(1, 2)),
        (1 / 3600, Fraction(1, 3600)),
        (1 / 1800.5, Fraction(2, 3601)),
        (1 / (30 * DAY), Fraction(1, 30 * DAY)),
        (1e6, Fraction(10**6)),
        (1e-12, Fraction(1, 2**31 - 1)),
    ],
)
def test_rates_in_use_are_exact(fps: float, fraction: Fraction) -> None:
    assert frame_rate(fps) == fraction


def test_any_rate_is_near_and_fits_into_32_bits() -> None:
    for fps in 10 ** np.random.default_rng(0).uniform(-9, 9, 2000):
        found = frame_rate(float(fps))
        assert abs(float(found) / fps - 1) < 1e-3
        assert max(found.numerator, found.denominator) < 2**31
    for fps in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="above 0"):
            frame_rate(fps)


@pytest.mark.parametrize("rate", [1 / (7 * DAY), 1 / 3600, 1 / 1800, 0.3, 30000 / 1001, 500.0])
def test_a_lossless_video_keeps_its_rate(tmp_path: Path, rate: float) -> None:
    frames = [np.full((8, 8, 1), n, np.uint8) for n in range(5)]
    assert encode(tmp_path / "a.mkv", frames, rate) == 5
    assert probe(tmp_path / "a.mkv").fps == pytest.approx(rate, rel=1e-3)


def test_slow_clips_can_be_written(tmp_path: Path) -> None:
    frames = np.zeros((3, 8, 8, 1), np.uint8)
    frames[1] = 200
    write_mp4(tmp_path / "a.mp4", frames, 1 / 60)
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert float(file.streams.video[0].average_rate or 0) == pytest.approx(1 / 60)
    write_gif(tmp_path / "a.gif", frames, 1 / 3600)
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.info["duration"] == 655350  # as long as a gif can
