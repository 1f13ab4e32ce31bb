"""People's own videos: the right frames, or one line that says what is wrong and what to do."""

import os
import struct
import tempfile
import tracemalloc
import wave
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from scalor_ppl.data import (
    SourceOptions,
    VideoInfo,
    budget,
    iterate_frames,
    load_video,
    probe,
    strips,
)
from scalor_ppl.data.recordings import RecordingSource
from scalor_ppl.errors import UserError


def moving(frames: int, height: int = 24, width: int = 36) -> np.ndarray:
    """[T, H, W, 3] uint8 frames that all differ."""
    t, y, x = np.meshgrid(range(frames), range(height), range(width), indexing="ij")
    return np.stack([t * 4 % 256, (y * 10 + t) % 256, (x * 7) % 256], axis=-1).astype(np.uint8)


def noise(frames: int, height: int = 48, width: int = 64) -> np.ndarray:
    """[T, H, W, 3] uint8 frames that compress badly, so that a file can be cut anywhere."""
    values = np.random.default_rng(0).integers(0, 255, (frames, height, width, 3))
    return values.astype(np.uint8)


def brighter(frames: int, height: int = 48, width: int = 64) -> np.ndarray:
    """[T, H, W, 3] uint8 frames of one brightness, 4 more in each."""
    levels = 20 + 4 * np.arange(frames, dtype=np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (frames, height, width, 3)).copy()


