"""What the sections of a report are made from: a run, a clip, and what the run makes of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.data import Truth
from scalor_ppl.inference.posterior import infer
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import FindsObjects, Program, require
from scalor_ppl.report.footage import read_footage
from scalor_ppl.report.lives import Life, lives_of
from scalor_ppl.tracks.table import Tracks
from scalor_ppl.training.runs import SHIPPED, load_run, located
from scalor_ppl.training.sources import chosen

OBSERVED, IMAGINED = 5, 10  # frames of a continuation


@dataclass(frozen=True)
class Material:
    """A run and what it makes of a clip of T frames.

    Attributes:
        run: the run's folder.
        name: what the user called it, without folders.
        config: its configuration.
        program: the trained program, for frames of the clip's size.
        source: name of the video.
        clip: uint8 [T, H, W, C], what the program saw.
        truth: what is in the clip, where that is known.
        longer: uint8 [T', H, W, C], T' >= T: the clip and what follows it.
        scene: the most likely account of the clip, a batch of one.
        found: the tracks of the clip by that account.
        filed: tracks of the video from a file, at least as long as the clip; or none.
        seed: of everything random.
    """

    run: Path
    name: str
    config: Config
    program: Program
    source: str
    clip: np.ndarray
    truth: Truth | None
    longer: np.ndarray
    scene: Any
    found: Tracks
    filed: Tracks | None
    seed: int

    @property
    def tracks(self) -> Tracks:
        """The tracks to show: the file's where there is one."""
        return self.filed or self.found

    @property
    def video(self) -> np.ndarray:
        """The frames that ``tracks`` are of."""
        return self.longer[: self.tracks.frames]

    @property
    def lives(self) -> list[Life]:
        """The objects of ``tracks``, the longest-lived first."""
        return lives_of(self.tracks)

    @property
    def background(self) -> np.ndarray | None:
        """The model's background, its mean over the clip, uint8 [H, W, C]; none without one."""
        images = self.program.background(self.scene)
        if images is None:
            return None
        mean = images[0].mean(0).clamp(0, 1)
        return mean.mul(255).round().byte().permute(1, 2, 0).cpu().numpy()

    @property
    def whose(self) -> str:
        """Whose tracks are shown, in words for captions."""
        length = self.tracks.frames
        if self.filed is None:
            return f"the most likely account of {length} frames of {self.source}"
        return (
            f"the tracks of the file given, whose ids are one higher, in {length} frames of "
            f"{self.source}"
        )


def gather(
    run: Path,
    device: torch.device,
    *,
    video: str | None = None,
    tracks: Path | None = None,
    frames: int = 20,
    seed: int = 0,
    data_dir: Path | None = None,
) -> Material:
    """Load a run, read a video, and infer what is in its first frames.

    Args:
        run: a folder, or ``pretrained:NAME``.
        device: where to compute.
        video: registered set or path; the run's own data by default.
        tracks: MOTChallenge text of that video, in its own pixels.
        frames: length of the clip, at most; a shorter video is taken whole.
        seed: of everything random.
        data_dir: folder of the MNIST files.

    Raises:
        UserError: no such run or video, or they or the tracks do not fit each other.
    """
    program = load_run(run, device)
    data = chosen(program.config.data, video, folder=data_dir)
    footage = read_footage(data, frames=frames, ahead=OBSERVED + IMAGINED, tracks=tracks)
    clip = footage.shown.video
    config = program.config
    program = program.for_size(clip.shape[1:3])
    program.check_fits(footage.name, *clip.shape[1:])
    with fast_pyro():
        scene = infer(program.model, program.guide, to_video(clip[None], device))
    shipped = str(run).startswith(SHIPPED)
    return Material(
        run=located(run),
        name=str(run) if shipped else run.resolve().name,
        config=config,
        program=program,
        source=footage.name,
        clip=clip,
        truth=footage.shown.truth,
        longer=footage.longer,
        scene=scene,
        found=require(program, FindsObjects, "report").tracks(scene)[0],
        filed=footage.tracks,
        seed=seed,
    )
