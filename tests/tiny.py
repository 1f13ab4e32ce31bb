"""Runs that take a second: a moving square, a tiny program, and the command line in-process."""

from __future__ import annotations

import json
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import tomli_w
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from scalor_ppl.cli.main import run as run_command
from scalor_ppl.config.settings import merged
from scalor_ppl.data import Clip, ClipSource, Truth
from scalor_ppl.data.netcdf import write_netcdf
from scalor_ppl.programs import Program
from scalor_ppl.programs.build import build_program
from scalor_ppl.programs.configuration import checked
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.training.checkpoints import WEIGHTS, last_checkpoint
from scalor_ppl.training.loop import Outcome, Watcher, train
from scalor_ppl.training.runs import METRICS, create_run

CPU = torch.device("cpu")
# Flags of every command here: results must not depend on the machine.
ALONE = ("--device", "cpu", "--threads", "1")
SIDE = 5  # of the square
CLOCKS = ("seconds", "processor_seconds")  # figures that no two runs have in common

SETTINGS: dict[str, Any] = {
    "model": {
        "grid": [2, 2],
        "capacity": 3,
        "glimpse": [6, 6],
        "what": 4,
        "hidden": 8,
        "object_width": [3.0, 8.0],
        "object_height": [3.0, 8.0],
    },
    "guide": {"features": 8, "lstm": 4, "hidden": 16},
    "train": {
        "steps": 3,
        "batch": 2,
        "frames": 3,
        "warmup": 0,
        "log_every": 1,
        "checkpoint_every": 5,
        "image_every": 0,
    },
}


class Square:
    """Clips of a red (or white) square that moves by a pixel a frame, with their truth."""

    name = "square"

    def __init__(
        self, height: int = 16, width: int = 16, channels: int = 3, *, still: bool = False
    ) -> None:
        self.height = height
        self.width = width
        self.channels = channels
        self.still = still

    def __len__(self) -> int:
        return 100

    def starts(self, frames: int) -> int:
        return len(self)

    def clip(self, index: int, frames: int) -> Clip:
        index = 0 if self.still else index
        video = np.zeros((frames, self.height, self.width, self.channels), np.uint8)
        boxes = np.zeros((frames, 1, 4), np.float32)
        masks = np.full((frames, self.height, self.width), -1, np.int32)
        top = 1 + index % (self.height - SIDE - 1)
        for t in range(frames):
            left = (index + (0 if self.still else t)) % (self.width - SIDE)
            there = (slice(top, top + SIDE), slice(left, left + SIDE))
            video[t, *there, 0] = 255
            masks[t, *there] = 0
            boxes[t, 0] = (left, top, SIDE, SIDE)
        visible = np.ones((frames, 1), np.float32)
        truth = Truth(np.array([0]), boxes, visible, masks, float(SIDE))
        return Clip(video, truth, f"square/{index}")


def config_of(source: ClipSource | None = None, **tables: Any) -> ScalorConfig:
    """The tiny configuration, with changes, for clips of a source."""
    source = source or Square()
    size = {"height": source.height, "width": source.width, "channels": source.channels}
    config = checked(merged(SETTINGS, {"model": size}, tables))
    assert isinstance(config, ScalorConfig)
    return config


def trained(
    run: Path,
    source: ClipSource | None = None,
    *,
    watcher: Watcher | None = None,
    **tables: Any,
) -> tuple[Program, Outcome]:
    """Train a new tiny run through the library."""
    source = source or Square()
    program = fresh(run, source, **tables)
    return program, train(program, source, run, watcher=watcher)


def run_beside_clips(factory: pytest.TempPathFactory) -> Path:
    """A run that hardly learned anything, with ``clips.nc`` in the folder that it is in."""
    folder = factory.mktemp("tiny")
    trained(folder / "run")
    write_clips(folder / "clips.nc")
    return folder / "run"


def fresh(run: Path, source: ClipSource | None = None, **tables: Any) -> Program:
    """A new tiny run that is not trained yet."""
    config = config_of(source, **tables)
    program = build_program(config, CPU)
    create_run(run, config)
    return program


def weights_of(run: Path) -> dict[str, Tensor]:
    """The weights of a run's newest checkpoint."""
    return load_file(last_checkpoint(run) / WEIGHTS)


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether weights are equal bit for bit."""
    assert first.keys() == second.keys()
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def metrics_of(run: Path, *, clock: bool = True) -> list[dict[str, Any]]:
    """The figures of a run by logged step; without what clocks say on request."""
    lines = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    return lines if clock else [{k: v for k, v in x.items() if k not in CLOCKS} for x in lines]


def write_settings(path: Path, **tables: Any) -> Path:
    """The tiny configuration as a TOML file, with changes."""
    path.write_text(tomli_w.dumps(merged(SETTINGS, tables)))
    return path


def write_clips(path: Path, source: ClipSource | None = None, frames: int = 6) -> Path:
    """Clips with truth as a NetCDF file."""
    write_netcdf(source or Square(), path, 8, frames)
    return path


def write_images(folder: Path, frames: int = 8) -> Path:
    """A folder of PNG files without truth."""
    folder.mkdir()
    for t, frame in enumerate(Square().clip(0, frames).video):
        Image.fromarray(frame).save(folder / f"{t}.png")
    return folder


def write_video(path: Path, source: ClipSource, frames: int = 8) -> Path:
    """A video file."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = source.height, source.width, "yuv420p"
        for frame in source.clip(0, frames).video:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def frames_of(path: Path) -> np.ndarray:
    """All frames ``[T, H, W, 3]`` of a video file or gif."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@dataclass(frozen=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


class CommandLine:
    """``scalor-ppl`` in this process, from argv to exit code."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.patch = patch
        self.capture = capture

    def __call__(self, *arguments: object) -> Said:
        self.patch.setattr(sys, "argv", ["scalor-ppl", *map(str, arguments)])
        self.capture.readouterr()
        try:
            run_command()
            code: Any = 0
        except SystemExit as end:
            code = end.code or 0
        return Said(code, *self.capture.readouterr())

    def refused(self, *arguments: object) -> str:
        """The one line by which the command refuses its input."""
        said = self(*arguments)
        assert said.code == 2, said
        lines = said.err.splitlines()
        assert len(lines) == 1, said.err
        assert lines[0].startswith("error: ")
        assert "Traceback" not in said.err + said.out
        return lines[0]


def write_digits(folder: Path) -> Path:
    """Something like MNIST's test files: 20 upright strokes."""
    folder.mkdir()
    images = np.zeros((20, 28, 28), np.uint8)
    images[:, 4:24, 10:18] = 255
    labels = np.arange(20, dtype=np.uint8) % 10
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        head = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        (folder / f"t10k-{name}-ubyte").write_bytes(head + array.tobytes())
    return folder
