"""Stacks of microscopes: frames, channels and slices told apart."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps, TiffImagePlugin

from scalor_ppl.data import SourceOptions, iterate_frames, load_video, open_source, probe
from scalor_ppl.data.readers import zarr as zarr_reader
from scalor_ppl.errors import UserError

T, Z, C, H, W = 6, 3, 2, 12, 16
WHOLE = np.arange(T * Z * C * H * W, dtype=np.uint32).reshape(T, Z, C, H, W).astype(np.uint16)
"""[T, Z, C, H, W], every value different."""
WHOLE = (np.random.default_rng(0).permutation(WHOLE.ravel())).reshape(WHOLE.shape)

RAW: dict[str, Any] = {"deep_levels": (0.0, 255.0)}


def eight(array: np.ndarray) -> np.ndarray:
    """As `RAW` levels show it: [T, H, W, 1] uint8."""
    return np.minimum(array, 255).astype(np.uint8)[..., None]


def read(path: Path, **options: Any) -> np.ndarray:
    return load_video(path, options=SourceOptions(**RAW, **options)).video


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        read(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def imagej(path: Path, array: np.ndarray, axes: str, **meta: Any) -> Path:
    tifffile.imwrite(path, array, imagej=True, metadata={"axes": axes, **meta})
    return path


@pytest.fixture(params=["imagej", "ome", "shaped", "npy", "npy axes"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """The whole stack in a format, and what must be said of its axes."""
    kind = request.param
    if kind == "imagej":
        return imagej(tmp_path / "a.tif", WHOLE, "TZCYX"), {}
    path = tmp_path / "a.tif"
    if kind == "ome":
        path = tmp_path / "a.ome.tif"
        names = {"axes": "TZCYX", "Channel": {"Name": ["DAPI", "GFP"]}}
        tifffile.imwrite(path, WHOLE, ome=True, metadata=names)
        return path, {}
    if kind == "shaped":
        tifffile.imwrite(path, WHOLE, metadata={"axes": "TZCYX"})
        return path, {}
    path = tmp_path / "a.npy"
    np.save(path, WHOLE if kind == "npy" else np.moveaxis(WHOLE, 2, -1))
    return path, {"axes": "TZCYX" if kind == "npy" else "tzyxc"}


def test_a_channel_and_a_slice_are_chosen(stack: tuple[Path, dict[str, Any]]) -> None:
    path, more = stack
    for channel in range(C):
        for layer in range(Z):
            seen = read(path, channel=channel, slice=layer, **more)
            assert np.array_equal(seen, eight(WHOLE[:, layer, channel]))
    brightest = read(path, channel=1, slice="max", **more)
    assert np.array_equal(brightest, eight(WHOLE[:, :, 1].max(axis=1)))
    options = SourceOptions(channel=1, slice=2, start=1, stop=6, stride=2, **more, **RAW)
    frames = np.stack(list(iterate_frames(path, options=options)))
    assert np.array_equal(frames, eight(WHOLE[1:6:2, 2, 1]))
    about = probe(path, options)
    assert (about.frames, about.height, about.width, about.bits) == (T, H, W, 16)


def test_what_is_not_chosen_is_asked_for(stack: tuple[Path, dict[str, Any]]) -> None:
    path, more = stack
    said = refusal(path, slice=0, **more)
    assert "has 2 channels" in said
    assert "--set data.channel=0" in said
    assert ("0 (DAPI), 1 (GFP)" in said) == path.name.endswith("ome.tif")
    said = refusal(path, channel=0, **more)
    assert "has 3 slices a frame, 0 to 2" in said
    assert "data.slice=max" in said
    assert "data.channel=2: " in refusal(path, channel=2, slice=0, **more)
    assert "has the slices 0 to 2" in refusal(path, channel=0, slice=3, **more)
    assert "give a letter for each" in refusal(path, axes="TYX")


def test_pillow_wrote_the_stack(tmp_path: Path) -> None:
    """As a script would, with ImageJ's description alone, in pages that do not follow closely."""
    frames = [Image.fromarray(np.full((8, 8), 10 * n, np.uint8)) for n in range(20)]
    for what in ("channels", "slices"):
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[270] = f"ImageJ=1.53t\nimages=20\n{what}=2\nframes=10\nhyperstack=true\n"
        path = tmp_path / f"{what}.tif"
        frames[0].save(path, save_all=True, append_images=frames[1:], tiffinfo=tags)
        assert what in refusal(path)
        seen = read(path, **{what[:-1]: 1})
        assert seen[:, 0, 0, 0].tolist() == [10 + 20 * n for n in range(10)]


