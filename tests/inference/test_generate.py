"""Videos from the program: from scratch, and observed clips imagined further."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import ALONE, CPU, CommandLine, Square, frames_of, run_beside_clips, trained, write_clips

from scalor_ppl.errors import UserError
from scalor_ppl.inference.generation import continue_clip, imagine
from scalor_ppl.inference.pictures import picture, write_generated, write_grid
from scalor_ppl.inference.posterior import infer
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.programs import Program
from scalor_ppl.training.sources import open_clip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_beside_clips(tmp_path_factory)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return trained(tmp_path_factory.mktemp("generate") / "run", model={"first_rate": 0.5})[0]


def alive(scene: Any) -> np.ndarray:
    """``[B, T]`` objects of every frame."""
    return torch.stack([each.alive.sum(-1) for each in scene.trackers], 1).numpy()


def discovered(scene: Any) -> np.ndarray:
    """``[B, T]`` discoveries of every frame."""
    return torch.stack([each.discovered.sum(-1) for each in scene.trackers], 1).numpy()


def clip(frames: int = 6) -> np.ndarray:
    return Square().clip(0, frames).video


# ---------------------------------------------------------------------- from scratch


def test_whole_videos(program: Program) -> None:
    scene = imagine(program, videos=3, frames=4, seed=0)
    assert scene.image.shape == (3, 4, 3, 16, 16)
    assert len(scene.trackers) == 4
    assert not scene.image.requires_grad
    assert 0 <= scene.image.min() <= scene.image.max() <= 1


def test_the_seed_decides(program: Program) -> None:
    first, again, other = (imagine(program, videos=2, frames=3, seed=s).image for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_without_discovery_there_is_nothing(program: Program) -> None:
    scene = imagine(program, videos=3, frames=4, seed=0, first_rate=0.0, rate=0.0)
    assert alive(scene).sum() == 0
    assert scene.image.abs().max() < 1e-6  # relaxed presence is never quite nothing


def test_discovery_in_the_first_frame_only(program: Program) -> None:
    scene = imagine(program, videos=20, frames=3, seed=0, first_rate=0.9, rate=0.0)
    assert discovered(scene)[:, 0].mean() > 1
    assert discovered(scene)[:, 1:].sum() == 0


def test_discovery_later_only(program: Program) -> None:
    scene = imagine(program, videos=20, frames=3, seed=0, first_rate=0.0, rate=0.9)
    assert alive(scene)[:, 0].sum() == 0
    assert discovered(scene)[:, 1].mean() > 1


def test_the_first_rate_of_the_configuration_is_the_default(program: Program) -> None:
    scene = imagine(program, videos=100, frames=1, seed=0)
    same = imagine(program, videos=100, frames=1, seed=0, first_rate=0.5)
    assert torch.equal(scene.image, same.image)
    assert alive(scene).mean() > 1  # of 4 cells at 0.5, some of them rejected


# ---------------------------------------------------------------------- continuing a clip


def test_a_clip_goes_on_for_as_long_as_wanted(program: Program) -> None:
    short, long = (
        continue_clip(program, clip(), observe=3, frames=frames, seed=0) for frames in (4, 7)
    )
    assert (short.image.shape, long.image.shape) == ((1, 4, 3, 16, 16), (1, 7, 3, 16, 16))
    assert (len(short.trackers), len(long.trackers)) == (4, 7)
    # What is imagined first is the same, however long it goes on.
    assert torch.equal(short.image, long.image[:, :4])
    assert 0 <= long.image.min() <= long.image.max() <= 1
    # Frames that are observed are the program's account of the clip, and not its dreams.
    seen = infer(program.model, program.guide, to_video(clip()[None, :3], CPU)).image
    torch.testing.assert_close(long.image[:, :3], seen)
    # Discovery is off: objects may leave, but none comes.
    assert (np.diff(alive(long)[0, 2:]) <= 0).all()


def test_what_is_observed_does_not_depend_on_the_seed(program: Program) -> None:
    first, second = (
        continue_clip(program, clip(), observe=3, frames=6, seed=s, rate=0.9) for s in (0, 1)
    )
    assert torch.equal(first.image[:, :3], second.image[:, :3])
    assert not torch.equal(first.image[:, 3:], second.image[:, 3:])
    again = continue_clip(program, clip(), observe=3, frames=6, seed=0, rate=0.9)
    assert torch.equal(first.image, again.image)
    # Nor on frames of the clip that are not to be seen.
    shorter = continue_clip(program, clip(3), observe=3, frames=6, seed=0, rate=0.9)
    assert torch.equal(first.image, shorter.image)


def test_continued_with_discovery_off_and_on(program: Program) -> None:
    off = continue_clip(program, clip(), observe=2, frames=8, seed=0)
    assert discovered(off)[:, 2:].sum() == 0
    blank = np.zeros_like(clip())
    # All slots are taken in frame 1: something is discovered where one becomes free by chance.
    found = [
        discovered(continue_clip(program, blank, observe=1, frames=8, seed=s, rate=0.9))[0, 1:]
        for s in range(30)
    ]
    assert np.sum(found) > 0


def test_what_cannot_be_continued(program: Program) -> None:
    with pytest.raises(UserError, match="the clip has 2 frames, fewer than --observe-frames 3"):
        continue_clip(program, clip(2), observe=3, frames=5, seed=0)
    with pytest.raises(UserError, match="leaves nothing to imagine"):
        continue_clip(program, clip(), observe=3, frames=3, seed=0)
    with pytest.raises(UserError, match="the clip is 20 x 16 x 3, but the run was trained on 16"):
        continue_clip(program, Square(20, 16).clip(0, 3).video, observe=2, frames=3, seed=0)
    grey = Square(channels=1).clip(0, 3).video
    with pytest.raises(UserError, match="the clip is 16 x 16 x 1"):
        continue_clip(program, grey, observe=2, frames=3, seed=0)


def test_pictures_show_what_was_observed_then_what_was_rendered(program: Program) -> None:
    scene = continue_clip(program, clip(), observe=2, frames=4, seed=0)
    pictures = picture(program, scene, 0, clip(2))
    assert np.array_equal(pictures.video[:2], clip(2))
    assert np.array_equal(pictures.video[2:], pictures.rendered[2:])


def test_clips_are_read_as_the_runs_own_data(program: Program, tmp_path: Path) -> None:
    path = write_clips(tmp_path / "clips.nc")
    frames = open_clip(program.config.data, str(path), 2, 3)
    assert np.array_equal(frames, Square().clip(2, 3).video)
    with pytest.raises(UserError, match=r"--clip 8: .* has 8 clips of 3 frames"):
        open_clip(program.config.data, str(path), 8, 3)


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("background", ["none", "vae"])
def test_files_of_grey_and_colour_with_and_without_background(
    tmp_path: Path, channels: int, background: str
) -> None:
    tables = {"background": background, "background_dim": 2}
    source = Square(channels=channels)
    made, _ = trained(tmp_path / "run", source, model=tables, train={"steps": 1})
    scene = imagine(made, videos=1, frames=2, seed=0, first_rate=0.9)
    for boxes in (False, True):
        mp4, gif, png = write_generated(made, scene, tmp_path / f"files{boxes}", boxes=boxes)
        assert (mp4.suffix, gif.suffix, png.suffix) == (".mp4", ".gif", ".png")
        assert frames_of(mp4).shape == frames_of(gif).shape
        with Image.open(png) as image:
            image.load()


def test_command_writes_three_files_a_video(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    options = ("--videos", 2, "--frames", 3, "--first-rate", 0.9, "--out", out)
    said = cli("generate", run, *options, *ALONE)
    assert said.code == 0, said
    stems = ("video_000", "video_001", "videos")
    names = [f"{stem}.{kind}" for stem in stems for kind in ("mp4", "gif", "png")]
    assert said.out.splitlines() == [str(out / name) for name in names]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    for name in names[:2]:
        frames = frames_of(out / name)
        assert frames.shape[0] == 3
        assert frames.shape[1] == frames.shape[2] > 100
        assert frames.max() > 0
    assert not (run / "generated").exists()


def test_command_is_reproducible_by_seed(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = ("--seed", seed, "--frames", 2, "--first-rate", 0.9)
        assert cli("generate", run, *options, "--out", tmp_path / name, *ALONE).code == 0
    first, again, other = ((tmp_path / name / "video_000.gif").read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_command_with_boxes(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    for name, options in (("plain", ()), ("boxes", ("--boxes",))):
        arguments = ("--frames", 2, "--first-rate", 0.9, "--out", tmp_path / name)
        assert cli("generate", run, *arguments, *options, *ALONE).code == 0
    plain, boxes = (frames_of(tmp_path / name / "video_000.gif") for name in ("plain", "boxes"))
    assert plain.shape == boxes.shape
    assert not np.array_equal(plain, boxes)


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ((), (None, None)),
        (("--first-rate", 0.0), (0.0, None)),
        (("--rate", 0.3), (None, 0.3)),
        (("--no-discovery",), (None, 0.0)),
        (("--discovery",), (None, None)),
    ],
)
def test_rates_from_scratch(
    cli: CommandLine,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[object, ...],
    rates: tuple[float | None, float | None],
) -> None:
    seen: list[tuple[float | None, float | None]] = []

    def noted(program: Program, *, first_rate: Any, rate: Any, **others: Any) -> Any:
        seen.append((first_rate, rate))
        raise UserError("enough")

    monkeypatch.setattr("scalor_ppl.inference.generation.imagine", noted)
    assert cli("generate", run, *options, *ALONE).code == 2
    assert seen == [rates]


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ((), 0.0),
        (("--no-discovery",), 0.0),
        (("--discovery",), None),
        (("--rate", 0.3), 0.3),
        (("--discovery", "--rate", 0.3), 0.3),
    ],
)
def test_rates_after_an_observed_clip(
    cli: CommandLine,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[object, ...],
    rate: float | None,
) -> None:
    seen: list[float | None] = []

    def noted(*args: Any, rate: Any, **others: Any) -> Any:
        seen.append(rate)
        raise UserError("enough")

    monkeypatch.setattr("scalor_ppl.inference.generation.continue_clip", noted)
    observe = ("--observe", run.parent / "clips.nc")
    assert cli("generate", run, *observe, *options, *ALONE).code == 2
    assert seen == [rate]


@pytest.mark.parametrize("rate", [0, 1])
def test_certain_rates(cli: CommandLine, run: Path, tmp_path: Path, rate: int) -> None:
    options = ("--first-rate", rate, "--rate", rate, "--frames", 3)
    said = cli("generate", run, *options, "--out", tmp_path / "out", *ALONE)
    assert said.code == 0, said
    frames = frames_of(tmp_path / "out" / "video_000.gif")
    assert bool(frames.any()) == bool(rate)


def test_one_frame(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    assert cli("generate", run, "--frames", 1, "--out", tmp_path / "out", *ALONE).code == 0
    assert len(frames_of(tmp_path / "out" / "video_000.gif")) == 1


def test_command_continues_a_clip(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    observe = ("--observe", run.parent / "clips.nc", "--observe-frames", 3, "--clip", 2)
    said = cli("generate", run, *observe, "--frames", 5, "--out", tmp_path / "out", *ALONE)
    assert said.code == 0, said
    assert len(frames_of(tmp_path / "out" / "video_000.mp4")) == 5
    frames = frames_of(tmp_path / "out" / "video_000.gif")  # drops frames that are alike
    scale = frames.shape[1] // 16
    seen = frames[:3, scale // 2 :: scale, scale // 2 :: scale]
    assert np.abs(seen.astype(int) - Square().clip(2, 3).video).max() < 16


def test_videos_side_by_side(program: Program, tmp_path: Path) -> None:
    scene = imagine(program, videos=3, frames=4, seed=0)
    assert [path.name for path in write_grid(scene, tmp_path)] == [
        "videos.mp4",
        "videos.gif",
        "videos.png",
    ]
    frames = frames_of(tmp_path / "videos.mp4")
    assert frames.shape == (4, 2 * 132, 2 * 132, 3)  # 16 pixels, enlarged, and a rim
    assert frames[:, 140:, 140:].min() > 250  # there is no fourth
    rows = np.asarray(Image.open(tmp_path / "videos.png"))
    assert 3 * 128 < rows.shape[0] < 4 * 128
