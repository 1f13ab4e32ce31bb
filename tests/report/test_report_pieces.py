"""What the sections of a report are made of: lives, cut-outs, trails, clips, tracks of files."""

from __future__ import annotations

import re
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from av.codec.codec import UnknownCodecError
from PIL import Image
from tiny import Square, write_images

from scalor_ppl.config.schema import DataConfig
from scalor_ppl.errors import UserError
from scalor_ppl.report import embed
from scalor_ppl.report.embed import beside
from scalor_ppl.report.footage import Footage, read_footage
from scalor_ppl.report.lives import Life, draw_trails, draw_ways, lives_of
from scalor_ppl.report.objects import glimpse
from scalor_ppl.report.rendered import rimmed
from scalor_ppl.report.training import read_figures
from scalor_ppl.report.write import without_folders
from scalor_ppl.results.drawing import id_colour
from scalor_ppl.tracks.table import Tracks

pytest_plugins = "report_fixtures"


def tracks() -> Tracks:
    """Id 7 in frames 1 to 4 but 3, changing slots, at 2 pixels a frame; id 2 in frame 2 only."""
    ids = np.array([[7, -1], [2, 7], [9, -1], [-1, 7]])
    boxes = np.zeros((4, 2, 4), np.float32)
    boxes[0, 0] = (0, 0, 4, 2)
    boxes[1, 1] = (2, 0, 4, 2)
    boxes[3, 1] = (6, 0, 4, 2)
    presence = (ids >= 0).astype(np.float32)
    presence[2, 0] = 0.3  # not present
    return Tracks(ids, boxes, presence, np.zeros((4, 2), bool))


def life(*centres: tuple[float, float], identity: int = 0) -> Life:
    """An object of size 2 in successive frames."""
    middle = np.array(centres, np.float32)
    boxes = np.concatenate([middle - 1, np.full_like(middle, 2)], 1)
    return Life(identity, np.arange(len(middle)), boxes, middle)


def test_lives() -> None:
    first, second = lives_of(tracks())
    assert (first.identity, second.identity) == (7, 2)
    assert first.frames.tolist() == [0, 1, 3]
    assert first.centres.tolist() == [[2, 1], [4, 1], [8, 1]]
    assert first.speed == 2
    assert np.isnan(second.speed)
    nobody = Tracks(
        np.full((3, 2), -1), np.zeros((3, 2, 4)), np.zeros((3, 2)), np.zeros((3, 2), bool)
    )
    assert lives_of(nobody) == []


def test_a_glimpse_is_centred_and_grey_outside() -> None:
    frame = np.zeros((20, 30, 1), np.uint8)
    frame[4:8, 10:14] = 255
    cut = glimpse(frame, np.array([12.0, 6.0]), np.array([8.0, 8.0]))
    assert cut.shape == (48, 48, 3)
    assert cut[24, 24].tolist() == [255] * 3
    assert cut[2, 24].tolist() == [0] * 3
    edge = glimpse(frame, np.array([0.0, 10.0]), np.array([4.0, 8.0]))
    assert edge.shape == (48, 24, 3)
    assert edge[24, 2].tolist() == [128] * 3
    assert edge[24, 22].tolist() == [0] * 3
    # An object far outside, as a tracker may have it, is no error.
    assert glimpse(frame, np.array([-90.0, 300.0]), np.array([4.0, 8.0])).min() == 128


def test_trails_follow_and_end() -> None:
    frames = np.zeros((20, 16, 40, 3), np.uint8)
    moving = life(*((2.0 * t, 4.0) for t in range(20)), identity=3)
    drawn = draw_trails(frames, [moving], 1)
    assert not drawn[0].any()
    assert drawn[5, 4, 5].tolist() == list(id_colour(3))
    assert not drawn[5, 4, 20].any()  # not ahead
    assert not drawn[19, 4, 5].any()  # nor for ever behind
    assert not frames.any()


def test_ways_over_the_scene() -> None:
    scene = np.full((32, 64, 1), 100, np.uint8)
    drawn = draw_ways(scene, [life((8, 16), (32, 16), (56, 16), identity=1), life((5, 5))])
    assert drawn.shape == (320, 640, 3)
    assert drawn[160, 250].tolist() == list(id_colour(1))
    assert drawn[300, 600].tolist() == [50] * 3


def test_rims_tell_observed_from_imagined() -> None:
    framed = rimmed(np.zeros((3, 4, 5, 3), np.uint8), 2, 2)
    assert framed.shape == (3, 8, 9, 3)
    assert (framed[0] == framed[1]).all()
    assert (framed[1, 0] != framed[2, 0]).any()
    assert not framed[:, 2:-2, 2:-2].any()


