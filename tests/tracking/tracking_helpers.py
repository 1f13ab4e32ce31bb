"""Videos to track, and tracks to compare."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from scalor_ppl.config.schema import DataConfig
from scalor_ppl.inference.posterior import follow, infer
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.programs import Program
from scalor_ppl.scalor import ScalorProgram
from scalor_ppl.tracking import SilentTracking
from scalor_ppl.tracks.table import Tracks

RUN = Path("pretrained:dsprites-vld")
SET = "moving-dsprites-vld"


class Interrupter(SilentTracking):
    """Sends a signal to this process after so many frames of a video, once."""

    def __init__(self, after: int, number: int = signal.SIGINT) -> None:
        self.after = after
        self.number = number
        self.sent = False

    def stepped(self, done: int, objects: int) -> None:
        if done == self.after and not self.sent:
            self.sent = True
            os.kill(os.getpid(), self.number)


def write_frames(path: Path, frames: np.ndarray, *, uneven: bool = False) -> Path:
    """Frames as a video without loss, 25 a second, or with gaps in time."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "bgr0"
        for t, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = t * t if uneven else t, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def broken_images(folder: Path, frames: np.ndarray, at: int) -> Path:
    """Frames as a folder of images, of which one cannot be read."""
    folder.mkdir()
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{t}.png")
    (folder / f"{at}.png").write_bytes(b"no image")
    return folder


def with_data(program: Program, **data: object) -> Program:
    """The program of a run that reads its data in another way."""
    config = program.config.model_copy(update={"data": DataConfig(**data)})
    return replace(program, config=config)


def tracks_at_once(program: Program, clip: np.ndarray) -> Tracks:
    """The tracks of a clip that is worked on as a whole."""
    assert isinstance(program, ScalorProgram)
    video = to_video(clip[None], program.device)
    scene = infer(program.model, program.guide, video)
    assert isinstance(program, ScalorProgram)
    tracks = program.tracks(scene)[0]
    found = follow(program, video, None)
    sure = program.confidence(found.trace, found.scene)[0].numpy()
    return replace(tracks, presence=sure)


def assert_same(first: Tracks, second: Tracks) -> None:
    """Equal up to rounding."""
    assert np.array_equal(first.ids, second.ids)
    assert np.array_equal(first.discovered, second.discovered)
    # Empty slots hold proposals, of which one is as good as another.
    held = first.ids >= 0
    assert np.allclose(first.boxes[held], second.boxes[held], atol=1e-3)
    assert np.allclose(first.presence[held], second.presence[held], atol=1e-4)
