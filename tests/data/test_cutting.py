"""Parts of recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import CommandLine

from scalor_ppl.data import load_video


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Six frames of noise, 20 wide and 12 high, with two boxes; one is to be ignored in frame 2."""
    folder = tmp_path / "whole"
    (folder / "img1").mkdir(parents=True)
    (folder / "gt").mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        frame = rng.integers(0, 256, (12, 20, 3), dtype=np.uint8)
        Image.fromarray(frame).save(folder / "img1" / f"{number}.png")
    rows = [f"{t + 1},1,{4 + t},3,4,4,{int(t != 2)}\n{t + 1},2,15,8,4,4,1\n" for t in range(6)]
    (folder / "gt" / "gt.txt").write_text("".join(rows))
    return folder


def test_a_part_has_the_same_pixels_and_moved_boxes(
    cli: CommandLine, recording: Path, tmp_path: Path
) -> None:
    out = tmp_path / "part"
    region = ("--region", "3,2,10,8", "--start", "1", "--stop", "5")
    said = cli("data", "cut", str(recording), *region, "--out", str(out))
    assert said.code == 0, said.err
    assert "4 frames" in said.out
    whole, part = load_video(recording), load_video(out)
    assert np.array_equal(part.video, whole.video[1:5, 2:10, 3:13])
    assert part.truth is not None
    assert part.truth.ids.tolist() == [1]
    assert part.truth.boxes[:, 0, 0].tolist() == [2, 3, 4, 5]
    assert part.truth.ignored is not None
    assert part.truth.ignored[:, 0].tolist() == [False, True, False, False]


def test_what_cannot_be_cut(cli: CommandLine, recording: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "part")
    for region, message in (("15,0,10,5", "does not lie"), ("1,2,3", "give left, top")):
        said = cli("data", "cut", str(recording), "--region", region, "--out", out)
        assert said.code == 2
        assert message in said.err
        assert not Path(out).exists()
    said = cli("data", "cut", str(recording), "--region", "0,0,4,4", "--out", str(recording))
    assert said.code == 2
    assert "choose another --out" in said.err
