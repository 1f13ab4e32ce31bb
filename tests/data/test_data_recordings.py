"""Videos, image folders, MOTChallenge folders and NetCDF files: what goes in comes out."""

import gzip
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from scalor_ppl.data import (
    SourceOptions,
    batches,
    describe,
    iterate_frames,
    load_video,
    open_source,
    strips,
)
from scalor_ppl.data.netcdf import write_netcdf
from scalor_ppl.errors import UserError

REAL = Path(__file__).parents[3] / "shared" / "data"
GREY = np.arange(256, dtype=np.uint8)


def moving(frames: int, height: int = 24, width: int = 36) -> np.ndarray:
    """[T, H, W, 3] uint8 frames that all differ."""
    t, y, x = np.meshgrid(range(frames), range(height), range(width), indexing="ij")
    return np.stack([t * 9 % 256, (y * 10 + t) % 256, (x * 7) % 256], axis=-1).astype(np.uint8)


def write_video(path: Path, video: np.ndarray, codec: str = "ffv1", pixels: str = "bgr0") -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = *video.shape[1:3], pixels
        for frame in video:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_images(folder: Path, video: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for t, frame in enumerate(video):
        Image.fromarray(frame).save(folder / f"frame{t}.png")  # frame10 sorts before frame2
    return folder


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    """A MOTChallenge sequence of 12 frames with two objects and one that is to be ignored."""
    folder = tmp_path / "seq"
    write_images(folder / "img1", moving(12))
    rows = [f"{t},7,{t},4,6,8,1,-1,-1,-1" for t in range(1, 13)]
    rows += [f"{t},3,30,{t},12,6,1,-1,-1,-1" for t in range(1, 6)]
    rows += ["2,9,1,1,5,5,0,-1,-1,-1", ""]
    (folder / "gt").mkdir()
    (folder / "gt" / "gt.txt").write_text("\n".join(rows))
    return folder


def test_video_comes_back_and_index_is_the_first_frame(tmp_path: Path) -> None:
    video = moving(14)
    path = write_video(tmp_path / "a.mkv", video)
    source = open_source(path)
    assert np.array_equal(load_video(path).video, video)
    assert (source.height, source.width, source.channels) == (24, 36, 3)
    assert len(source) == 14
    assert source.starts(10) == 5
    assert np.array_equal(source.clip(4, 10).video, video[4:])
    assert source.clip(0, 10).truth is None
    assert np.array_equal(np.stack(list(iterate_frames(path))), video)
    made = next(batches(source, batch=3, frames=5, seed=0)).video
    assert made.shape == (3, 5, 24, 36, 3)


def test_stride_start_stop_and_grey(tmp_path: Path) -> None:
    video = moving(14)
    path = write_video(tmp_path / "a.mkv", video)
    options = SourceOptions(start=2, stop=12, stride=3)
    assert np.array_equal(load_video(path, options=options).video, video[2:12:3])
    folder = write_images(tmp_path / "folder", video)
    assert np.array_equal(load_video(folder, options=options).video, video[2:12:3])
    for place in (path, folder):
        assert load_video(place, options=SourceOptions(channels=1)).video.shape == (14, 24, 36, 1)


def test_image_folder_is_in_natural_order_and_subfolders_are_sequences(tmp_path: Path) -> None:
    video = moving(12)
    write_images(tmp_path / "all" / "part1", video[:5])
    write_images(tmp_path / "all" / "part2", video)
    source = open_source(tmp_path / "all")
    assert source.starts(4) == 2 + 9
    assert np.array_equal(source.clip(2, 4).video, video[:4])
    assert np.array_equal(source.clip(10, 4).video, video[8:])
    with pytest.raises(UserError, match="2 sequences"):
        load_video(tmp_path / "all")


def test_grey_images_stay_grey_and_16_bits_become_8(tmp_path: Path) -> None:
    grey = np.tile(GREY, (8, 1))
    Image.fromarray(grey).save(tmp_path / "0.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "1.png")
    video = load_video(tmp_path).video
    assert np.array_equal(video, np.stack([grey, grey])[..., None])


def test_resize_averages_areas(tmp_path: Path) -> None:
    checks = np.indices((20, 30)).sum(axis=0) % 2 * 255
    folder = write_images(tmp_path / "f", np.repeat(checks[None, ..., None], 3, -1).astype("u1"))
    small = load_video(folder, options=SourceOptions(resize=(10, 15))).video
    assert small.shape == (1, 10, 15, 3)
    assert set(np.unique(small)) <= {127, 128}


def test_tiles_are_sequences_of_their_own(tmp_path: Path) -> None:
    video = moving(6)
    folder = write_images(tmp_path / "f", video)
    source = open_source(folder, options=SourceOptions(tiles=(2, 4), resize=(12, 9)))
    assert source.starts(5) == 8 * 2
    assert np.array_equal(source.clip(3, 5).video, video[1:, :12, 9:18])
    assert np.array_equal(source.clip(14, 5).video, video[:5, 12:, 27:])


def test_crops_are_random_in_train_and_reproducible(tmp_path: Path) -> None:
    video = moving(8)
    folder = write_images(tmp_path / "f", video)
    options = SourceOptions(crop=(16, 16))
    source = open_source(folder, options=options)
    assert (source.height, source.width) == (16, 16)
    starts = 8 - 5 + 1
    one, other = source.clip(2, 5).video, source.clip(2 + starts, 5).video
    assert one.shape == (5, 16, 16, 3)
    assert np.array_equal(one, open_source(folder, options=options).clip(2, 5).video)
    assert np.array_equal(one[:, 0, 0, 0], video[2:7, 0, 0, 0])  # red tells the frame
    assert np.array_equal(other[:, 0, 0, 0], video[2:7, 0, 0, 0])
    places = {source.clip(k * starts, 5).video.tobytes() for k in range(30)}
    assert len(places) > 15
    assert open_source(folder, split="test", options=options).height == 24


def test_motchallenge_folder_scales_boxes_with_frames(sequence: Path) -> None:
    truth = load_video(sequence).truth
    assert truth is not None
    assert truth.ids.tolist() == [3, 7, 9]
    assert truth.ignored is not None
    assert np.argwhere(truth.ignored).tolist() == [[1, 2]]
    assert truth.counted(0.25)[:3, 2].tolist() == [False, False, False]
    assert truth.without_ignored().ids.tolist() == [3, 7]
    assert truth.masks is None
    assert truth.boxes[3, 1].tolist() == [4, 4, 6, 8]
    assert np.isnan(truth.boxes[5:, 0]).all()
    assert (truth.visible[5:, 0] == 0).all()
    assert truth.visible[0, :2].tolist() == [0.5, 1]  # 30 + 12 pixels in a view of 36
    expected = (12 * (6 + 8) / 2 + 5 * (12 + 6) / 2) / 17
    assert truth.object_size == pytest.approx(expected)

    half = load_video(sequence, options=SourceOptions(resize=(12, 18), start=1, stride=2)).truth
    assert half is not None
    assert half.boxes[:, 1, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert half.boxes[0, 1].tolist() == [1, 2, 3, 4]
    assert half.object_size == pytest.approx(np.mean([7] * 6 + [9] * 2) / 2)


def test_motchallenge_clips_hold_the_objects_that_occur(sequence: Path) -> None:
    clip = open_source(sequence).clip(6, 4)
    assert clip.truth is not None
    assert clip.truth.ids.tolist() == [7]
    assert clip.truth.boxes[:, 0, 0].tolist() == [7, 8, 9, 10]
    cut = open_source(sequence, options=SourceOptions(tiles=(1, 2))).clip(9, 4)
    assert cut.truth is not None
    assert cut.truth.boxes[0, 0].tolist() == [12, 1, 12, 6]  # the right tile begins at 18


def test_motchallenge_folder_may_hold_a_video(sequence: Path) -> None:
    for image in (sequence / "img1").iterdir():
        image.unlink()
    (sequence / "img1").rmdir()
    write_video(sequence / "a.mkv", moving(12))
    measured = describe(open_source(sequence), clips=50, frames=6)
    assert measured.clips == 7
    assert measured.objects == (1, pytest.approx(12 / 7), 2)  # the ignored one is left out
    assert measured.speed == pytest.approx(1)


def test_netcdf_round_trip(tmp_path: Path) -> None:
    source = open_source("moving-dsprites-dense-discovery", split="test", seed=3)
    path = tmp_path / "clips.nc"
    write_netcdf(source, path, clips=4, frames=6)
    write_netcdf(source, path, clips=3, frames=6)  # replaces
    assert [p.name for p in tmp_path.iterdir()] == ["clips.nc"]
    back = open_source(path)
    assert len(back) == back.starts(6) == 3
    assert back.starts(7) == 0
    assert (back.name, back.height, back.channels) == (source.name, 64, 3)
    for index in range(3):
        for frames in (6, 4):
            old, new = source.clip(index, frames), back.clip(index, frames)
            assert old.name == new.name
            assert np.array_equal(old.video, new.video)
            assert old.truth is not None
            assert new.truth is not None
            assert old.truth.object_size == new.truth.object_size
            for field in ("ids", "boxes", "visible", "masks"):
                a, b = getattr(old.truth, field), getattr(new.truth, field)
                assert a.dtype == b.dtype
                assert np.array_equal(a, b, equal_nan=field == "boxes")
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        assert dataset["video"].dims == ("clip", "frame", "y", "x", "channel")
        assert dataset["box"].dims == ("clip", "frame", "object", "corner")
        assert dataset.attrs["seed"] == 3
        assert '"births"' in dataset.attrs["spec"]


def test_netcdf_without_truth(tmp_path: Path) -> None:
    source = open_source(write_images(tmp_path / "f", moving(6)))
    write_netcdf(source, tmp_path / "a.nc", clips=2, frames=5)
    clip = open_source(tmp_path / "a.nc").clip(1, 5)
    assert clip.truth is None
    assert np.array_equal(clip.video, moving(6)[1:])


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings in {REAL}")
def test_real_recordings(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    (folder / "gt").mkdir(parents=True)
    (folder / "a.mp4").symlink_to(REAL / "pets09_s2l1" / "frames_001_200.mp4")
    (folder / "gt" / "gt.txt").symlink_to(REAL / "pets09_s2l1" / "gt_001_200.txt")
    source = open_source(folder, options=SourceOptions(resize=(144, 192)))
    clip = source.clip(0, 10)
    assert len(source) == 200
    assert clip.video.shape == (10, 144, 192, 3)
    assert clip.truth is not None
    assert 3 <= (clip.truth.visible[0] > 0).sum() <= 9
    assert clip.truth.object_size == pytest.approx(14, abs=4)
    ninth = clip.truth.boxes[0, clip.truth.ids.tolist().index(9)]
    assert np.allclose(ninth, [124.75, 39.5, 7.76, 18.795])

    water = SourceOptions(channels=1, stop=20, stride=2)
    video = load_video(REAL / "bulk_water" / "frames_000_199.mp4", options=water).video
    assert video.shape == (10, 424, 640, 1)
    assert 90 < video.min() < video.max() < 190


def broken(tmp_path: Path, kind: str) -> Path:
    """Make a bad input."""
    path = tmp_path / kind
    if kind == "text.mp4":
        path.write_text("this is no video\n" * 50)
    elif kind == "notes.txt":
        path.write_text("nor is this\n" * 50)
    elif kind == "empty.mp4":
        path.touch()
    elif kind == "empty":
        path.mkdir()
    elif kind == "two":
        path.mkdir()
        write_video(path / "a.mkv", moving(2))
        write_video(path / "b.mkv", moving(2))
    elif kind == "sizes":
        write_images(path, moving(2))
        Image.new("RGB", (10, 10)).save(path / "frame2.png")
    elif kind == "image":
        write_images(path, moving(2))
        (path / "frame2.png").write_bytes(b"\x89PNG no")
    elif kind == "differ":
        write_images(path / "a", moving(2))
        write_images(path / "b", moving(2, 10, 10))
    elif kind in ("rows", "twice", "binary"):
        write_images(path / "img1", moving(3))
        (path / "gt").mkdir()
        good = "1,1,2,2,3,3,1,-1,-1,-1\n"
        text = {"rows": "1,one,2,2,3,3\n", "twice": good, "binary": "\udcff"}[kind]
        (path / "gt" / "gt.txt").write_bytes((good + text).encode(errors="surrogateescape"))
    elif kind == "bad.nc":
        path.write_bytes(b"\x89HDF\r\n\x1a\n and nothing more")
    elif kind == "other.nc":
        xr.Dataset({"rain": ("day", [1.0, 2.0])}).to_netcdf(path, engine="h5netcdf")
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing.mp4", "neither a registered set nor an existing path"),
        ("text.mp4", r"text\.mp4 is not a video"),
        ("notes.txt", r"notes\.txt is not a video"),
        ("empty.mp4", r"empty\.mp4 is not a video"),
        ("empty", "holds no frames"),
        ("two", "holds 2 video files"),
        ("sizes", r"its frame size at .*frame2\.png, from 36 x 24 .* to 10 x 10 .*stop=2"),
        ("image", r"frame2\.png is not a readable image"),
        ("differ", "a and b differ in frame size"),
        ("rows", r"gt\.txt, line 2 is not frame,id"),
        ("twice", r"gt\.txt, line 2: id 1 is twice in frame 1"),
        ("binary", r"gt\.txt, line 2 is not frame,id"),
        ("bad.nc", r"bad\.nc is not a readable NetCDF"),
        ("other.nc", r"other\.nc holds no clips"),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path: Path, kind: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        open_source(broken(tmp_path, kind))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 5}, "has no frames from 5 to the end"),
        ({"crop": (64, 64)}, r"crop=\(64, 64\) is larger than"),
        ({"tiles": (100, 1)}, r"tiles=\(100, 1\) are more"),
        ({"resize": (0, 4)}, r"resize=\(0, 4\)"),
        ({"stride": 0}, "stride=0"),
        ({"start": 3, "stop": 3}, "frames 3 to 3 are none"),
    ],
)
def test_bad_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    for kind, place in (
        ("images", write_images(tmp_path / "f", moving(4))),
        ("video", write_video(tmp_path / "a.mkv", moving(4))),
    ):
        with pytest.raises(UserError, match=message):
            open_source(place, options=SourceOptions(**options))
        assert kind


