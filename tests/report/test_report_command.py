"""``scalor-ppl report``: what is on the page, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import Square, fresh, trained, write_clips, write_images, write_video

from scalor_ppl.studies.curves import CURVE
from scalor_ppl.training.runs import METRICS

pytest_plugins = "report_fixtures"

Made = Callable[..., str]

SECTIONS = {
    "training": "Training",
    "tracked": "Tracked clip",
    "objects": "Objects",
    "background": "Background",
    "trajectories": "Trajectories",
    "counts": "Number of objects",
    "honesty": "Honesty of the uncertainty",
    "continuation": "Imagined continuations",
    "samples": "Videos from scratch",
    "motion": "Lengths and speeds",
    "configuration": "Configuration",
}


def sections(page: str) -> dict[str, str]:
    """The page's sections by name."""
    found = re.findall(r'<section id="(\w+)">(.*?)</section>', page, re.DOTALL)
    return dict(found)


def test_the_page_has_all_sections(made: Made, run: Path) -> None:
    page = made(run)
    found = sections(page)
    assert list(found) == list(SECTIONS)
    for name, title in SECTIONS.items():
        assert f"<h2>{title}</h2>" in found[name]
        assert f'<a href="#{name}">{title}</a>' in page
        bodies = re.findall(r"<figure>(.*?)<figcaption>(.+?)</figcaption>", found[name], re.DOTALL)
        assert len(bodies) == found[name].count("<figure")
        if name in ("training", "tracked", "background", "counts", "continuation", "samples"):
            assert bodies, name


def test_what_is_in_the_sections(made: Made, run: Path) -> None:
    found = sections(made(run))
    assert found["training"].count("<svg class") >= 7
    for title in ("Loss, nats a frame", "Objects a frame", "Gradient norm"):
        assert title in found["training"]
    assert "data:video/mp4;base64," in found["tracked"]
    assert "6 frames" in found["tracked"]
    assert found["background"].count("data:image/png;base64,") == 2
    for name in ("truth", "mean of 8 draws", "most likely account", "5 to 95 % of the draws"):
        assert name in found["counts"]
    assert "data:video/mp4;base64," in found["continuation"]
    for row in ("real", "sample 1", "sample 2", "sample 3"):
        assert f"<span>{row}</span>" in found["continuation"]
    assert "data:video/mp4;base64," in found["samples"]
    assert "3 videos of 6 frames drawn from the priors" in found["samples"]
    assert "estimator = &#34;elbo&#34;" in found["configuration"]


def test_the_head_says_which_run(made: Made, run: Path) -> None:
    page = made(run)
    head = page[: page.index("<main>")]
    assert "<h1>run</h1>" in head
    for value in ("clips.nc", "3 of 3", "elbo", "16 x 16 pixels, colour"):
        assert f"<dd>{value}</dd>" in head
    part = json.loads((run / "origin.json").read_text())[0]
    assert part["commit"] in head
    assert part["date"][:10] in head
    assert part["torch"] in head


def test_no_folder_of_the_machine_and_no_network(made: Made, run: Path, tmp_path: Path) -> None:
    page = made(run)
    for folder in (run.parent, tmp_path, Path.home(), Path(__file__).parents[2]):
        assert f"{folder}/" not in page
    assert "default-src 'none'; img-src data:" in page.replace("&#39;", "'")
    outside = re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)[^"']*|url\((?!data:)""", page)
    assert not outside
    assert "@import" not in page


def test_names_are_escaped(made: Made, run: Path, tmp_path: Path) -> None:
    odd = tmp_path / "<i>.nc"
    odd.write_bytes((run.parent / "clips.nc").read_bytes())
    trained(tmp_path / "<b>", data={"source": str(odd)})
    page = made(tmp_path / "<b>")
    assert "<h1>&lt;b&gt;</h1>" in page
    assert "<b>" not in re.sub(r"<b>\d+</b>", "", page)
    assert "<i>" not in page


def test_the_default_place_is_the_run(run: Path, refused: Callable[..., str]) -> None:
    # A folder in its place is refused by its name, before anything is done.
    place = run / "report.html"
    place.mkdir()
    try:
        assert f"{place} is a folder" in refused(run)
    finally:
        place.rmdir()


def test_another_video(made: Made, run: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "own.mp4", Square(), 9)
    page = made(run, "--video", video, "--frames", 4)
    assert "<dd>own.mp4, 4 frames</dd>" in page
    assert "truth" not in sections(page)["counts"]
    page = made(run, "--video", video, "--frames", 50)
    assert "<dd>own.mp4, 9 frames</dd>" in page


@pytest.mark.parametrize("frames", [1, 5])
def test_too_short_for_a_continuation(made: Made, run: Path, tmp_path: Path, frames: int) -> None:
    images = write_images(tmp_path / "images", frames)
    found = sections(made(run, "--video", images))
    assert f"images has {frames} frames: too few to observe 5" in found["continuation"]
    assert "<figure>" not in found["continuation"]
    assert "data:video/mp4" in found["tracked"]


