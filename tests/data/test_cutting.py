"""Parts of recordings."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import tifffile
from PIL import Image
from tiny import CommandLine

from scalor_ppl.data import load_video
from scalor_ppl.data.lossless import encode


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Six frames of noise, 20 wide and 12 high, with two boxes; one is to be ignored in frame 2."""
    folder = tmp_path / "whole"
    (folder / "img1").mkdir(parents=True)
    (folder / "gt").mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        frame = rng.integers(0, 256, (12, 20, 3), dtype=np.uint8)
        Image.fromarray(frame).save(folder / "img1" / f"{number}.png")
    rows = [f"{t + 1},1,{4 + t},3,4,4,{int(t != 2)}\n{t + 1},2,15,8,4,4,1\n" for t in range(6)]
    (folder / "gt" / "gt.txt").write_text("".join(rows))
    return folder


def test_a_part_has_the_same_pixels_and_moved_boxes(
    cli: CommandLine, recording: Path, tmp_path: Path
) -> None:
    out = tmp_path / "part"
    region = ("--region", "3,2,10,8", "--start", "1", "--stop", "5")
    said = cli("data", "cut", str(recording), *region, "--out", str(out))
    assert said.code == 0, said.err
    assert "4 frames" in said.out
    whole, part = load_video(recording), load_video(out)
    assert np.array_equal(part.video, whole.video[1:5, 2:10, 3:13])
    assert part.truth is not None
    assert part.truth.ids.tolist() == [1]
    assert part.truth.boxes[:, 0, 0].tolist() == [2, 3, 4, 5]
    assert part.truth.ignored is not None
    assert part.truth.ignored[:, 0].tolist() == [False, True, False, False]


def test_what_cannot_be_cut(cli: CommandLine, recording: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "part")
    for region, message in (("15,0,10,5", "does not lie"), ("1,2,3", "give left, top")):
        said = cli("data", "cut", str(recording), "--region", region, "--out", out)
        assert said.code == 2
        assert message in said.err
        assert not Path(out).exists()
    said = cli("data", "cut", str(recording), "--region", "0,0,4,4", "--out", str(recording))
    assert said.code == 2
    assert "choose another --out" in said.err


@pytest.mark.parametrize("kind", ["u2", "rgb", "gray10le", "gbrp12le", "whiteiszero"])
def test_no_bit_is_lost(cli: CommandLine, tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    path, bits = tmp_path / "a.tif", 16
    if kind in ("gray10le", "gbrp12le"):
        path, bits = tmp_path / "a.mkv", int(kind[4:6])
        shape = (4, 16, 20) if kind == "gray10le" else (4, 16, 20, 3)
        whole = rng.integers(0, 2**bits, shape).astype(np.uint16)
        encode(path, whole.reshape(4, 16, 20, -1), 25, bits)
    elif kind == "rgb":
        whole = rng.integers(0, 65536, (4, 16, 20, 3)).astype(np.uint16)
        tifffile.imwrite(path, whole, photometric="rgb")
    else:
        whole = rng.integers(0, 4096, (4, 16, 20)).astype(np.uint16)
        stored = 65535 - whole if kind == "whiteiszero" else whole
        photometric = "miniswhite" if kind == "whiteiszero" else "minisblack"
        tifffile.imwrite(path, stored, photometric=photometric)
    said = cli("data", "cut", str(path), "--region", "2,1,16,12", "--out", str(tmp_path / "part"))
    assert said.code == 0, said.err
    assert f"4 frames, {bits} bits" in said.out
    layout = f"gray{bits}le" if whole.ndim == 3 else f"gbrp{bits}le"
    with av.open(str(tmp_path / "part" / "video.mkv")) as file:
        back = [frame.to_ndarray(format=layout) for frame in file.decode(video=0)]
    assert np.array_equal(np.stack(back), whole[:, 1:13, 2:18])
    # The part is seen at the brightness of the whole.
    seen = load_video(tmp_path / "part").video
    assert np.array_equal(seen, load_video(path).video[:, 1:13, 2:18])


def test_what_no_lossless_video_holds(cli: CommandLine, tmp_path: Path) -> None:
    for dtype in (np.float32, np.uint32, np.int16):
        np.save(tmp_path / "a.npy", np.zeros((3, 8, 8), dtype))
        out = tmp_path / "part"
        said = cli("data", "cut", str(tmp_path / "a.npy"), "--region", "0,0,4,4", "--out", str(out))
        assert said.code == 2
        assert f"pixels of type {np.dtype(dtype)}, which no lossless video holds" in said.err
        assert not out.exists()


def test_a_channel_is_cut(cli: CommandLine, tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (5, 2, 8, 8)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", whole, imagej=True, metadata={"axes": "TCYX"})
    cut = ("data", "cut", str(tmp_path / "a.tif"), "--region", "0,0,8,8")
    refused = cli(*cut, "--out", str(tmp_path / "no"))
    assert refused.code == 2
    assert "has 2 channels, 0 to 1: choose one with --set data.channel=0" in refused.err
    said = cli(*cut, "--out", str(tmp_path / "yes"), "--set", "data.channel=1")
    assert "5 frames, 8 bits" in said.out
    assert np.array_equal(load_video(tmp_path / "yes").video[..., 0], whole[:, 1])