def test_clip_longer_than_the_recording(tmp_path: Path) -> None:
    source = open_source(write_images(tmp_path / "f", moving(4)))
    with pytest.raises(UserError, match="f has 4 frames in a row, fewer than the 10"):
        source.clip(0, 10)
    with pytest.raises(UserError, match="fewer than the 10"):
        next(batches(source, batch=2, frames=10, seed=0))
    with pytest.raises(UserError, match="fewer than the 10"):
        describe(source, frames=10)
    with pytest.raises(UserError, match="no clip 3"):
        source.clip(3, 2)
    with pytest.raises(UserError, match="clip of 0 frames"):
        source.clip(0, 0)


def test_broken_video_can_be_read_up_to_the_break(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3)).astype(np.uint8)
    path = write_video(tmp_path / "a.mp4", noise, codec="libx264", pixels="yuv420p")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : -20_000] = bytes(len(content) - len(content) // 2 - 20_000)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.mp4 breaks off at frame \d+") as caught:
        load_video(path)
    stop = int(str(caught.value).split("stop=")[1])
    assert 3 < stop < 30
    assert len(load_video(path, options=SourceOptions(stop=stop)).video) == stop


def test_recording_too_large_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "MEMORY_LIMIT", 10_000)
    with pytest.raises(UserError, match=r"GiB or more when decoded.*data.resize=\[12,18\]"):
        load_video(write_images(tmp_path / "f", moving(10)))


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean moving-dsprites-vld"):
        open_source("moving-dsprite-vld")
    with pytest.raises(UserError, match="neither a registered set nor an existing path"):
        open_source("qqq")
    with pytest.raises(UserError, match="split 'validation' is unknown"):
        open_source("moving-dsprites-vld", split="validation")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="seed=-1"):
        open_source("moving-dsprites-vld", seed=-1)
    with pytest.raises(UserError, match="stride apply to recordings only"):
        open_source("moving-dsprites-vld", options=SourceOptions(stride=2))


