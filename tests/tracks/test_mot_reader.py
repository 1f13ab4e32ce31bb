"""Files of boxes as they are in use: what differs from the format is read and said, or refused."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.files import paired, score_pair
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.mot import read_mot
from scalor_ppl.tracks.mot_reader import read_rows

PLAIN = "1,3,10.5,20,5,6,0.5,-1,-1,-1\n2,3,11.5,20,5,6,0.5,-1,-1,-1\n2,7,1,2,3,4,0.5,-1,-1,-1\n"


def read(folder: Path, text: str | bytes) -> BoxTable:
    path = folder / "rows.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_rows(path)


def spaced(text: str, separator: str) -> str:
    return text.replace(",", separator)


@pytest.mark.parametrize(
    ("text", "noted"),
    [
        (PLAIN, ""),
        (PLAIN.rstrip("\n"), ""),
        (PLAIN.replace(",", ", "), ""),
        (spaced(PLAIN, " "), "spaces between the columns"),
        (spaced(PLAIN, "   "), "spaces between the columns"),
        (spaced(PLAIN, "\t"), "tabs between the columns"),
        (spaced(PLAIN, ";"), "semicolons between the columns"),
        (spaced(PLAIN, ";").replace(".", ","), "decimal commas; semicolons between the columns"),
        (spaced(PLAIN, " ").replace(".", ","), "decimal commas; spaces between the columns"),
        ("\ufeff" + PLAIN, "a byte-order mark"),
        (("\ufeff" + PLAIN).encode("utf-16-le"), "a byte-order mark"),
        (PLAIN.replace("\n", "\r\n"), "line ends of other systems"),
        (PLAIN.replace("\n", "\r"), "line ends of other systems"),
        (PLAIN.replace("\n", ",\n"), "a separator at the end of lines"),
        (f"# boxes\n\n{PLAIN}// end\n% end\n", "3 lines of comment"),
        ("# Gr\xf6\xdfe\n".encode("latin-1") + PLAIN.encode(), "1 line of comment"),
        (
            "frame,id,bb_left,bb_top,bb_width,bb_height,conf,x,y,z\n" + PLAIN,
            "headings (frame, id, bb_left, bb_top, bb_width, bb_height, conf)",
        ),
        (
            "# frame id x y w h score a b c\n" + spaced(PLAIN, " "),
            "1 line of comment; headings (frame, id, x, y, w, h, score); spaces between",
        ),
        (PLAIN.replace("-1,-1,-1", "car,-1,0.3"), "words after the seventh column (a class?)"),
        (PLAIN.replace(",3,", ",3.0,").replace("2,7", "2.000e+00,7.0"), ""),
    ],
)
def test_what_differs_from_the_format_is_read_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str | bytes, noted: str
) -> None:
    table = read(tmp_path, text)
    assert table.frames.tolist() == [0, 1, 1]
    assert table.labels == (3, 7)
    assert table.objects.tolist() == [0, 0, 1]
    assert table.boxes.tolist() == [[10.5, 20, 5, 6], [11.5, 20, 5, 6], [1, 2, 3, 4]]
    assert table.confidence.tolist() == [0.5] * 3
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == bool(noted)
    assert noted in "".join(said)


def test_headings_say_which_column_is_which(tmp_path: Path) -> None:
    table = read(tmp_path, "id,score,h,w,y,x,frame\n7,0.25,4,3,2,1,5\n")
    assert (table.frames.tolist(), table.labels) == ([4], (7,))
    assert (table.boxes.tolist(), table.confidence.tolist()) == ([[1, 2, 3, 4]], [0.25])
    with pytest.raises(UserError, match=r"line 1 .*the headings have no left, top, width, height"):
        read(tmp_path, "frame,id,x1,y1,x2,y2\n1,1,1,1,2,2\n")


def test_frames_count_from_0_where_there_is_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = read(tmp_path, "0,0,1,2,3,4\n5,0,1,2,3,4\n")
    assert (table.frames.tolist(), table.labels, table.counted_from) == ([0, 5], (0,), 0)
    assert "frames count from 0; ids count from 0" in caplog.text
    assert read_mot(tmp_path / "rows.txt").ids[:, 0].tolist() == [0, -1, -1, -1, -1, 0]
    # As `track` writes CSV: no frame 0 has to be there.
    ours = "frame,id,left,top,width,height,presence,discovered,depth,x,y\n"
    assert read(tmp_path, f"{ours}5,0,1,2,3,4,0.9,True,1,2,4\n").frames.tolist() == [5]


def test_a_confidence_that_nobody_states_is_1(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ("1,1,1,2,3,4", "2,1,1,2,3,4,-1", "3,1,1,2,3,4,,5", "4,1,1,2,3,4,car", "5,1,1,2,3,4,0")
    assert read(tmp_path, "\n".join(rows)).confidence.tolist() == [1, 1, 1, 1, 0]
    assert "a word for the confidence ('car'), which is taken as 1" in caplog.text


def test_ids_are_exact_whatever_their_size(tmp_path: Path) -> None:
    large = (2**53, 2**53 + 1, 2**63, 2**64 - 1, 10**30)
    text = "".join(f"{t},{number},{t},2,3,4\n" for t in (1, 2) for number in large)
    table = read(tmp_path, text)
    assert table.labels == large
    assert table.objects.tolist() == [0, 1, 2, 3, 4] * 2
    assert table.ids.tolist() == [0, 1, 2, 3, 4]  # they do not all fit
    assert read_mot(tmp_path / "rows.txt").ids.tolist() == [[0, 1, 2, 3, 4]] * 2
    path = tmp_path / "rows.txt"
    scores = score_pair(paired(path, path))
    assert [each.mota for each in scores.values()] == [1, 1]
    assert scores["centre"].objects == 10


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1.5,1,1,2,3,4", "the frame 1.5 is no whole number"),
        ("1,2.5,1,2,3,4", "the id 2.5 is no whole number"),
        ("1,1,1,2,3", None),
        ("1,1_0,1,2,3,4", None),
        ("1,1,1_0,2,3,4", None),
        ("1,one,1,2,3,4", None),
        ("nan,1,1,2,3,4", None),
        ("1,inf,1,2,3,4", None),
        ("1,1e999999999,1,2,3,4", "more than 100 digits"),
        (f"{2**64},1,1,2,3,4", "frames count from 0 or 1"),
        ("-1,1,1,2,3,4", "frame -1, but frames count from 0 or 1"),
        *(
            (",".join(("1", "1", *(value if n == k else "5" for k in range(4)))), "finite")
            for value in ("nan", "inf", "-inf", "1e300")
            for n in range(4)
        ),
        ("1,1,1,2,-3,4", "negative size, -3 x 4"),
        ("1,1,1,2,3,-4", "negative size, 3 x -4"),
        ("1,1,1,2,3,4,nan", "the confidence nan is no number"),
        ("0 0 Car 0 0 -1.57 296 161 455 292", None),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_what_can_be_mistaken_is_refused(
    tmp_path: Path, line: str, reason: str | None, first: bool
) -> None:
    text = f"{line}\n{PLAIN}" if first else f"{PLAIN}\n{line}\n"
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert f"rows.txt, line {1 if first else 5} is not frame,id,left,top,width,height" in message
    assert reason is None or reason in message
    assert line[:60] in message


def test_twice_in_a_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 4: id 3 is twice in frame 2"):
        read(tmp_path, f"{PLAIN}2,3,9,9,9,9\n1,8,1,2,3,4\n")
    with pytest.raises(UserError, match="id -1 is twice in frame 1"):
        read(tmp_path, "1,-1,1,2,3,4\n1,-1,9,2,3,4\n")


@pytest.mark.parametrize("text", ["", "\n \n", "# nothing\n"])
def test_a_file_without_rows_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    assert len(read(tmp_path, text)) == 0
    assert "no rows" in caplog.text
    full = tmp_path / "truth.txt"
    full.write_text(PLAIN)
    scores = score_pair(paired(tmp_path / "rows.txt", full))
    assert (scores["centre"].objects, scores["centre"].recall) == (3, 0)
    with pytest.raises(UserError, match=r"rows\.txt has no boxes that count"):
        paired(full, tmp_path / "rows.txt")


def test_the_logger_is_that_of_the_library(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read(tmp_path, "")
    (record,) = caplog.records
    assert record.name.startswith("scalor_ppl.")
    assert record.levelno == logging.WARNING


def test_times_for_frames_take_no_table(tmp_path: Path) -> None:
    table = read(tmp_path, "".join(f"{1700000000000 + 40 * t},1,{t},5,9,9\n" for t in range(3)))
    assert np.diff(table.frames).tolist() == [40, 40]
    with pytest.raises(UserError, match="if these are times, number the frames from 1"):
        read_mot(tmp_path / "rows.txt")


@pytest.mark.parametrize(
    ("first", "said"), [(0, "count from 0"), (1, ""), (7, "of frame 7: taken")]
)
def test_how_frames_are_counted_is_said_where_the_rows_do_not_tell(
    first: int, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{first},1,1,2,3,4\n{first + 1},1,1,2,3,4\n")
    table = read_rows(path)
    assert table.frames.tolist() == [max(0, first - 1), max(1, first)]
    assert (said in caplog.text) if said else not caplog.text
