"""Recordings that come through pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from scalor_ppl.config.schema import DataConfig
from scalor_ppl.data.lossless import encode
from scalor_ppl.data.piped import is_piped
from scalor_ppl.errors import UserError
from scalor_ppl.training.sources import open_data

READ = """
import sys
from scalor_ppl.data import load_video, probe
from scalor_ppl.errors import UserError
try:
    about, video = probe(sys.argv[1]), load_video(sys.argv[1]).video
    print(about.height, len(video), int(video.sum()))
except UserError as error:
    sys.exit(f"error: {error}")
"""
BIN = [sys.executable, "-c", READ]


def moving(frames: int = 6) -> np.ndarray:
    """[T, 32, 32, 1] uint8 frames that all differ."""
    ramp = np.arange(32 * 32, dtype=np.uint8).reshape(1, 32, 32, 1)
    return ramp + np.arange(frames, dtype=np.uint8)[:, None, None, None]


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    """The same frames as video (which is read by jumps, too) and as a stack."""
    video, stack = tmp_path / "a.mkv", tmp_path / "a.tif"
    encode(video, moving())
    tifffile.imwrite(stack, moving()[..., 0])
    return [video, stack]


@pytest.mark.parametrize("way", ["-", "/dev/stdin", "<(cat)", "< file"])
def test_a_pipe_is_read_once_and_whole(recordings: list[Path], way: str) -> None:
    recording = recordings[way == "-"]
    place = {"<(cat)": f"<(cat '{recording}')", "< file": "-"}.get(way, way)
    line = f'"$@" {place}'
    if way == "< file":
        line += f" < '{recording}'"
    elif way != "<(cat)":
        line = f"cat '{recording}' | {line}"
    done = subprocess.run(
        ["bash", "-c", line, "bash", *BIN], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"32 6 {moving().sum()}\n", done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty: nothing came through the pipe"),
        (b"no video\n" * 99, "is not a video"),
    ],
)
def test_what_comes_through_no_pipe(tmp_path: Path, content: bytes, said: str) -> None:
    done = subprocess.run(
        [*BIN, "-"],
        input=content,
        capture_output=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 1
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_a_run_does_not_train_on_a_pipe() -> None:
    for place in ("-",):
        with pytest.raises(UserError, match="can be read but once"):
            open_data(DataConfig(source=place), "train")
    read, write = os.pipe()
    try:
        with pytest.raises(UserError, match="save the video as a file first"):
            open_data(DataConfig(source=f"/dev/fd/{read}"), "train")
    finally:
        os.close(read)
        os.close(write)


def test_a_pipe_with_a_name_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not is_piped(tmp_path / "pipe")
    assert not is_piped(tmp_path)
    assert not is_piped(tmp_path / "missing")