def test_axes_that_need_no_word(tmp_path: Path) -> None:
    two = imagej(tmp_path / "a.tif", WHOLE[:, 0], "TCYX", finterval=0.5)
    assert np.array_equal(read(two, channel=1), eight(WHOLE[:, 0, 1]))
    assert probe(two, SourceOptions(channel=0)).fps == 2
    # ImageJ calls the frames of an opened sequence slices.
    slices = imagej(tmp_path / "z.tif", WHOLE[:, 0, 0], "ZYX")
    assert np.array_equal(read(slices), eight(WHOLE[:, 0, 0]))
    assert np.array_equal(read(slices, slice=2), eight(WHOLE[2:3, 0, 0]))
    assert np.array_equal(read(slices, slice="max"), eight(WHOLE[:, 0, 0].max(axis=0)[None]))
    plain = tmp_path / "p.tif"
    tifffile.imwrite(plain, WHOLE[:, 0, 0])
    assert np.array_equal(read(plain), eight(WHOLE[:, 0, 0]))
    # Two axes without a name.
    tifffile.imwrite(plain, WHOLE[:, 0])
    assert "--set data.axes=TCYX or TZYX" in refusal(plain)
    assert np.array_equal(read(plain, axes="TCYX", channel=1), eight(WHOLE[:, 0, 1]))
    assert np.array_equal(read(plain, axes="TZYX", slice=0), eight(WHOLE[:, 0, 0]))


def test_colours_are_channels_that_can_be_chosen(tmp_path: Path) -> None:
    video = np.random.default_rng(1).integers(0, 256, (4, H, W, 3), dtype=np.uint8)
    for path in (tmp_path / "a.tif", tmp_path / "b.tif", tmp_path / "c.npy"):
        if path.suffix == ".npy":
            np.save(path, video)
        elif path.stem == "a":
            tifffile.imwrite(path, video, photometric="rgb")
        else:  # in planes of their own
            planes = np.moveaxis(video, -1, 1).copy()
            tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
        assert np.array_equal(read(path), video)
        assert np.array_equal(read(path, channel=1), video[..., 1:2])
        assert "0 (red)" in refusal(path, channel=3)
        assert "one slice only" in refusal(path, slice=1)
    deep = tmp_path / "deep.tif"
    tifffile.imwrite(deep, video.astype(np.uint16) * 16, photometric="rgb")
    seen = load_video(deep).video
    assert seen.shape == video.shape
    assert np.abs(seen.astype(int) - video).max() <= 1


@pytest.mark.parametrize("compression", ["zlib", "packbits", "tiff_lzw", "jpeg", "tiff_deflate"])
def test_compressed_stacks(tmp_path: Path, compression: str) -> None:
    video = np.repeat(np.arange(0, 240, 15, dtype=np.uint8), 16).reshape(1, 16, 16)
    video = np.concatenate([video, video[:, ::-1]])
    images = [Image.fromarray(frame) for frame in video]
    path = tmp_path / "a.tif"
    images[0].save(
        path,
        save_all=True,
        append_images=images[1:],
        compression="tiff_adobe_deflate" if compression == "zlib" else compression,
    )
    seen = read(path)[..., 0].astype(int)
    assert np.abs(seen - video).max() <= (3 if compression == "jpeg" else 0)


def test_all_orientations(tmp_path: Path) -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for orientation in range(1, 9):
        path = tmp_path / f"{orientation}.tif"
        tags = [(274, "H", 1, orientation, False)]
        tifffile.imwrite(path, picture, extratags=tags, metadata=None)
        image = Image.fromarray(picture)
        image.getexif()[274] = orientation
        wanted = np.asarray(ImageOps.exif_transpose(image))
        assert np.array_equal(read(path)[0, ..., 0], wanted), orientation


def test_imagej_stacks_of_more_than_4_gb_have_one_page(tmp_path: Path) -> None:
    """All planes follow the first without pages of their own."""
    path = imagej(tmp_path / "a.tif", WHOLE[:, 0], "TCYX")
    content = bytearray(path.read_bytes())
    order = {b"II": "<", b"MM": ">"}[bytes(content[:2])]
    (first,) = struct.unpack_from(order + "I", content, 4)
    (entries,) = struct.unpack_from(order + "H", content, first)
    struct.pack_into(order + "I", content, first + 2 + 12 * entries, 0)  # no next page
    path.write_bytes(content)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 1
    assert np.array_equal(read(path, channel=1), eight(WHOLE[:, 0, 1]))


def test_a_stack_that_is_cut_says_so(tmp_path: Path) -> None:
    for name, compression in (("a.tif", None), ("b.tif", "zlib")):
        path = tmp_path / name
        tifffile.imwrite(path, WHOLE[:, 0, 0], compression=compression)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 2 // 3])
        said = refusal(path)
        assert "breaks off at page" in said or "not a readable image" in said


