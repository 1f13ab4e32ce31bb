"""Boxes, glimpses, sheets, gifs and mp4s, read back."""

import colorsys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from scalor_ppl.errors import UserError
from scalor_ppl.results import sheets, video
from scalor_ppl.results.drawing import draw_boxes, draw_tracks, id_colour
from scalor_ppl.results.pixels import as_rgb, enlarge
from scalor_ppl.results.sheets import contact_sheet, object_row

PAPER = [40, 40, 40]


def moving_square(
    frames: int = 6, height: int = 24, width: int = 36, channels: int = 3
) -> np.ndarray:
    clip = np.zeros((frames, height, width, channels), dtype=np.uint8)
    for t in range(frames):
        clip[t, 8:16, 3 * t : 3 * t + 8] = (250, 120, 30)[:channels]
    return clip


def colour_gap(colours: list[tuple[int, int, int]]) -> float:
    """The least distance in RGB between any two."""
    table = np.array(colours, dtype=float)
    gaps = np.linalg.norm(table[:, None] - table[None], axis=-1)
    return float(gaps[~np.eye(len(table), dtype=bool)].min())


def test_colours_are_stable_and_apart() -> None:
    colours = [id_colour(identity) for identity in range(39)]
    assert colours[5] == id_colour(5)
    assert len(set(colours)) == 39
    assert all(
        colour_gap([id_colour(start + step) for step in range(34)]) > 30
        for start in range(0, 200, 7)
    )
    for near in range(1, 6):
        for one, other in zip(colours[: 13 - near], colours[near:], strict=False):
            gap = abs(colorsys.rgb_to_hsv(*one)[0] - colorsys.rgb_to_hsv(*other)[0])
            assert min(gap, 1 - gap) > 0.08
    assert all(max(colour) > 150 and min(colour) < 140 for colour in colours)
    with pytest.raises(ValueError, match="0 or more"):
        id_colour(-1)


def test_pixels() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    assert as_rgb(grey).shape == (2, 3, 3)
    np.testing.assert_array_equal(enlarge(grey, 3)[::3, ::3], grey)
    np.testing.assert_array_equal(enlarge(grey, 3)[2::3, 2::3], grey)
    with pytest.raises(ValueError, match="uint8"):
        as_rgb(grey.astype(float))
    with pytest.raises(ValueError, match="1 or 3"):
        as_rgb(np.zeros((2, 3, 2), np.uint8))
    with pytest.raises(ValueError, match="scale"):
        enlarge(grey, 0)


@pytest.mark.parametrize("scale", [1, 4])
def test_boxes_are_where_they_should_be(scale: int) -> None:
    frame = np.zeros((20, 30, 1), dtype=np.uint8)
    boxes = np.array([[4, 5, 10, 8], [20, 2, 6, 6], [0, 0, 3, 3]], dtype=np.float32)
    drawn = draw_boxes(frame, boxes, np.array([3, 8, -1]), np.array([1, 0.2, 1]), scale=scale)
    assert drawn.shape == (20 * scale, 30 * scale, 3)
    lit = drawn.any(-1)
    rows, columns = np.nonzero(lit)
    assert (rows.min(), rows.max()) == (5 * scale, 13 * scale - 1)
    assert (columns.min(), columns.max()) == (4 * scale, 14 * scale - 1)
    assert {tuple(colour) for colour in drawn[lit].tolist()} == {id_colour(3)}
    assert not drawn[9 * scale, 9 * scale].any()


def test_discovery_is_a_white_circle() -> None:
    frame = np.full((20, 20, 3), 90, dtype=np.uint8)
    box, ids = np.array([[4, 4, 12, 12]], np.float32), np.array([0])
    for found in (True, False):
        drawn = draw_boxes(frame, box, ids, np.ones(1), np.array([found]), scale=4)
        assert ((drawn[38:42, 38:42] == 255).all()) == found


