"""The training step of a configuration, phase by phase, on a synthetic video."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scalor_ppl.config.schema import Config
from scalor_ppl.inference.posterior import infer
from scalor_ppl.objectives.objective import Objective
from scalor_ppl.programs import FindsObjects, Program
from scalor_ppl.programs.build import build_program
from scalor_ppl.studies.benchmark.results import Quartiles, StepTime
from scalor_ppl.tracks.table import EMPTY
from scalor_ppl.training.step import TrainingStep

WARM_UP = 3
"""Steps before the clock starts: memory is touched and kernels are compiled in them."""


class Stepper(TrainingStep):
    """The training step of a configuration on a synthetic video, timed phase by phase.

    Args:
        config: with height, width and channels.
        batch: videos a step.
        frames: length of a video.
        device: where it runs.
    """

    def __init__(self, config: Config, batch: int, frames: int, device: torch.device) -> None:
        super().__init__(build_program(config, device))
        self.config = config
        self.device = device
        self.program.drive_to(0)
        self.video = synthetic_video(config, batch, frames).to(device)

    def count_parameters(self) -> dict[str, int]:
        """Numbers of trainable parameters, by part."""
        counts = {
            name: sum(p.numel() for p in part.parameters() if p.requires_grad)
            for name, part in self.program.parts.items()
        }
        return counts | {"total": sum(p.numel() for p in self.parameters)}

    def forward(self, guide: Any = None) -> Tensor:
        """The loss in nats a frame; ``guide`` in place of the program's own, if given."""
        objective = self.objective
        if guide is not None:
            objective = Objective(self.estimator, self.program.model, guide)
        return self.scaled(objective(*self.program.inputs(self.video, None)).loss)

    def scaled(self, loss: Tensor) -> Tensor:
        """A loss of all videos as nats a frame."""
        return self.per_frame(loss, self.video)

    def now(self) -> float:
        """Seconds on a clock, when the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def timed(self, forward: Callable[[], Tensor] | None = None) -> tuple[float, float, float]:
        """Seconds of forward, backward and update of one step."""
        begin = self.now()
        loss = (forward or self.forward)()
        evaluated = self.now()
        self.backward(loss)
        derived = self.now()
        self.update(loss)
        end = self.now()
        return evaluated - begin, derived - evaluated, end - derived


def synthetic_video(config: Config, batch: int, frames: int) -> Tensor:
    """Smooth noise that drifts, ``[B, T, C, H, W]`` in [0, 1]; the same on every machine."""
    model: Any = config.model
    assert model.height is not None
    assert model.width is not None
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, model.channels or 3, 12, 12, generator=random)
    size = (model.height + frames, model.width + frames)
    world = nn.functional.interpolate(coarse, size, mode="bilinear")
    views = [world[:, :, t : t + model.height, t : t + model.width] for t in range(frames)]
    return torch.stack(views, 1)


def time_steps(stepper: Stepper, steps: int) -> StepTime:
    """Time a step and its phases, after warm-up."""
    for _ in range(WARM_UP):
        stepper.timed()
    runs = [stepper.timed() for _ in range(steps)]
    forward, backward, optimizer = (Quartiles.of(phase) for phase in zip(*runs, strict=True))
    return StepTime(forward, backward, optimizer, Quartiles.of([sum(run) for run in runs]))


def mean_alive(program: Program, video: Tensor) -> float | None:
    """Mean number of objects alive a video and frame; none of a program that finds none."""
    if not isinstance(program, FindsObjects):
        return None
    scene = infer(program.model, program.guide, video, sample=True)
    return float(objects_alive(program, scene).mean())


def objects_alive(program: FindsObjects, scene: Any) -> np.ndarray:
    """Numbers of objects alive in a scene, ``[B, T]``."""
    return np.stack([(each.ids != EMPTY).sum(1) for each in program.tracks(scene)])