def test_endings_do_not_decide(tmp_path: Path) -> None:
    """ffmpeg would read one page of a stack whose name it does not know."""
    tifffile.imwrite(tmp_path / "a.tif", WHOLE[:, 0, 0])
    shutil.copy(tmp_path / "a.tif", tmp_path / "recording")
    assert np.array_equal(read(tmp_path / "recording"), eight(WHOLE[:, 0, 0]))
    np.save(tmp_path / "b.npy", WHOLE[:, 0, 0])
    (tmp_path / "b.npy").rename(tmp_path / "stack.dat")
    assert np.array_equal(read(tmp_path / "stack.dat"), eight(WHOLE[:, 0, 0]))


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.zeros((H, W), np.float32), (1, H, W, 1)),
        (np.zeros((T, H, W), bool), (T, H, W, 1)),
        (np.zeros((T, H, W, 1)), (T, H, W, 1)),
        (np.zeros((H, W, 3), np.uint8), (1, H, W, 3)),
        (np.zeros((T, H, W, 4), np.uint8), (T, H, W, 3)),
        (np.zeros((1, 1, T, H, W), np.int16), (T, H, W, 1)),
    ],
)
def test_shapes_of_numpy_files(tmp_path: Path, array: np.ndarray, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", array)
    assert load_video(tmp_path / "a.npy").video.shape == shape


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros(5), "rows and columns are wanted"),
        (np.zeros((0, 4, 4)), "rows and columns are wanted"),
        (np.zeros((2, 3, 4, 5)), "data.axes="),
        (np.zeros((2, 4, 4), complex), "are no numbers"),
        (np.array([{}]), "cannot be read"),
    ],
)
def test_numpy_files_that_are_no_stacks(tmp_path: Path, array: np.ndarray, said: str) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    assert said in refusal(tmp_path / "a.npy")


# Zarr.


def ome_zarr(path: Path, array: np.ndarray, axes: str, version: str) -> Path:
    zarr = pytest.importorskip("zarr")
    group = zarr.create_group(str(path), zarr_format=2 if version == "0.4" else 3)
    for level, part in enumerate((array, array[..., ::2, ::2])):
        group.create_array(str(level), data=part)
    about = {
        "multiscales": [
            {"axes": [{"name": name} for name in axes], "datasets": [{"path": "0"}, {"path": "1"}]}
        ],
        "omero": {"channels": [{"label": "DAPI"}, {"label": "GFP"}]},
    }
    group.attrs.update(about if version == "0.4" else {"ome": about})
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path: Path, version: str) -> None:
    path = ome_zarr(tmp_path / "a.zarr", np.moveaxis(WHOLE, 1, 2), "tczyx", version)
    assert "0 (DAPI), 1 (GFP)" in refusal(path, slice=0)
    assert np.array_equal(read(path, channel=1, slice=2), eight(WHOLE[:, 2, 1]))
    assert np.array_equal(read(path, channel=0, slice="max"), eight(WHOLE[:, :, 0].max(axis=1)))
    assert open_source(path, options=SourceOptions(channel=0, slice=0)).starts(2) == T - 1


def test_plain_zarr(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    zarr.save(str(tmp_path / "a.zarr"), WHOLE[:, 0, 0])
    assert np.array_equal(read(tmp_path / "a.zarr"), eight(WHOLE[:, 0, 0]))
    group = zarr.create_group(str(tmp_path / "b.zarr"))
    group.create_array("one", data=WHOLE[:, 0, 0])
    assert np.array_equal(read(tmp_path / "b.zarr"), eight(WHOLE[:, 0, 0]))
    group.create_array("two", data=WHOLE[:, 0, 0])
    assert "holds the arrays one, two" in refusal(tmp_path / "b.zarr")
    assert np.array_equal(read(tmp_path / "b.zarr" / "two"), eight(WHOLE[:, 0, 0]))


def test_zarr_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    monkeypatch.setattr(zarr_reader, "find_spec", lambda name: None)
    assert "pip install 'scalor-ppl[zarr]'" in refusal(tmp_path / "a.zarr")


# Readers of one's own.

OWN = """
import numpy as np
from scalor_ppl.data.readers.base import StackReader

class Counted(StackReader):
    fps = 5.0

    def __len__(self):
        return int(self.path.read_text())

    def frame(self, number):
        if number == 7:
            raise KeyError("lost")
        return np.full((4, 6), 100 * number, np.uint16)

class Nothing:
    pass
"""


def test_a_reader_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "a.counted").write_text("7")
    own = {"reader": f"{tmp_path / 'own.py'}:Counted"}
    options = SourceOptions(**own)
    about = probe(tmp_path / "a.counted", options)
    assert (about.frames, about.fps, about.height, about.width) == (7, 5.0, 4, 6)
    seen = load_video(tmp_path / "a.counted", options=options).video
    assert seen.shape == (7, 4, 6, 1)
    assert seen[:, 0, 0, 0].tolist() == [round(100 * n * 255 / 1023) for n in range(7)]
    (tmp_path / "a.counted").write_text("9")
    assert "breaks off at frame 7 ('lost'): repair it or read it with stop=7" in refusal(
        tmp_path / "a.counted", **own
    )
    assert "has no look" in refusal(tmp_path / "a.counted", reader=f"{tmp_path / 'own.py'}:Nothing")
    assert "there are video, images, numpy, zarr" in refusal(tmp_path / "a.counted", reader="tif")
    assert "has no class 'Other'" in refusal(
        tmp_path / "a.counted", reader=f"{tmp_path / 'own.py'}:Other"
    )