def test_boxes_beyond_the_view_and_none_at_all() -> None:
    frame = np.zeros((8, 8, 3), dtype=np.uint8)
    out = np.array([[-50, -50, 10, 10], [-2, -2, 100, 100], [3, 3, 0, 0]], np.float32)
    drawn = draw_boxes(frame, out, np.arange(3), labels=True, scale=2)
    assert drawn.shape == (16, 16, 3)
    none = draw_boxes(frame, np.empty((0, 4)), np.empty(0, int))
    np.testing.assert_array_equal(none, frame)
    with pytest.raises(ValueError, match="boxes"):
        draw_boxes(frame, np.empty((1, 4)), np.arange(2))


def test_a_whole_clip() -> None:
    clip = moving_square()
    boxes = np.tile(np.array([2, 2, 5, 5], np.float32), (6, 1, 1))
    ids = np.array([[0], [0], [-1], [0], [1], [1]])
    drawn = draw_tracks(clip, boxes, ids, np.ones((6, 1)), np.zeros((6, 1), bool), scale=2)
    assert drawn.shape == (6, 48, 72, 3)
    np.testing.assert_array_equal(drawn[2], enlarge(clip[2], 2))
    assert tuple(drawn[5, 4, 4]) == id_colour(1)
    with pytest.raises(ValueError, match="frames"):
        draw_tracks(clip, boxes[:3], ids)


def test_objects_keep_their_tiles() -> None:
    colour = np.ones((3, 3, 4, 5, 1), dtype=np.float32)
    mask = np.ones((3, 3, 4, 5), dtype=np.float32)
    mask[..., 0, 0] = 0
    # 7 changes its slot, 2 ends, 5 begins and takes the tile of 2.
    ids = np.array([[2, 7, -1], [7, 2, -1], [7, -1, 5]])
    row = object_row(colour, mask, ids)
    assert row.shape == (3, 7 - 1, 2 * 8 - 1, 3)
    first, second = (0, 0), (0, 8)
    expected = [(2, 7), (2, 7), (5, 7)]
    for t, names in enumerate(expected):
        for (y, x), name in zip((first, second), names, strict=True):
            assert tuple(row[t, y, x]) == id_colour(name)
            assert row[t, y + 1, x + 1].tolist() == PAPER  # masked out
            assert row[t, y + 2, x + 2].tolist() == [255, 255, 255]


def test_objects_absent_and_in_other_types() -> None:
    colour = np.full((2, 2, 3, 3, 3), 200, dtype=np.uint8)
    mask, ids = np.ones((2, 2, 3, 3)), np.array([[0, 1], [-1, -1]])
    row = object_row(colour, mask, ids, np.array([[1, 0.1], [1, 1]]))
    assert row.shape == (2, 5, 5, 3)
    assert row[0, 2, 2].tolist() == [200, 200, 200]
    assert (row[1] == 40).all()
    assert object_row(colour, mask, ids, columns=1).shape == (2, 11, 5, 3)
    empty = object_row(colour[:, :0], mask[:, :0], ids[:, :0])
    assert (empty == 40).all()
    with pytest.raises(ValueError, match="mask"):
        object_row(colour, mask[:1], ids)


def test_sheet_holds_every_picture(tmp_path: Path) -> None:
    clip, grey = moving_square(), moving_square(4, 10, 12, 1)
    contact_sheet({"input": clip, "small, grey\nand short": grey}, tmp_path / "s.png", scale=2)
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    assert sheet.ndim == 3
    # The rightmost column ends one gap before the edge, the last row of pictures likewise.
    last = sheet[:, -4 - 72 : -4]
    top = next(
        y for y in range(len(last) - 48) if np.array_equal(last[y : y + 48], enlarge(clip[5], 2))
    )
    for t in range(6):
        x = sheet.shape[1] - (6 - t) * 76
        np.testing.assert_array_equal(sheet[top : top + 48, x : x + 72], enlarge(clip[t], 2))
    assert (sheet[top + 52 :, x:] == 255).all()  # a row that has ended is paper
    assert (sheet[:, : sheet.shape[1] - 6 * 76] < 100).any()  # there is text at the left


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 17, 5, 3), (2, 48, 80, 1)])
def test_sheets_of_any_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    contact_sheet({"a": np.zeros(shape, np.uint8)}, tmp_path / "sheet.png", scale=1)
    assert Image.open(tmp_path / "sheet.png").size[0] >= shape[0] * shape[2]


