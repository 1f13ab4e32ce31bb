"""Damaged files: an error in one line or frames, but no traceback, no hang, no flood of memory.

The quick cases here are a sample. A longer soak calls `soak` with another seed and more cases::

    python -c "import sys; sys.path.insert(0, 'tests/data'); import test_mutations as t; \
print(t.soak(2000, seed=1))"
"""

from __future__ import annotations

import resource
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import tifffile
from PIL import Image

from scalor_ppl.data import SourceOptions, iterate_frames, open_source, probe
from scalor_ppl.data.netcdf import write_netcdf
from scalor_ppl.errors import UserError

SECONDS = 20.0  # a damaged file of some kB takes no longer
MEMORY = 2**30  # bytes that a damaged file of some kB may take
"""Bounds of one case."""


def moving(frames: int = 8) -> np.ndarray:
    """[T, 24, 32] uint8 frames that all differ."""
    return np.random.default_rng(0).integers(0, 255, (frames, 24, 32), dtype=np.uint8)


def _video(path: Path, codec: str, pixels: str) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = 24, 32, pixels
        for frame in moving():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())


def _pages(path: Path) -> None:
    images = [Image.fromarray(frame) for frame in moving()]
    images[0].save(path, save_all=True, append_images=images[1:])


def _netcdf(path: Path) -> None:
    write_netcdf(open_source("moving-dsprites-vld"), path, clips=2, frames=3)


def _tiff(path: Path, **more: Any) -> None:
    array = moving().astype(np.uint16) * 16
    tifffile.imwrite(path, array.reshape(more.pop("shape", array.shape)), **more)


def _own_axes(path: Path, **more: Any) -> None:
    _tiff(path, shape=(4, 2, 24, 32), metadata={"axes": "TCYX"}, **more)


KINDS: dict[str, Callable[[Path], None]] = {
    "ffv1.mkv": lambda path: _video(path, "ffv1", "gray16le"),
    "x264.mp4": lambda path: _video(path, "libx264", "yuv420p"),
    "mpeg4.avi": lambda path: _video(path, "mpeg4", "yuv420p"),
    "animated.gif": _pages,
    "animated.png": _pages,
    "pillow.tif": _pages,
    "imagej.tif": lambda path: _own_axes(path, imagej=True),
    "ome.tif": lambda path: _own_axes(path, ome=True),
    "shaped.tif": lambda path: _own_axes(path),
    "zlib.tif": lambda path: _tiff(path, compression="zlib", predictor=True),
    "big.tif": lambda path: _tiff(path, bigtiff=True, photometric="miniswhite"),
    "stack.npy": lambda path: np.save(path, moving().astype(np.float32)),
    "clips.nc": _netcdf,
}
"""What is damaged, by the name of its file."""


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """A file with one kind of damage, somewhere; near the beginning more often than not."""
    data = bytearray(content)
    size = len(data)
    reach = size if rng.random() < 0.5 else min(size, 512)
    kind = rng.integers(6)
    if kind == 0:  # cut off
        return bytes(data[: rng.integers(1, size)])
    if kind == 1:  # bits that flip
        for _ in range(int(rng.integers(1, 9))):
            data[rng.integers(reach)] ^= 1 << int(rng.integers(8))
    elif kind == 2:  # a part that was never written
        begin, length = int(rng.integers(reach)), int(rng.integers(1, size // 2))
        data[begin : begin + length] = bytes(len(data[begin : begin + length]))
    elif kind == 3:  # parts that changed places
        length = int(rng.integers(1, max(2, size // 4)))
        one, other = sorted(int(n) for n in rng.integers(0, max(1, size - length), 2))
        if other - one >= length:
            first, second = data[one : one + length], data[other : other + length]
            data[one : one + length], data[other : other + length] = second, first
    elif kind == 4:  # numbers that are far too large
        begin = int(rng.integers(reach))
        data[begin : begin + 4] = b"\xff\xff\xff\x7f"[: len(data[begin : begin + 4])]
    else:  # bytes of another file
        begin = int(rng.integers(reach))
        noise = rng.bytes(int(rng.integers(1, 64)))
        data[begin : begin + len(noise)] = noise
    return bytes(data)


def outcome(path: Path) -> str:
    """How reading a file in every way ends: ``read``, or ``refused``.

    Raises:
        AssertionError: in another way than by a UserError of one line, or out of bounds.
    """
    begun = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = "read"
    options = SourceOptions(channel=0) if path.suffix == ".tif" else SourceOptions()

    def frames() -> None:
        for frame in iterate_frames(path, options=options):
            assert frame.dtype == np.uint8
            assert frame.ndim == 3

    def clips() -> None:
        source = open_source(path, options=options)
        source.clip(0, 1)

    ways = (
        [clips]
        if path.suffix == ".nc"
        else [
            lambda: probe(path, options),
            frames,
            clips,
        ]
    )
    for way in ways:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                way()
        except UserError as error:
            said = str(error)
            found = "refused"
            sound = "\n" not in said and path.stem in said
            if not sound:
                raise AssertionError(f"not a line on {path.name}: {said}") from error
    assert time.perf_counter() - begun < SECONDS, path
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < MEMORY, (path, grown)
    return found


def soak(cases: int, seed: int = 0, folder: Path | None = None) -> Counter[str]:
    """Damage every kind of file in turn, `cases` times in all; how often reading ended how.

    A case that fails is left in `folder`, with its number in its name; so is one that never ends.
    """
    place = folder or Path(tempfile.mkdtemp(prefix="mutations-"))
    ends: Counter[str] = Counter()
    contents = {}
    for name, make in KINDS.items():
        make(place / name)
        contents[name] = (place / name).read_bytes()
    for number in range(cases):
        name = list(KINDS)[number % len(KINDS)]
        rng = np.random.default_rng([seed, number])
        case = place / f"{number}-{name}"
        case.write_bytes(damaged(contents[name], rng))
        ends[f"{name} {outcome(case)}"] += 1
        case.unlink()
    return ends


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The sound files."""
    place = tmp_path_factory.mktemp("sound")
    for name, make in KINDS.items():
        make(place / name)
        assert outcome(place / name) == "read", name
    return {name: (place / name).read_bytes() for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
def test_damaged_files_are_read_or_refused(
    tmp_path: Path, contents: dict[str, bytes], name: str
) -> None:
    for number in range(4):
        path = tmp_path / f"{number}-{name}"
        path.write_bytes(damaged(contents[name], np.random.default_rng([7, number])))
        assert outcome(path) in ("read", "refused")


@pytest.mark.parametrize("name", [name for name in KINDS if not name.startswith("animated")])
def test_half_a_file_is_never_a_shorter_recording(
    tmp_path: Path, contents: dict[str, bytes], name: str
) -> None:
    path = tmp_path / f"half-{name}"
    path.write_bytes(contents[name][: len(contents[name]) // 2])
    assert outcome(path) == "refused"
