"""Which values become black and white, and that a run keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import tifffile

from scalor_ppl.config.schema import DataConfig
from scalor_ppl.data import SourceOptions, iterate_frames, load_video, open_source, probe
from scalor_ppl.data.levels import extremes, find_levels, in_channels, narrowed
from scalor_ppl.errors import UserError
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.tracking.recording import open_recording
from scalor_ppl.training.sources import fitted


def spot(frames: int = 10, value: float = 4000, ground: float = 200) -> np.ndarray:
    """[T, 32, 32] uint16: a square of 8 pixels that moves by one a frame."""
    video = np.full((frames, 32, 32), ground, np.uint16)
    for t in range(frames):
        video[t, 8:16, 4 + t : 12 + t] = value
    return video


def stack(path: Path, video: np.ndarray, **more: Any) -> Path:
    tifffile.imwrite(path, video, **more)
    return path


HOT = [
    [(31, 31, slice(None), 4200)],
    [(31, 31, slice(None), 65535)],
    [(0, 0, slice(None), 65535), (31, 0, slice(None), 60000), (20, 25, slice(None), 30000)],
    [(slice(24, 28), slice(24, 28), 3, 65535)],  # a cosmic ray: several pixels, one frame
    [(5, 5, slice(None), 0)],
]


@pytest.mark.parametrize("pixels", HOT)
def test_odd_pixels_do_not_change_the_brightness_of_all_others(
    tmp_path: Path, pixels: list[tuple[Any, Any, Any, int]]
) -> None:
    plain, odd = spot(), spot()
    for y, x, t, value in pixels:
        odd[t, y, x] = value
    one = load_video(stack(tmp_path / "a.tif", plain)).video
    other = load_video(stack(tmp_path / "b.tif", odd)).video
    same = plain == odd
    assert one[0, 10, 8, 0] == round(4000 * 255 / 4095)
    assert np.array_equal(one[..., 0][same], other[..., 0][same])


def test_levels_of_samples() -> None:
    def of(*values: Any, dtype: str = "u2", count: int = 1) -> Any:
        return find_levels([np.array(values, dtype).reshape(1, -1, 1)] * count)

    assert of(0, 0, 300, 300) == (0, 511)
    assert of(0, 0, 300, 0) == (0, 255)  # alone
    assert of(5, 5, 5) == (0, 255)
    assert of(0, 0, 65535, 65535) == (0, 65535)
    assert of(61500, 61500, 65535, 65535) == (61440, 65535)  # a white of 0, turned about
    assert of(-3, -3, 500, 500, dtype="i2") == (-4, 511)
    assert of(0.0, 0.0, 0.7, 0.7, dtype="f4") == (0, 1)
    assert of(-0.2, -0.2, 0.7, 0.7, dtype="f4") == (-1, 1)
    assert of(np.nan, 2.0, 2.0, np.inf, dtype="f4") == (0, 255)
    assert of(np.nan, np.nan, dtype="f4") is None
    assert find_levels([np.zeros((3, 3, 1), np.uint8)]) is None
    assert extremes(np.array([[[7.0]]])) == (7, 7)
    # Of eight frames and more, two must show it.
    dark, bright = np.full((2, 2, 1), 100, np.uint16), np.full((2, 2, 1), 9000, np.uint16)
    assert find_levels([dark] * 6 + [bright]) == (0, 16383)
    assert find_levels([dark] * 7 + [bright]) == (0, 255)
    assert find_levels([dark] * 7 + [bright] * 2) == (0, 16383)


@pytest.mark.parametrize("dtype", ["u2", "i2", "u4", "i4", "f4", "f8"])
def test_every_kind_of_number_is_narrowed_alike(dtype: str) -> None:
    values = np.array([0, 100, 200, 300, 1000], dtype)
    assert narrowed(values, (100, 310)).tolist() == [0, 0, 121, 243, 255]
    if dtype[0] == "f":
        odd = np.array([np.nan, np.inf, -np.inf], dtype)
        assert narrowed(odd, (0, 1)).tolist() == [0, 255, 0]


def test_grey_and_colours() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [10, 10, 10]]], np.uint8)
    grey = in_channels(colours, 1)
    assert grey[0, :, 0].tolist() == [76, 150, 10]
    assert in_channels(grey, 3)[0, 0].tolist() == [76, 76, 76]
    deep = in_channels(colours.astype(np.uint16) * 257, 1)
    assert np.abs(deep / 257 - grey).max() < 1
    assert in_channels(colours / 255, 1)[0, 1, 0] == pytest.approx(0.587)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_a_white_of_zero_is_told_at_every_depth(tmp_path: Path, bits: int) -> None:
    picture = np.zeros((1, 16, 16), bool)
    picture[:, 2:6, 3:9] = True
    most = 2**bits - 1
    for name, shown in (("blackiszero", picture), ("whiteiszero", ~picture)):
        values = shown if bits == 1 else (shown * most).astype(f"u{bits // 8}")
        kind = {"blackiszero": "minisblack", "whiteiszero": "miniswhite"}[name]
        path = stack(tmp_path / f"{name}.tif", np.concatenate([values] * 3), photometric=kind)
        video = load_video(path).video
        assert video.shape == (3, 16, 16, 1)
        assert np.array_equal(video[..., 0] > 127, np.concatenate([picture] * 3)), name
        assert set(np.unique(video)) == {0, 255}


def test_a_camera_of_12_bits_whose_white_is_zero(tmp_path: Path) -> None:
    video = spot()
    turned = 4095 - video  # as the file stores it
    path = stack(tmp_path / "a.tif", turned, photometric="miniswhite")
    seen = load_video(path).video[..., 0].astype(int)
    wanted = load_video(stack(tmp_path / "b.tif", video)).video[..., 0]
    assert np.abs(seen - wanted).max() <= 1


def test_a_run_keeps_the_scale_of_what_it_was_trained_on(tmp_path: Path) -> None:
    path = stack(tmp_path / "a.tif", spot())
    config = ScalorConfig(data=DataConfig(source=str(path)))
    source = open_source(path, options=config.data)
    trained = fitted(config, source)
    assert trained.data.deep_levels == (0, 4095)
    # A later file: dimmer, brighter, or with a hot pixel.
    for value in (1000, 4000, 9000):
        later = stack(tmp_path / "later.tif", spot(value=value))
        wanted = min(255, round(value * 255 / 4095))
        for frame in open_recording(trained, later).frames():
            assert frame.seen.max() == wanted
        assert open_source(later, options=trained.data).clip(0, 5).video[0, 10, 8, 0] == wanted
    # One that never had more than 8 bits is as it is.
    plain = stack(tmp_path / "plain.tif", (spot() >> 4).astype(np.uint8))
    assert load_video(plain, options=trained.data).video[0, 10, 8, 0] == 250
    assert fitted(ScalorConfig(data=DataConfig(source=str(plain))), open_source(plain)).data == (
        DataConfig(source=str(plain))
    )


def test_all_sequences_of_a_recording_have_one_scale(tmp_path: Path) -> None:
    for name, value in (("a", 1000), ("b", 9000)):
        (tmp_path / name).mkdir()
        stack(tmp_path / name / "a.tif", spot(value=value))
    source = open_source(tmp_path)
    assert source.clip(0, 2).video[0, 10, 8, 0] == round(1000 * 255 / 16383)
    assert source.clip(12, 2).video[0, 10, 12, 0] == round(9000 * 255 / 16383)


def test_levels_that_are_given(tmp_path: Path) -> None:
    path = stack(tmp_path / "a.tif", spot())
    options = SourceOptions(deep_levels=(200, 4000), levels=(0, 128))
    frame = next(iterate_frames(path, options=options))
    assert (frame[0, 0, 0], frame[10, 8, 0]) == (0, 255)
    with pytest.raises(UserError, match="deep_levels="):
        SourceOptions(deep_levels=(5, 5))


@pytest.mark.parametrize(
    ("codec", "layout", "bits"),
    [("ffv1", "gray16le", 16), ("ffv1", "gray10le", 10), ("ffv1", "yuv420p", 8)],
)
def test_bits_are_known(tmp_path: Path, codec: str, layout: str, bits: int) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = 16, 16, layout
        grey = np.zeros((16, 16), np.uint8 if bits == 8 else np.uint16)
        kind = "gray" if bits == 8 else layout
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format=kind)))
        container.mux(stream.encode())
    assert probe(path).bits == bits


def test_a_scale_of_its_own_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A run that was trained on 8 bits has no scale: each deep file gets its own, and says so."""
    path = tmp_path / "deep.npy"
    np.save(path, np.linspace(0, 3000, 60).reshape(3, 4, 5).astype(np.uint16))
    for _ in range(2):
        frames = list(iterate_frames(path))
    assert len(frames) == 3
    (said,) = caplog.messages
    assert said.startswith("deep.npy: of its more than 8 bits 0 becomes black and 4095 white")
    caplog.clear()
    given = SourceOptions(deep_levels=(0.0, 6000.0))
    assert list(iterate_frames(path, options=given))[2].flat[-1] == 128
    assert not caplog.messages