def test_bad_sheets(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet({}, tmp_path / "s.png", scale=1)
    with pytest.raises(ValueError, match="row 'a'"):
        contact_sheet({"a": np.zeros((3, 4, 5), np.uint8)}, tmp_path / "s.png", scale=1)
    assert not list(tmp_path.iterdir())


def read_mp4(path: Path) -> tuple[np.ndarray, float, str]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
        return frames, float(stream.average_rate or 0), str(stream.codec_context.pix_fmt)


@pytest.mark.parametrize(
    ("shape", "scale", "fps"),
    [((6, 24, 36, 3), 4, 10.0), ((1, 64, 64, 3), 1, 7.0), ((5, 23, 35, 1), 3, 23.976)],
)
def test_mp4(tmp_path: Path, shape: tuple[int, int, int, int], scale: int, fps: float) -> None:
    clip = moving_square(*shape)
    video.write_mp4(tmp_path / "clip.mp4", clip, fps, scale=scale)
    frames, rate, format_ = read_mp4(tmp_path / "clip.mp4")
    height, width = scale * shape[1], scale * shape[2]
    assert frames.shape == (shape[0], height + height % 2, width + width % 2, 3)
    assert rate == pytest.approx(fps, rel=1e-3)
    assert format_ == "yuv420p"
    expected = enlarge(as_rgb(clip), scale).astype(float)
    assert np.abs(frames[:, :height, :width] - expected).mean() < 4
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_gif(tmp_path: Path) -> None:
    clip = moving_square()
    video.write_gif(tmp_path / "clip.gif", clip, 12.5, scale=3)
    with Image.open(tmp_path / "clip.gif") as gif:
        assert gif.info["loop"] == 0
        assert getattr(gif, "n_frames", 1) == 6
        for t in range(6):
            gif.seek(t)
            assert gif.info["duration"] == 80
            shown = np.asarray(gif.convert("RGB")).astype(int)
            assert np.abs(shown - enlarge(clip[t], 3)).max() <= 2


def test_gif_of_many_colours_and_still_frames(tmp_path: Path) -> None:
    y, x = np.mgrid[:40, :60]
    ramp = np.stack([4 * x, 6 * y, 128 + 0 * x], -1).astype(np.uint8)
    clip = np.stack([ramp, ramp, 255 - ramp])
    video.write_gif(tmp_path / "clip.gif", clip, 10)
    with Image.open(tmp_path / "clip.gif") as gif:
        assert getattr(gif, "n_frames", 1) == 2
        assert gif.info["duration"] == 200
        error = np.abs(np.asarray(gif.convert("RGB")).astype(int) - ramp)
        assert error.mean() < 8
    video.write_gif(tmp_path / "one.gif", clip[:1, :, :, :1], 10)
    assert Image.open(tmp_path / "one.gif").size == (60, 40)


def test_videos_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = moving_square()
    for write, name in ((video.write_mp4, "clip.mp4"), (video.write_gif, "clip.gif")):
        with pytest.raises(ValueError, match="at least one"):
            write(tmp_path / name, clip[:0], 10)
        with pytest.raises(ValueError, match="fps"):
            write(tmp_path / name, clip, 0)
        with pytest.raises(ValueError, match="uint8"):
            write(tmp_path / name, clip / 255, 10)
        (tmp_path / "taken").mkdir(exist_ok=True)
        with pytest.raises(UserError, match="is a folder"):
            write(tmp_path / "taken", clip, 10)

    def fail(*_: object, **__: object) -> np.ndarray:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(video, "enlarge", fail)
    with pytest.raises(RuntimeError):
        video.write_mp4(tmp_path / "clip.mp4", clip, 10)
    monkeypatch.setattr(sheets.Image.Image, "save", fail)
    with pytest.raises(RuntimeError):
        contact_sheet({"a": clip}, tmp_path / "sheet.png", scale=1)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
