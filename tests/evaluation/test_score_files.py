"""Files of tracks scored against files of ground truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny import CommandLine

from scalor_ppl.data.region import Region
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.clear import MISSED, followers
from scalor_ppl.evaluation.files import paired, score_pair
from scalor_ppl.evaluation.frames import scored_tables
from scalor_ppl.evaluation.scores import Scores

TRUTH = """1,1,10,10,10,20,1,-1,-1,-1
2,1,12,10,10,20,1,-1,-1,-1
2,2,50,50,10,20,1,-1,-1,-1
3,1,14,10,10,20,1,-1,-1,-1
3,2,52,50,10,20,1,-1,-1,-1
3,3,80,80,10,10,0,-1,-1,-1
"""
# Object 1 is found 3 pixels off and swaps its id; object 2 is missed once; one is wrong, and one is
# found that is to be ignored.
FOUND = """1,7,13,10,10,20,0.9,-1,-1,-1
2,7,15,10,10,20,0.9,-1,-1,-1
2,8,50,50,10,20,0.9,-1,-1,-1
3,9,17,10,10,20,0.9,-1,-1,-1
3,5,80,80,10,10,0.4,-1,-1,-1
3,6,20,90,10,10,0.4,-1,-1,-1
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    found, truth = tmp_path / "found.txt", tmp_path / "truth.txt"
    found.write_text(FOUND)
    truth.write_text(TRUTH)
    return found, truth


def score_files(
    found: Path, truth: Path, distance: float | None = None, **options: Any
) -> dict[str, Scores]:
    return score_pair(paired(found, truth, **options), distance)


def test_events_by_hand(files: tuple[Path, Path]) -> None:
    scores = score_files(*files, distance=3.0)["centre"]
    assert (scores.objects, scores.misses, scores.false_positives, scores.id_switches) == (
        5,
        1,
        1,
        1,
    )
    assert scores.mota == pytest.approx(1 - 3 / 5)
    assert scores.motp == pytest.approx(9 / 4)
    strict = score_files(*files, distance=2.9)["centre"]
    assert strict.matches == 1
    # IoU of boxes shifted by 3 of 10 pixels is 7 / 13.
    assert score_files(*files)["iou"].matches == 4


def test_what_is_to_be_ignored_is_neither_hit_nor_miss(files: tuple[Path, Path]) -> None:
    found, truth = files
    aside = score_files(found, truth, distance=3.0)["centre"]
    # The box at 80, 80 lies on what is ignored.
    assert (aside.objects, aside.false_positives, aside.misses) == (5, 1, 1)
    every = score_files(found, truth, distance=3.0, count_ignored=True)["centre"]
    assert (every.objects, every.false_positives, every.misses) == (6, 1, 1)
    # Not found, it is no miss.
    found.write_text(FOUND.replace("3,5,80,80,10,10,0.4,-1,-1,-1\n", ""))
    again = score_files(found, truth, distance=3.0)["centre"]
    assert again.mota == pytest.approx(aside.mota)
    assert score_files(found, truth, distance=3.0, count_ignored=True)["centre"].misses == 2
    # An error beside it is an error.
    found.write_text(FOUND.replace("80,80,10", "70,80,10"))
    assert score_files(found, truth, distance=3.0)["centre"].false_positives == 2


def test_a_truth_in_which_nothing_counts(cli: CommandLine, files: tuple[Path, Path]) -> None:
    found, truth = map(str, files)
    files[1].write_text("1,1,10,10,10,20,0\n2,-1,10,10,10,20,0\n")
    said = cli("score", found, truth)
    assert said.code == 2
    assert "no boxes that count" in said.err
    said = cli("score", found, truth, "--count-ignored")
    assert said.code == 0, said.err


def test_frames_and_regions_are_cut_out(files: tuple[Path, Path]) -> None:
    scores = score_files(*files, distance=3.0, frames=range(1, 2))["centre"]
    assert (scores.frames, scores.objects, scores.matches) == (1, 2, 2)
    region = Region(40, 40, 60, 60)
    scores = score_files(*files, distance=3.0, ignore=region)["centre"]
    assert (scores.objects, scores.matches, scores.false_positives) == (3, 3, 1)
    beyond = score_files(*files, frames=range(2, 6))["centre"]
    assert beyond.frames == 4
    with pytest.raises(UserError, match="no boxes that count in frames 7 to 9"):
        score_files(*files, frames=range(6, 9))


@pytest.mark.parametrize(
    "line",
    ["one,1,2,2,3,3,1", "4", "inf,1,2,2,3,3,1", "4,1,2,2", "4,1,nan,2,3,3,1"],
)
@pytest.mark.parametrize("which", [0, 1])
def test_a_malformed_line_is_named(
    cli: CommandLine, files: tuple[Path, Path], which: int, line: str
) -> None:
    wrong = files[which]
    wrong.write_text(f"1,1,10,10,10,20,1\n\n{line}\n2,1,10,10,10,20,1\n")
    said = cli("score", *map(str, files))
    assert said.code == 2
    assert f"{wrong.name}, line 3 is not" in said.err
    assert repr(line) in said.err