def test_a_short_clip_of_a_long_video_is_continued(made: Made, run: Path) -> None:
    found = sections(made(run, "--frames", 2))
    assert "The first 2 frames" in found["tracked"]
    assert "<figure>" in found["continuation"]


def test_whole_frames_of_a_run_on_crops(made: Made, tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips.nc")
    trained(
        tmp_path / "run",
        data={"source": str(clips)},
        model={"anywhere": True},
        guide={"window": [2, 2]},
    )
    video = write_video(tmp_path / "large.mp4", Square(32, 24))
    page = made(tmp_path / "run", "--video", video)
    assert "<dd>16 x 16 pixels, colour</dd>" in page  # what it was trained on
    assert "height = 16" in sections(page)["configuration"]
    assert "data:video/mp4" in sections(page)["continuation"]


def test_without_background_and_log(made: Made, tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips.nc")
    trained(tmp_path / "run", data={"source": str(clips)})
    (tmp_path / "run" / METRICS).unlink()
    (tmp_path / "run" / "origin.json").unlink()
    page = made(tmp_path / "run")
    found = sections(page)
    assert "draws nothing behind its objects" in found["background"]
    assert "This run has no log of its training" in found["training"]
    assert "<dt>commit</dt>" not in page


def test_a_long_log_and_scores(made: Made, run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    lines = [{"step": n, "seconds": 6 * n, "loss": -n, "own_figure": n % 3} for n in range(1, 201)]
    (copy / METRICS).write_text("\n".join(map(json.dumps, lines)))
    (copy / CURVE).write_text('{"step": 1, "mota": 0.5}\n{"step": 2, "mota": 0.75}')
    page = made(copy)
    found = sections(page)["training"]
    assert "<dd>20.0 minutes</dd>" in page
    assert found.count("<h3>") == 3
    assert "<h3>own figure</h3>" in found
    assert "<h3>MOTA</h3>" in found
    paths = [d.count(",") for d in re.findall(r' d="([^"]+)"', found)]
    assert paths == [200, 40, 200, 40, 2]  # faint and bold, and too few to smooth


def test_nothing_is_found(made: Made, run: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    found = sections(made(run, "--tracks", empty))
    assert "No object was found in this video." in found["objects"]
    assert "There are no tracks to draw." in found["trajectories"]
    assert "There are no tracks to measure." in found["motion"]
    assert "<figure>" in found["counts"]


def test_tracks_of_a_file(made: Made, run: Path, tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", 8)
    tracks = tmp_path / "tracks.txt"
    rows = [f"{t},4,{t},3,5,5,0.2,-1,-1,-1" for t in range(1, 8)] + ["3,9,2,2,4,4,1,-1,-1,-1"]
    tracks.write_text("\n".join(rows))
    found = sections(made(run, "--video", images, "--tracks", tracks, "--frames", 5))
    # The clip is short; what is drawn of the file is all of it.
    assert "The first 5 frames" in found["tracked"]
    assert re.findall(r"<b>(\d+)</b>", found["objects"]) == ["3", "8"]
    assert "frames 1 to 7" in found["objects"]
    assert "frames 3 to 3" in found["objects"]
    assert "<td>2</td>" in found["motion"]
    assert "tracks of the file" in found["counts"]


def test_what_is_refused(
    refused: Callable[..., str], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out" / "report.html"
    (tmp_path / "wrong.txt").write_text("no rows")
    (tmp_path / "long.txt").write_text("7,1,2,2,4,4,1,-1,-1,-1")
    small = write_clips(tmp_path / "small.nc", Square(12, 16))
    grey = write_clips(tmp_path / "grey.nc", Square(16, 16, 1))
    fresh(tmp_path / "untrained")
    for arguments, said in (
        ((run, "--out", "report.pdf"), "--out report.pdf: end it in .html"),
        ((run, "--rerun", "a.txt", "--out", out), "--rerun a.txt: end it in .rrd"),
        (
            (run, "--video", "nothing", "--out", out),
            "neither a registered set nor an existing path",
        ),
        ((run, "--video", small, "--out", out), "frames of 12 x 16 pixels cannot be tracked"),
        ((run, "--video", grey, "--out", out), "is 16 x 16 x 1, but the run was trained on"),
        ((run, "--tracks", "none.txt", "--out", out), "no such file: none.txt"),
        (
            (run, "--tracks", "wrong.txt", "--out", out),
            "wrong.txt, line 1 is not frame,id,left,top",
        ),
        ((run, "--tracks", "long.txt", "--out", out), "row for frame 7, but square ends before it"),
        ((tmp_path / "none", "--out", out), "no such run"),
        (("pretrained:none", "--out", out), "no pretrained program named 'none'"),
        ((tmp_path / "untrained", "--out", out), "has no checkpoint"),
    ):
        assert said in refused(*arguments)
    assert not out.parent.exists()


def test_a_program_that_ships_with_the_package(made: Made) -> None:
    page = made("pretrained:dsprites-vld", "--frames", 4)
    assert "<h1>pretrained:dsprites-vld</h1>" in page
    found = sections(page)
    assert "no log of its training" in found["training"]
    assert "frames 1 to 4" in found["objects"]
