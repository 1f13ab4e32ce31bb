"""Boxes stay with their images: the number in a file's name decides."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import CommandLine

from scalor_ppl.data import SourceOptions, load_video, open_source
from scalor_ppl.data.frames import find_sequence
from scalor_ppl.data.truth import tell_of_places
from scalor_ppl.errors import UserError

LENGTH = 12


def make(folder: Path, names: dict[int, str], rows: list[str]) -> Path:
    """Images in which a white column tells the frame, under these names by frame, and rows."""
    (folder / "img1").mkdir(parents=True)
    (folder / "gt").mkdir()
    for t, name in names.items():
        frame = np.zeros((8, 40), np.uint8)
        frame[:, 2 * t : 2 * t + 2] = 255
        Image.fromarray(frame).save(folder / "img1" / name)
    (folder / "gt" / "gt.txt").write_text("\n".join(rows))
    return folder


def rows_from(first: int, length: int = LENGTH) -> list[str]:
    return [f"{first + t},1,{2 * t},0,2,8,1" for t in range(length)]


def columns(video: np.ndarray) -> list[int]:
    return [int(np.flatnonzero(frame[0, :, 0])[0]) for frame in video]


def boxes_of(path: Path, options: SourceOptions | None = None) -> tuple[list[int], list[int]]:
    """Where the column is in each frame, and the left side of the box."""
    clip = load_video(path, options=options or SourceOptions())
    assert clip.truth is not None
    return columns(clip.video), clip.truth.boxes[:, 0, 0].astype(int).tolist()


@pytest.mark.parametrize(
    ("pattern", "first", "rows"),
    [
        ("{:06d}.png", 1, 1),
        ("{:06d}.png", 101, 101),
        ("{:06d}.png", 0, 0),
        ("frame{}.png", 0, 1),  # noted: one counts from 0, the other from 1
        ("frame{}.png", 1, 0),
        ("cam2_t{:03d}_640x480.png", 7, 7),
    ],
)
@pytest.mark.parametrize("missing", [(), (4,), (4, 5, 8)])
def test_boxes_stay_with_their_images(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    pattern: str,
    first: int,
    rows: int,
    missing: tuple[int, ...],
) -> None:
    names = {t: pattern.format(first + t) for t in range(LENGTH) if t not in missing}
    path = make(tmp_path / "seq", names, rows_from(rows))
    seen, lefts = boxes_of(path)
    assert seen == lefts == [2 * t for t in names]
    noted = "".join(
        record.getMessage() for record in caplog.records if "seq" in record.getMessage()
    )
    assert (f"seq: {len(missing)} images are missing" in noted) == bool(missing)
    assert (f"{len(missing)} of 12 boxes" in noted) == bool(missing)
    assert ("is taken for image" in noted) == (first in (0, 1) and first != rows)
    part = SourceOptions(start=2, stop=9, stride=3)
    seen, lefts = boxes_of(path, part)
    assert seen == lefts == [2 * t for t in list(names)[2:9:3]]


def test_a_part_keeps_boxes_with_images(cli: CommandLine, tmp_path: Path) -> None:
    names = {t: f"{t + 101:06d}.png" for t in range(LENGTH) if t not in (3, 4)}
    path = make(tmp_path / "seq", names, rows_from(101))
    out = tmp_path / "cut"
    said = cli("data", "cut", path, "--region", "0,0,40,8", "--start", "1", "--out", out)
    assert said.code == 0, said.err
    seen, lefts = boxes_of(out)
    assert seen == lefts == [2 * t for t in list(names)[1:]]
    assert "seq: 2 images are missing between the first and the last, the first after" in said.err


@pytest.mark.parametrize(
    ("names", "first", "message"),
    [
        (["1.png", "2.png"], 101, "has boxes of frames 101 to 112 only, of which seq has none"),
        (["101.png", "102.png"], 1, "has boxes of frames 1 to 12 only, of which seq has none"),
        (["1.png", "thumb.png"], 1, r"1\.png and thumb\.png are named differently"),
        (["a1.png", "b1.png"], 1, "have several numbers that change, or do not rise"),
        (["1_7.png", "2_9.png"], 1, "have several numbers that change"),
    ],
)
def test_what_cannot_be_told_is_refused(
    tmp_path: Path, names: list[str], first: int, message: str
) -> None:
    path = make(tmp_path / "seq", dict(enumerate(names)), rows_from(first))
    with pytest.raises(UserError, match=message):
        load_video(path)


def test_images_without_numbers_go_by_their_place(tmp_path: Path) -> None:
    path = make(tmp_path / "seq", dict(enumerate(("a.png", "b.png", "c.png"))), rows_from(1, 3))
    seen, lefts = boxes_of(path)
    assert seen == lefts == [0, 2, 4]


def test_a_link_to_nothing_is_no_image_less(tmp_path: Path) -> None:
    path = make(tmp_path / "seq", {t: f"{t + 1}.png" for t in range(3)}, rows_from(1, 3))
    (path / "img1" / "2.png").unlink()
    (path / "img1" / "2.png").symlink_to("gone.png")
    with pytest.raises(UserError, match=r"2\.png is a link to gone\.png, which is not there"):
        load_video(path)


def test_boxes_beyond_the_end_of_a_video_are_said(
    cli: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = make(tmp_path / "seq", {t: f"{t + 1}.png" for t in range(4)}, rows_from(1, 4))
    path = tmp_path / "cut"
    assert cli("data", "cut", images, "--region", "0,0,40,8", "--out", path).code == 0
    (path / "gt" / "gt.txt").write_text("\n".join(rows_from(1, 6)))
    seen, lefts = boxes_of(path)
    assert seen == lefts == [0, 2, 4, 6]
    assert "2 of 6 boxes, of frames 5 to 6, belong to frames that cut has not" in caplog.text
    (path / "gt" / "gt.txt").write_text("\n".join(rows_from(11, 3)))
    with pytest.raises(UserError, match="boxes of frames 11 to 13 only, of which cut has none"):
        load_video(path)


def test_a_clip_has_the_objects_that_occur_in_it(tmp_path: Path) -> None:
    """Objects that live for a frame each."""
    names = {t: f"{t + 1:06d}.png" for t in range(4)}
    rows = [f"{1 + t % 4},{t + 1},{t % 40},0,2,8,1" for t in range(400)]
    path = make(tmp_path / "seq", names, rows)
    clip = open_source(path).clip(1, 1)
    assert clip.truth is not None
    assert clip.truth.ids.tolist() == list(range(2, 401, 4))
    assert clip.truth.boxes.shape == (1, 100, 4)


@pytest.mark.parametrize(
    ("names", "noted"),
    [
        (["1.png", "2.png", "3.png"], ""),
        (["f0.png", "f1.png", "f2.png"], ""),
        (["a.png", "b.png"], ""),
        (["101.png", "102.png"], "the 2 images are numbered 101 to 102"),
        (["1.png", "3.png"], "numbered 1 to 3 in their names, .* 1.png is the first"),
        (["1_7.png", "2_9.png"], ""),
    ],
)
def test_who_counts_by_place_is_told_of_other_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str], noted: str
) -> None:
    tell_of_places(find_sequence(make(tmp_path / "seq", dict(enumerate(names)), [])))
    assert len(caplog.records) == bool(noted)
    assert re.search(noted, caplog.text)