def test_missing_mnist_says_how_to_get_it(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "nowhere", tmp_path):
        with pytest.raises(UserError, match=r"--data-dir .* t10k-images-idx3-ubyte") as caught:
            open_source("moving-mnist-vld", options=SourceOptions(folder=folder and str(folder)))
        assert "\n" not in str(caught.value)
    images, labels = tmp_path / "t10k-images-idx3-ubyte.gz", tmp_path / "t10k-labels-idx1-ubyte"
    labels.write_bytes(b"\0\0\x08\x01\0\0\0\x04\1\2\3")
    for content, message in (
        (b"junk", "cannot be read"),
        (gzip.compress(b"junk"), "not an IDX file"),
        (gzip.compress(b"\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02\1\2\3\4"), "cut short"),
    ):
        images.write_bytes(content)
        with pytest.raises(UserError, match=message):
            open_source("moving-mnist-vld", options=SourceOptions(folder=str(tmp_path)))


def test_writing_where_one_cannot(tmp_path: Path) -> None:
    source = open_source("moving-dsprites-vld")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        write_netcdf(source, tmp_path / "file" / "a.nc", clips=1, frames=2)
    (tmp_path / "file").unlink()
    with pytest.raises(UserError, match="clips=0"):
        write_netcdf(source, tmp_path / "a.nc", clips=0, frames=2)
    assert not list(tmp_path.iterdir())