def test_truth_that_is_not_there_is_named(files: tuple[Path, Path]) -> None:
    found, truth = files
    truth.unlink()
    with pytest.raises(UserError, match=r"no such file: .*truth\.txt"):
        score_files(found, truth)


def test_who_is_followed_by_whom(files: tuple[Path, Path]) -> None:
    pair = paired(*files)
    assert (pair.known.labels, pair.found.labels) == ((1, 2, 3), (5, 6, 7, 8, 9))
    followed = followers(scored_tables(pair.found, pair.known, limit=3.0))
    numbers = [
        {
            pair.known.labels[n]: MISSED if k == MISSED else pair.found.labels[k]
            for n, k in zip(*each, strict=True)
        }
        for each in followed
    ]
    assert numbers == [{1: 7}, {1: 7, 2: 8}, {1: 9, 2: MISSED}]


def test_the_command(cli: CommandLine, files: tuple[Path, Path], tmp_path: Path) -> None:
    found, truth = map(str, files)
    out = tmp_path / "scores.json"
    said = cli("score", found, truth, "--distance", "3", "--frames", "1-3", "--json", str(out))
    assert said.code == 0, said.err
    assert "0.400" in said.out
    picture = tmp_path / "identities.png"
    files[1].write_text(f"{TRUTH}2,-1,30,30,5,5,0,-1,-1,-1\n")  # one of no number, to be ignored
    chosen = ("--distance", "3", "--frames", "2-3")
    said = cli("score", found, truth, *chosen, "--figure", str(picture))
    assert said.code == 0, said.err
    assert "end it in" in cli("score", found, truth, "--figure", "who.txt").err
    with Image.open(picture) as image:
        assert min(image.size) > 500
    assert json.loads(out.read_text())["centre"]["id_switches"] == 1
    for wrong in (("--frames", "0-3"), ("--frames", "x"), ("--ignore", "1,2,3")):
        said = cli("score", found, truth, *wrong)
        assert said.code == 2
        assert wrong[0] in said.err
    said = cli("score", str(tmp_path / "none.txt"), truth)
    assert said.code == 2
    assert "no such file" in said.err


def test_confidence_is_asked_for(
    cli: CommandLine, files: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "scores.json"
    for least, predictions in ((None, 5), ("0.4", 5), ("0.5", 4), ("0.95", 0)):
        options = () if least is None else ("--confidence", least)
        said = cli("score", *files, "--distance", "3", "--json", out, *options)
        assert said.code == 0, said.err
        # One of less than 0.5 finds what is to be ignored, and is set aside.
        scores = json.loads(out.read_text())["centre"]
        assert scores["predictions"] + scores["set_aside"] == predictions + (least in (None, "0.4"))


def test_files_of_different_frames_are_refused(files: tuple[Path, Path]) -> None:
    found, truth = files
    found.write_text("".join(f"{t},1,1,2,3,4,1\n" for t in range(11, 14)))
    with pytest.raises(
        UserError, match=r"frames 11 to 13, .*truth\.txt has frames 1 to 3, and none"
    ):
        paired(found, truth)


def test_what_is_counted_otherwise_is_said(
    files: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    found, truth = files
    truth.write_text("".join(f"{t},1,{t},2,3,4,1\n" for t in range(1, 21)))
    found.write_text("".join(f"{t},1,{t + 1},2,3,4,1\n" for t in range(0, 20, 2)))
    scores = score_files(found, truth)["centre"]
    assert (scores.frames, scores.objects, scores.matches, scores.motp) == (20, 20, 10, 0)
    assert "found.txt counts frames from 0, " in caplog.text
    assert "found.txt has rows in every second frame only" in caplog.text


def test_points_have_no_size_to_gate_by(files: tuple[Path, Path]) -> None:
    found, truth = files
    for path in files:
        path.write_text("1,1,5,5,0,0,1\n")
    with pytest.raises(UserError, match=r"true boxes are points: give the gate .*--distance"):
        score_files(found, truth)
    assert score_files(found, truth, distance=1.0)["centre"].matches == 1


def test_frames_begin_where_either_file_does(files: tuple[Path, Path]) -> None:
    found, truth = files
    truth.write_text("".join(f"{t},1,{t},2,3,4,1\n" for t in range(101, 111)))
    found.write_text("".join(f"{t},1,{t},2,3,4,1\n" for t in range(101, 111)))
    scores = score_files(found, truth)["centre"]
    assert (scores.frames, scores.mota, scores.propagation_rate) == (10, 1, 1)