def test_panels_beside_each_other() -> None:
    left = np.full((2, 10, 60, 1), 200, np.uint8)
    page = beside({"a": left, "b": left // 2})
    assert page.shape == (2, 32, 126, 3)
    assert (page[:, 22:, :60] == 200).all()
    assert (page[:, 22:, 66:] == 100).all()


# ---------------------------------------------------------------------- inside the page


def content(html: str) -> tuple[str, bytes]:
    """Media type and bytes of the one data URI."""
    (found,) = re.findall(r'src="data:([\w/]+);base64,([^"]+)"', html)
    return found[0], b64decode(found[1])


def test_images() -> None:
    kind, png = content(embed.image(np.zeros((4, 6, 1), np.uint8), 'a "b"', width=60))
    assert kind == "image/png"
    assert png.startswith(b"\x89PNG")
    assert "a &#34;b&#34;" in embed.image(np.zeros((4, 6, 1), np.uint8), 'a "b"')
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    kind, jpeg = content(embed.image(noise, ""))
    assert kind == "image/jpeg"
    assert len(jpeg) < embed.LARGEST_PNG


def test_a_clip_that_is_too_large_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 128, 160, 3), np.uint8)
    assert 'width="160"' in embed.clip(noise, "")
    monkeypatch.setattr(embed, "LARGEST", 50_000)
    html = embed.clip(noise, "")
    assert 'width="80"' in html
    assert len(content(html)[1]) < 50_000


def test_a_gif_where_there_is_no_x264(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(*arguments: object, **options: object) -> None:
        raise UnknownCodecError("libx264")

    monkeypatch.setattr(embed, "write_mp4", without)
    kind, gif = content(embed.clip(Square().clip(0, 3).video, "a square"))
    assert kind == "image/gif"
    assert gif.startswith(b"GIF")


def test_settings_lose_their_folders() -> None:
    settings = {"a": {"source": "/home/me/video.mp4", "list": [1, "/x/y.py:Class"]}, "b": "elbo"}
    assert without_folders(settings) == {
        "a": {"source": "video.mp4", "list": [1, "y.py:Class"]},
        "b": "elbo",
    }


def test_figures_of_a_training_that_crashed(tmp_path: Path) -> None:
    assert read_figures(tmp_path) == []
    lines = ['{"step": 1, "loss": 5}', '{"step": 2, "loss": 4}', '{"step": 2, "loss": 3}', '{"st']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert read_figures(tmp_path) == [{"step": 1, "loss": 5}, {"step": 2, "loss": 3}]


# ---------------------------------------------------------------------- footage


def read(data: DataConfig, tracks: Path | None = None) -> Footage:
    """Footage of two frames and six ahead."""
    return read_footage(data, frames=2, ahead=6, tracks=tracks)


def test_footage_is_as_long_as_it_must_be(tmp_path: Path) -> None:
    images, tracks = write_images(tmp_path / "images", 12), tmp_path / "tracks.txt"
    data = DataConfig(source=str(images))
    footage = read(data)
    assert footage.shown.video.shape == (2, 16, 16, 3)
    assert footage.longer.shape == (6, 16, 16, 3)
    assert footage.tracks is None
    for last, frames, length in ((1, 2, 6), (4, 4, 6), (9, 9, 9)):
        tracks.write_text(f"{last},1,2,2,4,4,1,-1,-1,-1")
        footage = read(data, tracks)
        assert footage.tracks is not None
        assert (footage.tracks.frames, len(footage.longer)) == (frames, length)
    tracks.write_text("13,1,2,2,4,4,1,-1,-1,-1")
    with pytest.raises(UserError, match="a row for frame 13, but images ends before it"):
        read(data, tracks)


def test_tracks_are_brought_to_the_view(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for n in range(9):
        Image.new("RGB", (64, 32)).save(folder / f"{n}.png")
    tracks = tmp_path / "tracks.txt"
    # Frames 3, 5 and 7 of the file, counted from 1, are read.
    rows = [f"{t},{t},20,10,8,4,0.1,-1,-1,-1" for t in (1, 3, 4, 7, 8)]
    tracks.write_text("\n".join(rows))
    data = DataConfig(source=str(folder), resize=(16, 16), start=2, stop=8, stride=2)
    footage = read(data, tracks)
    assert footage.tracks is not None
    assert footage.tracks.ids.max(1).tolist() == [2, -1, 6]
    assert footage.tracks.boxes[0, 0].tolist() == [5, 5, 2, 2]
    assert footage.tracks.present()[0, 0]  # whatever the row's confidence
    tiled = data.model_copy(update={"tiles": (2, 2)})
    with pytest.raises(UserError, match="tracks of whole frames"):
        read(tiled, tracks)