def write(
    path: Path,
    video: np.ndarray,
    codec: str = "ffv1",
    pixels: str = "bgr0",
    *,
    layout: str = "rgb24",
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
    times: list[int] | None = None,
    turn: tuple[float, bool, bool] | None = None,
    rate: int = 25,
) -> Path:
    """A video file; `times` in milliseconds, `turn` in degrees and two flips."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=codec_options or {})
        stream.height, stream.width, stream.pix_fmt = *video.shape[1:3], pixels
        if turn is not None:
            stream.set_display_rotation(turn[0], hflip=turn[1], vflip=turn[2])
        for n, values in enumerate(video):
            frame = av.VideoFrame.from_ndarray(values, format=layout)
            if times is not None:
                frame.pts, frame.time_base = times[n], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def h264(path: Path, video: np.ndarray, **more: Any) -> Path:
    """With B-frames, and a key frame in ten."""
    return write(path, video, "libx264", "yuv420p", codec_options={"g": "10", "bf": "3"}, **more)


def error_of(path: Path, **options: Any) -> str:
    """The one line that reading a whole recording ends with."""
    with pytest.raises(UserError) as caught:
        load_video(path, options=SourceOptions(**options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is cut short.

FRONT = {"movflags": "faststart"}


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "options"),
    [
        ("a.mp4", "libx264", "yuv420p", FRONT),
        ("a.mov", "mpeg4", "yuv420p", FRONT),
        ("a.mkv", "libx264", "yuv420p", {}),
        ("a.webm", "libvpx", "yuv420p", {}),
        ("a.avi", "mpeg4", "yuv420p", {}),
        ("b.avi", "libx264", "yuv420p", {}),
        ("a.flv", "flv1", "yuv420p", {}),
        ("a.gif", "gif", "rgb8", {}),
    ],
)
@pytest.mark.parametrize("share", [0.4, 0.95])
def test_a_file_that_is_cut_says_where_and_reads_up_to_there(
    tmp_path: Path, name: str, codec: str, pixels: str, options: dict[str, str], share: float
) -> None:
    path = write(tmp_path / name, noise(60), codec, pixels, options=options)
    whole = load_video(path).video
    assert len(whole) == 60
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    message = error_of(path)
    assert f"{name} breaks off at frame" in message
    stop = int(message.split("stop=")[1])
    assert 10 < stop <= 60 * share + 1
    read = load_video(path, options=SourceOptions(stop=stop)).video
    sound = stop - (name == "a.gif")  # of a GIF, half a frame cannot be told from a frame
    assert np.array_equal(read[:sound], whole[:sound])
    streamed = iterate_frames(path)
    assert all(next(streamed) is not None for _ in range(stop))
    with pytest.raises(UserError, match="breaks off"):
        next(streamed)


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_a_cut_between_two_frames_is_noticed_too(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, noise(60), "mpeg4", "yuv420p", options=FRONT)
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    path.write_bytes(path.read_bytes()[: places[58]])
    assert f"{name} breaks off at frame 58" in error_of(path)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "mpeg4"), ("a.mkv", "ffv1"), ("a.webm", "libvpx")]
)
def test_a_download_that_stopped_halfway_is_no_shorter_video(
    tmp_path: Path, name: str, codec: str
) -> None:
    path = write(tmp_path / name, noise(60), codec, "bgr0" if codec == "ffv1" else "yuv420p")
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half:] = bytes(len(content) - half)  # such files have their full size from the start
    path.write_bytes(content)
    assert "s of what it announces are missing" in error_of(path)


def test_a_file_without_its_index_cannot_be_decoded(tmp_path: Path) -> None:
    path = h264(tmp_path / "a.mp4", noise(20))
    path.write_bytes(path.read_bytes()[:-500])
    assert "is not a video that can be decoded" in error_of(path)
    with pytest.raises(UserError, match="is not a video that can be decoded"):
        probe(path)


def test_what_only_looks_shorter_is_read_to_its_end(tmp_path: Path) -> None:
    # A phone's trimmed video: the container counts 60 frames, but shows the 25 after the 15th.
    path = h264(tmp_path / "trimmed.mp4", brighter(58), options=FRONT)
    content = bytearray(path.read_bytes())
    place = content.index(b"elst") + 12
    _, begin = struct.unpack_from(">Ii", content, place)
    struct.pack_into(">Ii", content, place, 1000, begin + 15 * 512)
    path.write_bytes(content)
    assert probe(path).frames == 25
    video = load_video(path).video
    assert len(video) == 25
    assert abs(int(video[0].mean()) - int(brighter(58)[15].mean())) < 3
    # A recorded screen, whose last frame stays for as long as one before it, with nothing but the
    # length of the whole to tell so.
    times = [40 * n for n in range(20)] + [400 + 40 * n for n in range(20, 30)]
    path = write(tmp_path / "screen.mkv", noise(30), "mpeg4", "yuv420p", times=times)
    screen = path.read_bytes()
    for known, longer in (
        (struct.pack(">d", 1600), struct.pack(">d", 1960)),
        (b"00:00:01.600000000", b"00:00:01.960000000"),
    ):
        assert screen.count(known) == 1
        screen = screen.replace(known, longer)
    path.write_bytes(screen)
    assert probe(path).seconds == pytest.approx(1.96)
    assert len(load_video(path).video) == 30
    # A camera that leaves out frames, and pauses.
    times = [40 * n for n in range(20)] + [40 * n for n in range(30, 40)] + [2000]
    for name, codec in (("a.avi", "mpeg4"), ("a.mkv", "mpeg4"), ("a.mp4", "libx264")):
        path = write(tmp_path / name, noise(31), codec, "yuv420p", times=times)
        assert len(load_video(path).video) == 31


# What a video is like.


def test_probe(tmp_path: Path) -> None:
    path = h264(tmp_path / "a.mp4", moving(50))
    assert probe(path) == VideoInfo("a.mp4", 24, 36, 3, 50, 25.0, False, 2.0)
    grey = write(tmp_path / "a.mkv", moving(5)[..., 0], "ffv1", "gray", layout="gray", rate=10)
    found = probe(grey)
    assert (found.channels, found.frames, found.fps, found.variable_rate) == (1, None, 10, False)
    assert found.expected_frames == 5
    folder = tmp_path / "folder"
    folder.mkdir()
    for n in range(3):
        Image.fromarray(moving(1)[0]).save(folder / f"{n}.png")
    assert probe(folder) == VideoInfo("folder", 24, 36, 3, 3, None, False)
    (tmp_path / "two").mkdir()
    folder.rename(tmp_path / "two" / "a")
    (tmp_path / "two" / "b").symlink_to(tmp_path / "two" / "a")
    with pytest.raises(UserError, match="holds 2 sequences"):
        probe(tmp_path / "two")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts", "a.webm"])
def test_uneven_times_are_noticed_and_frames_taken_as_they_come(tmp_path: Path, name: str) -> None:
    codec = {"a.avi": "mpeg4", "a.webm": "libvpx"}.get(name, "libx264")
    even = write(tmp_path / f"even_{name}", noise(40), codec, "yuv420p", rate=30)
    assert not probe(even).variable_rate
    times = [100 * n + 200 * (n // 4) for n in range(40)]
    uneven = write(tmp_path / name, noise(40), codec, "yuv420p", rate=10, times=times)
    assert probe(uneven).variable_rate
    assert len(load_video(uneven).video) == 40


# Frames of two sizes.


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    for n in range(4):
        Image.fromarray(moving(1)[0]).save(tmp_path / f"{n}.png")
    Image.new("RGB", (10, 10)).save(tmp_path / "2.png")
    message = error_of(tmp_path)
    assert "2.png, from 36 x 24 pixels in 3 channels to 10 x 10" in message
    assert "bring all frames to one size" in message
    assert len(load_video(tmp_path, options=SourceOptions(stop=2)).video) == 2
    Image.new("L", (36, 24)).save(tmp_path / "2.png")
    assert "2.png, from 36 x 24 pixels in 3 channels to 36 x 24 pixels in 1 channel" in (
        message := error_of(tmp_path)
    )
    assert "data.channels=1" in message
    assert load_video(tmp_path, options=SourceOptions(channels=1)).video.shape == (4, 24, 36, 1)


@pytest.mark.parametrize("kind", ["ts", "h264"])
def test_a_video_that_changes_its_size_says_at_which_frame(tmp_path: Path, kind: str) -> None:
    one = h264(tmp_path / f"a.{kind}", moving(12, 48, 64))
    two = h264(tmp_path / f"b.{kind}", moving(12, 32, 32))
    one.write_bytes(one.read_bytes() + two.read_bytes())
    message = error_of(one)
    assert "changes its frame size at frame 12, from 64 x 48" in message
    assert load_video(one, options=SourceOptions(stop=12)).video.shape == (12, 48, 64, 3)


# Grey, and more than 8 bits.

RAMP = np.linspace(0, 1, 24 * 36).reshape(1, 24, 36)
EIGHT = np.rint(RAMP * 255)


def off_by(video: np.ndarray, wanted: np.ndarray = EIGHT) -> float:
    return float(np.abs(video[..., 0] - wanted).max())


@pytest.mark.parametrize(
    ("layout", "most"),
    [
        ("gray", 255),
        ("gray10le", 1023),
        ("gray12le", 4095),
        ("gray16le", 65535),
        ("gray16le", 4095),
        ("gray16le", 1023),
        ("gray16le", 255),
    ],
)
def test_grey_video_of_any_depth(tmp_path: Path, layout: str, most: int) -> None:
    values = np.rint(RAMP * most).astype(np.uint8 if layout == "gray" else np.uint16)
    path = write(tmp_path / "a.mkv", np.repeat(values, 3, 0), "ffv1", layout, layout=layout)
    video = load_video(path).video
    assert video.shape == (3, 24, 36, 1)
    assert off_by(video) <= 1
    assert probe(path).channels == 1
    coloured = load_video(path, options=SourceOptions(channels=3)).video
    assert coloured.shape == (3, 24, 36, 3)
    assert off_by(coloured) <= 1


def test_the_depth_is_one_for_all_frames_and_all_options(tmp_path: Path) -> None:
    # A lamp that is off at first: the sample is not of the first frames alone.
    dark, light = np.rint(RAMP * 200), np.rint(RAMP * 4095)
    values = np.concatenate([dark] * 40 + [light] * 40).astype(np.uint16)
    path = write(tmp_path / "a.mkv", values, "ffv1", "gray16le", layout="gray16le")
    video = load_video(path).video
    assert video[0].max() == round(200 * 255 / 4095)
    assert video[-1].max() == 255
    first = load_video(path, options=SourceOptions(stop=2)).video
    assert np.array_equal(first, video[:2])


def test_coloured_video_of_many_bits(tmp_path: Path) -> None:
    video = moving(4)
    ten = write(tmp_path / "a.mkv", brighter(4), "ffv1", "yuv420p10le")
    assert np.abs(load_video(ten).video.astype(int) - brighter(4)).max() <= 2
    for scale in (257, 16):  # 16 bits, 12 bits
        wide = video.astype(np.uint16) * scale
        path = write(tmp_path / "b.mkv", wide, "ffv1", "gbrp16le", layout="rgb48le")
        assert np.abs(load_video(path).video.astype(int) - video).max() <= 1


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("most", [65535, 4095, 300])
def test_images_of_16_bits(tmp_path: Path, ending: str, most: int) -> None:
    for n, part in enumerate((0.1, 1.0)):
        values = np.rint(RAMP[0] * most * part).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / f"{n}.{ending}")
    video = load_video(tmp_path).video
    assert video.shape == (2, 24, 36, 1)
    full = 2 ** most.bit_length() - 1
    assert off_by(video[1:], RAMP * 255 * most / full) <= 1
    assert off_by(video[:1], RAMP * 25.5 * most / full) <= 1
    coloured = load_video(tmp_path, options=SourceOptions(channels=3)).video
    assert np.array_equal(coloured, np.repeat(video, 3, -1))


@pytest.mark.parametrize("most", [1.0, 255.0, 70000.0])
def test_images_of_fractions_and_of_32_bits(tmp_path: Path, most: float) -> None:
    values = RAMP[0] * most
    values[0, 0] = -5
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "a.tif")
    wanted = EIGHT * (1 if most < 256 else 70000 / 131071)
    assert off_by(load_video(tmp_path).video, wanted) <= 1
    if most > 1:
        Image.fromarray(values.astype(np.int32)).save(tmp_path / "a.tif")
        assert off_by(load_video(tmp_path).video, wanted) <= 1


@pytest.mark.parametrize(("name", "codec"), [("a.png", "png"), ("a.tif", "tiff")])
def test_coloured_images_of_16_bits_that_use_12(tmp_path: Path, name: str, codec: str) -> None:
    wide = moving(3)[1:2].astype(np.uint16) * 16
    with av.open(str(tmp_path / name), "w", format="image2") as container:
        stream: Any = container.add_stream(codec, rate=1)
        stream.height, stream.width = 24, 36
        stream.pix_fmt = "rgb48be" if codec == "png" else "rgb48le"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(wide[0], format="rgb48le")))
        container.mux(stream.encode())
    video = load_video(tmp_path).video
    assert np.abs(video.astype(int) - moving(3)[1]).max() <= 1


def stack(path: Path, pages: int, **more: Any) -> Path:
    """A TIFF stack of 12 bits."""
    values = np.rint(RAMP[0] * 4095).astype(np.uint16)
    images = [Image.fromarray(np.roll(values, n, axis=0)) for n in range(pages)]
    images[0].save(path, save_all=True, append_images=images[1:], **more)
    return path


def test_every_page_of_a_stack_is_a_frame(tmp_path: Path) -> None:
    path = stack(tmp_path / "a.tif", 6)
    video = load_video(path).video
    assert video.shape == (6, 24, 36, 1)
    assert all(off_by(video[n : n + 1], np.roll(EIGHT, n, axis=1)) <= 1 for n in range(6))
    assert probe(path).frames == 6
    folder = tmp_path / "folder"
    folder.mkdir()
    path.rename(folder / "1.tif")
    stack(folder / "2.tif", 3)
    assert len(load_video(folder).video) == probe(folder).frames == 9
    some = load_video(folder, options=SourceOptions(start=1, stop=8, stride=3)).video
    assert np.array_equal(some, np.stack([video[1], video[4], video[1]]))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_stack_that_is_cut(tmp_path: Path) -> None:
    path = stack(tmp_path / "a.tif", 8)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    message = error_of(path)
    assert "a.tif breaks off at page 5" in message
    assert len(load_video(path, options=SourceOptions(stop=5)).video) == 5
    large = stack(tmp_path / "b.tif", 2, tiffinfo={270: "ImageJ=1.54f\nimages=9000\nslices=9000\n"})
    assert "announces 9000 pages, but has 2" in error_of(large)
    images = [Image.fromarray(frame) for frame in moving(8)]
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:])
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    assert "a.png breaks off at page" in error_of(tmp_path / "a.png")


# Upright.

TURNS = [(angle, flip) for angle in (0, 90, 180, 270) for flip in (False, True)]


@pytest.mark.parametrize(("angle", "flip"), TURNS)
def test_a_phone_held_sideways(tmp_path: Path, angle: int, flip: bool) -> None:
    scene = np.zeros((2, 32, 48, 3), np.uint8)
    scene[:, :16, :24] = 200  # the upper left is bright,
    scene[:, :16, 24:] = 100  # the upper right less so
    path = write(tmp_path / "a.mp4", scene, "libx264", "yuv444p", turn=(angle, flip, False))
    wanted = np.rot90(scene, angle // 90, axes=(1, 2))[:, :, :: -1 if flip else 1]
    video = load_video(path).video
    assert video.shape == wanted.shape
    assert np.abs(video.astype(int) - wanted).mean() < 3
    assert (probe(path).height, probe(path).width) == wanted.shape[1:3]
    assert all(frame.flags.c_contiguous for frame in iterate_frames(path))


def test_photos_held_sideways(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees clockwise
    picture = Image.fromarray(brighter(1)[0])
    picture.paste((255, 255, 255), (0, 0, 32, 24))  # upper left
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        for n in range(3):
            packet = av.Packet((tmp_path / "a.jpg").read_bytes())
            packet.stream, packet.pts, packet.dts = stream, n, n
            packet.time_base = Fraction(1, 10)
            container.mux(packet)
    for place, frames in ((tmp_path / "a.jpg", 1), (path, 3)):
        video = load_video(place).video
        assert video.shape == (frames, 64, 48, 3)
        assert video[0, 5, 40].min() > 240  # upper right
        assert video[0, 60, 40].max() < 60


# What is no video.


def write_sound(path: Path, *, cover: bool = False) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=44100, layout="mono")
        if cover:
            picture: Any = container.add_stream("mjpeg", rate=1)
            picture.height, picture.width, picture.pix_fmt = 24, 36, "yuvj420p"
            picture.disposition = Disposition.attached_pic
            container.mux(picture.encode(av.VideoFrame.from_ndarray(moving(1)[0])))
            container.mux(picture.encode())
        for n in range(20):
            silence = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.rate, frame.pts = 44100, n * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_sound_is_no_video(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    write_sound(tmp_path / "a.mp4")
    write_sound(tmp_path / "cover.mp4", cover=True)
    for path in tmp_path.iterdir():
        assert f"{path.name} is not a video: it has no video stream" in error_of(path)
        with pytest.raises(UserError, match="it has no video stream"):
            probe(path)


def test_what_is_no_video_at_all(tmp_path: Path) -> None:
    contents = {
        "notes.txt": b"this is no video\n" * 50,
        "empty.mp4": b"",
        "empty.tif": b"",
        "noise.mp4": noise(10).tobytes(),
        "noise.png": noise(10).tobytes(),
        "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'></svg>",
        "list.m3u8": b"#EXTM3U\n#EXTINF:9,\nhttp://192.0.2.1/a.ts\n#EXT-X-ENDLIST\n",
        "stream.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert name in error_of(tmp_path / name)
    assert "does not exist" in error_of(tmp_path / "missing.mp4")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").touch()
    assert "holds no frames" in error_of(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe")  # would be waited for without end
    assert "is neither a file nor a folder" in error_of(tmp_path / "pipe")


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder of somebody else's files, while this process is not the superuser."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "images").mkdir()
        for n in range(2):
            Image.fromarray(moving(1)[0]).save(folder / "images" / f"{n}.png")
        (folder / "images" / "1.png").chmod(0o000)
        write(folder / "a.mkv", moving(2)).chmod(0o000)
        (folder / "closed").mkdir()
        (folder / "closed").chmod(0o000)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            (folder / "closed").chmod(0o755)


def test_what_may_not_be_read(nobody: Path) -> None:
    for path in (nobody / "a.mkv", nobody / "closed", nobody / "closed" / "a.mkv"):
        assert "may not be read: change its permissions" in error_of(path)
    assert "1.png may not be read" in error_of(nobody / "images")


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.mkv", moving(3)).rename(tmp_path / "12:30.mkv")
    monkeypatch.chdir(tmp_path)
    assert len(load_video("12:30.mkv").video) == 3


@pytest.mark.parametrize("name", ["²1.png", "a%03d.png", "[b]c.png", "a b=1?.png", "#.png"])
def test_odd_names_of_images(tmp_path: Path, name: str) -> None:
    wide = moving(1)[0].astype(np.uint16) * 16  # colours of 16 bits, which ffmpeg reads
    path = write(tmp_path / "plain.png", wide[None], "png", "rgb48be", layout="rgb48le")
    path.rename(tmp_path / name)
    assert np.abs(load_video(tmp_path).video.astype(int) - moving(1)).max() <= 1


def test_a_title_in_an_old_encoding_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Munich 1"
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 24, 36, "yuv420p"
        for frame in moving(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes().replace(b"Munich 1", "München 1"[:8].encode("latin-1")))
    assert len(load_video(path).video) == probe(path).frames == 5


# Memory.


def refused_early(path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> str:
    """The error of a recording that is refused before it is decoded."""

    def never(*arguments: object) -> None:
        raise AssertionError("decoded all the same")

    with monkeypatch.context() as patched:
        patched.setattr(strips, "read_frames", never)
        return error_of(path, **options)


def test_a_recording_that_does_not_fit_is_refused_early_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = np.full((12, 540, 960), 7, np.uint8)
    path = write(tmp_path / "a.mp4", grey, "mpeg4", "yuv420p", layout="gray")
    monkeypatch.setattr(strips, "MEMORY_LIMIT", 3 * 540 * 960 * 3)
    message = refused_early(path, monkeypatch)
    assert "data.resize=[270,480] (height, width)" in message
    assert "--set data.stride=4, or --set data.stop=3" in message
    remedies: list[dict[str, Any]] = [{"stride": 4}, {"stop": 3}, {"resize": (270, 480)}]
    lengths = [len(load_video(path, options=SourceOptions(**one)).video) for one in remedies]
    assert lengths == [3, 3, 12]
    assert "data.stop=7" in refused_early(path, monkeypatch, start=4)
    assert "data.resize=[135,240]" in refused_early(path, monkeypatch, tiles=(2, 2))
    # Of a length that is not announced.
    matroska = write(tmp_path / "a.mkv", grey[:6], "mpeg4", "yuv420p", layout="gray")
    assert "data.stop=3" in refused_early(matroska, monkeypatch)


def test_a_length_that_nobody_knows_is_watched_while_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = h264(tmp_path / "a.h264", noise(40))
    assert probe(path).expected_frames is None
    monkeypatch.setattr(strips, "MEMORY_LIMIT", 10 * 48 * 64 * 3)
    assert "data.stop=10" in error_of(path)
    monkeypatch.setattr(strips, "MEMORY_LIMIT", 2**40)
    monkeypatch.setattr(strips, "available_memory", lambda: 20 * 48 * 64 * 3)
    assert "data.stop=10" in error_of(path)  # half of what there is
    monkeypatch.setattr(strips, "available_memory", lambda: None)
    assert len(load_video(path).video) == 40


def test_the_memory_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free, contained = tmp_path / "meminfo", tmp_path / "memory.max"
    monkeypatch.setattr(budget, "_MEMINFO", free)
    monkeypatch.setattr(budget, "_CONTAINER", (contained, tmp_path / "missing"))
    free.write_text("MemTotal: 9000 kB\nMemAvailable:    3000 kB\n")
    contained.write_text("max\n")
    assert budget.available_memory() == 3000 * 1024
    contained.write_text("1000000\n")
    assert budget.available_memory() == 1_000_000
    free.unlink()
    contained.unlink()
    assert budget.available_memory() is None


def test_frames_one_by_one_take_no_more_memory_than_a_few(tmp_path: Path) -> None:
    grey = np.full((12, 2160, 3840), 7, np.uint8)
    path = write(tmp_path / "a.mp4", grey, "mpeg4", "yuv420p", layout="gray")
    tracemalloc.start()
    assert sum(frame.shape == (2160, 3840, 3) for frame in iterate_frames(path)) == 12
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 * 2160 * 3840 * 3


def test_an_image_of_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (300, 300)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "a.png has too many pixels" in error_of(tmp_path)


# Sound after all.


def test_frames_that_are_all_equal(tmp_path: Path) -> None:
    still = np.repeat(moving(1), 30, axis=0)
    for name, codec, pixels in (("a.mkv", "ffv1", "bgr0"), ("a.gif", "gif", "rgb8")):
        assert len(load_video(write(tmp_path / name, still, codec, pixels)).video) == 30


def test_transparency_and_palettes(tmp_path: Path) -> None:
    colour = (200, 100, 50)
    images = {
        "RGBA": Image.new("RGBA", (8, 4), (*colour, 0)),
        "LA": Image.new("LA", (8, 4), (77, 0)),
        "P": Image.new("RGB", (8, 4), colour).convert("P", palette=Image.Palette.ADAPTIVE),
        "1": Image.new("1", (8, 4), 1),
        "CMYK": Image.new("RGB", (8, 4), colour).convert("CMYK"),
    }
    wanted = {"LA": [77], "1": [255]}
    for mode, image in images.items():
        place = tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        image.save(place)
        with Image.open(place) as file:
            assert file.mode == mode
        assert load_video(place).video[0, 0, 0].tolist() == wanted.get(mode, list(colour))


def test_interlaced_images(tmp_path: Path) -> None:
    pixels = moving(2, 21, 30)[1]
    # Adam7: the top, left, and distances of rows and of columns of seven grids.
    grids = ("0088", "0488", "4084", "0244", "2042", "0122", "1021")
    rows = b""
    for top, left, down, across in (map(int, grid) for grid in grids):
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[top::down, left::across])
    header = struct.pack(">IIBBBBB", 30, 21, 8, 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    content = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert np.array_equal(load_video(tmp_path).video[0], pixels)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animations(tmp_path: Path, name: str) -> None:
    levels = [Image.new("RGB", (16, 8), (40 * n, 40 * n, 255)) for n in range(6)]
    more: dict[str, Any] = {"lossless": True} if name == "a.webp" else {}
    levels[0].save(tmp_path / name, save_all=True, append_images=levels[1:], duration=40, **more)
    video = load_video(tmp_path / name).video
    assert video.shape == (6, 8, 16, 3)
    assert video[:, 0, 0, 0].tolist() == [0, 40, 80, 120, 160, 200]
    assert probe(tmp_path / name).frames == 6


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_frames_come_in_the_order_of_showing(tmp_path: Path, name: str) -> None:
    video = load_video(h264(tmp_path / name, brighter(50))).video
    assert len(video) == 50
    assert np.abs(video.astype(int) - brighter(50)).max() <= 3


def test_times_below_zero(tmp_path: Path) -> None:
    times = [40 * n - 400 for n in range(30)]
    keep = {"avoid_negative_ts": "disabled"}
    path = h264(tmp_path / "a.mkv", brighter(30), times=times, options=keep)
    video = load_video(path).video
    assert np.abs(video.astype(int) - brighter(30)).max() <= 3


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("b.webm", "libvpx")]
)
def test_a_video_that_begins_between_key_frames(tmp_path: Path, name: str, codec: str) -> None:
    whole = write(
        tmp_path / f"whole_{name}", brighter(50), codec, "yuv420p", codec_options={"g": "20"}
    )
    with av.open(str(whole)) as source, av.open(str(tmp_path / name), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for n, packet in enumerate(source.demux(video=0)):
            if n >= 5 and packet.size:
                packet.stream = stream
                target.mux(packet)
    video = load_video(tmp_path / name).video
    assert np.abs(video.astype(int) - brighter(50)[20:]).max() <= 3
    assert probe(tmp_path / name).height == 48


# Levels and crops.


def test_levels_are_stretched_after_decoding_and_before_resizing(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    Image.fromarray(ramp).save(tmp_path / "a.png")
    options = SourceOptions(levels=(50, 200))
    wanted = np.rint((ramp.astype(float) - 50) * 255 / 150).clip(0, 255)
    assert np.array_equal(load_video(tmp_path, options=options).video[0, ..., 0], wanted)
    assert np.array_equal(next(iterate_frames(tmp_path, options=options))[..., 0], wanted)
    checks = np.indices((8, 8)).sum(axis=0) % 2 * 200
    Image.fromarray(checks.astype(np.uint8)).save(tmp_path / "a.png")
    options = SourceOptions(levels=(0, 50), resize=(4, 4), channels=3)
    for video in (
        load_video(tmp_path, options=options).video,
        *iterate_frames(tmp_path, options=options),
    ):
        assert set(np.unique(video)) <= {127, 128}  # of black and white; first resized, of black


@pytest.mark.parametrize("levels", [(5, 5), (200, 100), (-1, 20), (0, 256)])
def test_bad_levels(levels: Any) -> None:
    with pytest.raises(UserError, match="levels="):
        SourceOptions(levels=levels)


def test_where_a_crop_was_taken(tmp_path: Path) -> None:
    video = moving(6)
    path = write(tmp_path / "a.mkv", video)
    source = RecordingSource(path, options=SourceOptions(crop=(10, 12)))
    assert (source.whole, source.height, source.width) == ((24, 36), 10, 12)
    corners = set()
    for index in range(0, 40, 3):
        clip = source.clip(index, 4)
        top, left = source.corner(index, 4)
        assert clip.corner == (top, left)
        first = index % 3
        assert np.array_equal(
            clip.video, video[first : first + 4, top : top + 10, left : left + 12]
        )
        corners.add((top, left))
    assert len(corners) > 8
    with pytest.raises(UserError, match="fewer than the 7"):
        source.corner(0, 7)
    uncropped = RecordingSource(path)
    assert uncropped.corner(1, 4) == (0, 0)
    assert uncropped.clip(1, 4).corner is None
    assert uncropped.whole == (24, 36)
