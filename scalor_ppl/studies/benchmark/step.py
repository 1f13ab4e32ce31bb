"""The training step of a configuration, phase by phase, on a synthetic video."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from scalor_ppl.config.schema import Config
from scalor_ppl.inference.posterior import infer
from scalor_ppl.objectives.estimators import make_estimator
from scalor_ppl.objectives.objective import Objective
from scalor_ppl.programs import Program
from scalor_ppl.programs.build import build_program
from scalor_ppl.studies.benchmark.results import Quartiles, StepTime
from scalor_ppl.training.loop import OPTIMIZERS

WARM_UP = 3
"""Steps before the clock starts: memory is touched and kernels are compiled in them."""


class Stepper:
    """The training step of a configuration, in phases that can be timed one by one.

    Args:
        config: with height, width and channels.
        batch: videos a step.
        frames: length of a video.
        device: where it runs.
    """

    def __init__(self, config: Config, batch: int, frames: int, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.program: Program = build_program(config, device)
        train = config.train
        self.program.drive_to(0)
        latents = self.program.kind_of_latents(config)
        self.estimator = make_estimator(train.estimator, train.particles, latents)
        self.objective = Objective(self.estimator, self.program.model, self.program.guide)
        self.parameters = [p for p in self.objective.parameters() if p.requires_grad]
        self.optimizer = OPTIMIZERS[train.optimizer](self.parameters, lr=0.0)
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
        model, guide = self.program.model, guide or self.program.guide
        return self.scaled(self.estimator.differentiable_loss(model, guide, self.video))

    def scaled(self, loss: Tensor) -> Tensor:
        """A loss of all videos as nats a frame, as in training."""
        return loss / (self.video.shape[0] * self.video.shape[1])

    def backward(self, loss: Tensor) -> None:
        """Gradients of a loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()

    def update(self, loss: Tensor) -> None:
        """Clip, look whether all is finite, and let the optimizer step (by nothing)."""
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.train.clip)
        if bool(torch.isfinite(loss.detach()) & torch.isfinite(norm)):
            self.optimizer.step()

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
    """Mean number of objects alive a video and frame, if the model tells."""
    scene = infer(program.model, program.guide, video, sample=True)
    if not hasattr(scene, "trackers"):
        return None
    alive = torch.stack([each.alive.sum(1) for each in scene.trackers])
    return alive.float().mean().item()


def with_model(config: Config, **changes: Any) -> Config:
    """A configuration with changes to its model."""
    return config.model_copy(update={"model": config.model.model_copy(update=changes)})
