"""A step of training: the objective's gradient, clipped, and the optimizer's step along it."""

import logging
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scalor_ppl.objectives.culprits import culprit
from scalor_ppl.objectives.estimate import Estimate
from scalor_ppl.objectives.estimators import make_estimator
from scalor_ppl.objectives.objective import Objective
from scalor_ppl.objectives.particles import ParticleEstimator, summed_over_frames
from scalor_ppl.parallel.ranks import ALONE, Ranks
from scalor_ppl.programs import Program
from scalor_ppl.training.frame_graphs import FrameGraphs, pays
from scalor_ppl.training.muon import ADAM, Muon

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer | Muon]] = {
    "muon": Muon,
    "adam": ADAM,
    "rmsprop": torch.optim.RMSprop,
}


log = logging.getLogger(__name__)


class Update(NamedTuple):
    """What became of a gradient.

    Attributes:
        loss: nats a frame, the mean over ranks.
        norm: of the whole gradient before it was clipped, a scalar.
        finite: whether loss and norm are; where they are not, nothing was changed.
    """

    loss: Tensor
    norm: Tensor
    finite: bool


class _Guarded(nn.Module):
    """An objective whose loss is no number where nothing can be drawn from what is none.

    Ranks then still average their gradients, and find out together.
    """

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, *arguments: Tensor, **more: Any) -> Estimate:
        try:
            return self.objective(*arguments, **more)
        except RuntimeError:
            parts = {"model": self.objective.model, "guide": self.objective.guide}
            if culprit(parts, arguments, None) is None:
                raise
        learns = next(each for each in self.parameters() if each.requires_grad)
        return Estimate(math.nan * learns.sum())


class TrainingStep:
    """The step of a program's training in its phases: ``estimate``, ``backward``, ``update``.

    Args:
        program: what is trained.
        ranks: that train it together, each with videos of its own.

    Attributes:
        program: the same.
        ranks: the same.
        estimator: of its configuration (``train.estimator``, ``train.particles``).
        objective: the estimator of model and guide, nats of all videos.
        parameters: all that learn.
        optimizer: at learning rate 0 until it is given one.
    """

    def __init__(self, program: Program, ranks: Ranks = ALONE) -> None:
        train = program.config.train
        self.program = program
        self.ranks = ranks
        latents = program.kind_of_latents(program.config)
        self.estimator = make_estimator(train.estimator, train.particles, latents)
        self.objective = Objective(self.estimator, program.model, program.guide)
        self.parameters = [p for p in self.objective.parameters() if p.requires_grad]
        self.optimizer = OPTIMIZERS[train.optimizer](self.parameters, lr=0.0)
        self._averaged = ranks.parallel(_Guarded(self.objective))
        wanted = pays(train) if train.compile == "auto" else train.compile
        self._graphs = self._made_graphs() if wanted else None
        self._driven: dict[str, float] = {}

    def drive_to(self, step: int) -> dict[str, float]:
        """Set everything driven to its value at a step of the training, and say the values."""
        self._driven = self.program.drive_to(step)
        return self._driven

    def estimate(self, *arguments: Tensor, traces: bool = True, **more: Any) -> Estimate:
        """The objective of the videos given, whose gradient will be the mean over ranks.

        Args:
            arguments: of the program.
            traces: whether those of the pass are wanted; graphs (``train.compile``) have none.
            more: keywords of the program.
        """
        estimate: Estimate | None = None
        if self._graphs is not None and not traces:
            estimate = self._graphs.estimate(self._driven, *arguments, **more)
        if estimate is None:
            estimate = self._averaged(*arguments, **more)
        return estimate

    def _made_graphs(self) -> FrameGraphs | None:
        """Graphs of the objective, at its first use; none where there can be none."""
        reason = ""
        if self.ranks.several:
            reason = "several processes train together"
        elif not summed_over_frames(self.estimator):
            reason = f"the estimator {self.program.config.train.estimator} is no sum over frames"
        if reason:
            log.warning("train.compile: steps are not compiled, only slower: %s", reason)
            return None
        assert isinstance(self.estimator, ParticleEstimator)
        return FrameGraphs(self.program, self.estimator)

    def per_frame(self, loss: Tensor, video: Tensor) -> Tensor:
        """A loss of all videos ``[B, T, C, H, W]`` as nats a frame, whatever the batch."""
        return loss / (video.shape[0] * video.shape[1])

    def backward(self, loss: Tensor) -> None:
        """The gradients of a loss, in place of those of the step before."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()

    def update(self, loss: Tensor) -> Update:
        """Clip the gradient (``train.clip``), and step where it and the loss are finite."""
        slopes = [each.grad for each in self.parameters if each.grad is not None]
        norm = nn.utils.get_total_norm(slopes)
        # Both are the same on all ranks, bit for bit: so is what follows from them.
        loss = self.ranks.mean(loss)
        finite = bool(torch.isfinite(loss) & torch.isfinite(norm))
        # A gradient that is not finite is left as it is, for who asks which it was.
        if finite:
            nn.utils.clip_grads_with_norm_(self.parameters, self.program.config.train.clip, norm)
            self.optimizer.step()
        return Update(loss, norm, finite)
