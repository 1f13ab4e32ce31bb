"""The objective frame by frame, each frame of guide and model one compiled graph.

Model and guide go on from a memory, so a clip's log-weight is the sum of its frames', each taken
with the memory of the frame before; here that is not detached. One frame is traced once, Pyro's
handlers with it, and compiled; three graphs serve clips of every length: the first frame, the
second, and those that follow (in the second there are no recurrent states yet). What a guide makes
of frames alone (:class:`scalor_ppl.programs.ViewsFrames`) is computed before, for all of them at
once, where convolutions of many images cost less than many convolutions.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from scalor_ppl.config.schedules import value_at
from scalor_ppl.config.schema import TrainConfig
from scalor_ppl.graphs import Flat, GraphError, differentiable_graph, first_line
from scalor_ppl.nn.gathered import never_gathering
from scalor_ppl.nn.given_noise import GivenNoise, NoiseShapes, UnknownNoiseError, numbers
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.objectives.estimate import Estimate
from scalor_ppl.objectives.particles import ParticleEstimator, tiled
from scalor_ppl.programs import FrameViews, Memory, Program, ViewsFrames
from scalor_ppl.render.glimpses import graph_backend
from scalor_ppl.training.any_frame import AnyFrame
from scalor_ppl.training.collector import set_aside_too
from scalor_ppl.training.flat_weights import FlatWeights
from scalor_ppl.training.graph_check import check_gradients
from scalor_ppl.training.layout import Layout

log = logging.getLogger(__name__)

# From this frame on all are the same.
SETTLED = 2
# Frames of all clips' length that a training has to take before its graphs have paid, see `pays`.
FRAMES_TO_PAY = 60_000


def pays(train: TrainConfig) -> bool:
    """Whether a training is long enough for graphs (``train.compile = "auto"``).

    Reckoned from the configuration alone, so that it is the same on every machine: graphs of VLD
    took 160 seconds of a processor to compile and won 4.5 ms a frame of a step, paid after 36,000
    frames; since frames are viewed at once they win more. Those whose step is smaller win less.

    Args:
        train: steps, and how long their clips are.
    """
    steps = range(train.steps)
    return sum(round(value_at(train.frames, step, train.steps)) for step in steps) >= FRAMES_TO_PAY


class FrameWeights(NamedTuple):
    """Of one frame.

    Attributes:
        value, score: as of :class:`scalor_ppl.objectives.particles.LogWeights`.
        memory: what model and guide would go on with.
    """

    value: Tensor
    score: Tensor | None
    memory: Memory


class GivenFrame(NamedTuple):
    """A frame, and all that is known before it is looked into.

    Attributes:
        arguments: of the program; the video is of one frame.
        memory: after the frame before; none for the first.
        view: of the guide (:class:`scalor_ppl.programs.FrameViews`); none of one that has none.
    """

    arguments: Sequence[Tensor]
    memory: Memory | None
    view: Any

    @property
    def number(self) -> int:
        """How many came before it."""
        return 0 if self.memory is None else self.memory.frame

    def parts(self) -> tuple[list[Tensor], Any, Any]:
        """All its tensors, nested: arguments, memory, view."""
        return list(self.arguments), None if self.memory is None else self.memory[1:], self.view


class FrameGraphs:
    """The objective of a program's training, by graphs of its frames.

    Where a frame cannot be captured or compiled it says so once, and there are none.

    Args:
        program: what is trained; what schedules drive is given anew in each step.
        estimator: the objective, which must be a function of log-weights.
    """

    def __init__(self, program: Program, estimator: ParticleEstimator) -> None:
        self.program = program
        self.estimator = estimator
        self.module = _Weighed(estimator, program.model, program.guide)
        self.weights = FlatWeights(self.module)
        guide = program.guide
        self._viewer: ViewsFrames | None = guide if isinstance(guide, ViewsFrames) else None
        self._graphs: dict[Any, _FrameGraph] = {}
        self._refused = False

    def estimate(
        self, driven: Mapping[str, float], *arguments: Tensor, memory: Memory | None = None
    ) -> Estimate | None:
        """The objective of clips, with what to go on with, but without traces; or none.

        Args:
            driven: values of what schedules drive (``Program.drive_to``).
            arguments: of the program, the video first.
            memory: after the clips before these.
        """
        if self._refused:
            return None
        video, *others = arguments
        if video.shape[1] == 1:
            # What only later frames depend on gets no gradient then; of a graph it would get zeros.
            return None
        # The same in all frames: what schedules drive, and the weights.
        shared = [torch.tensor(float(each), device=video.device) for each in driven.values()]
        shared += self.weights.tensors()
        views = self._viewed(arguments, memory)
        memory = views.memory
        values, scores = [], []
        for frame, view in zip(video.split(1, 1), views.frames, strict=True):
            given = GivenFrame((frame, *others), memory, view)
            graph = self._graph(given, driven, shared)
            if graph is None:
                return None
            found = graph.run(given, shared)
            values.append(found.value)
            memory = found.memory
            if found.score is not None:
                scores.append(found.score)
        if self._viewer is not None:
            assert memory is not None
            memory = self._viewer.remembering(memory, views.last)
        weights = torch.stack(values).sum(0)
        score = torch.stack(scores).sum(0) if scores else None
        return Estimate(self.estimator.loss_of(weights, score), memory=memory)

    def _viewed(self, arguments: Sequence[Tensor], memory: Memory | None) -> FrameViews:
        """What the guide makes of the frames alone; of one that makes nothing of them, nothing."""
        if self._viewer is None:
            return FrameViews([None] * arguments[0].shape[1], memory, None)
        particles = tiled(tuple(arguments), self.estimator.num_particles)
        return self._viewer.view_frames(*particles, memory=memory)

    def _graph(
        self, frame: GivenFrame, driven: Mapping[str, float], shared: Sequence[Tensor]
    ) -> "_FrameGraph | None":
        form = min(frame.number, SETTLED), tuple(each.shape for each in frame.arguments)
        if form not in self._graphs:
            # The training's own noise must not depend on when a graph is made.
            video = frame.arguments[0]
            cuda = [video.device] if video.is_cuda else []
            try:
                with torch.random.fork_rng(cuda):
                    self._graphs[form] = _FrameGraph(self, frame, driven, shared)
                set_aside_too()
            except GraphError as error:
                self._refused = True
                log.warning(
                    "train.compile: steps are not compiled, only slower: %s", first_line(error)
                )
        return None if self._refused else self._graphs[form]


class _FrameGraph:
    """One frame of guide and model as a graph.

    Its inputs: uniform and normal noise, what schedules drive, parameters and buffers, the
    program's arguments, the tensors of the memory and of the view. Weights and memory have a
    gradient, and of the view what the guide's networks made.

    Args:
        owner: whose it is.
        frame: an example.
        driven: values of what schedules drive.
        shared: the same as tensors, and the owner's weights.

    Raises:
        GraphError: it cannot be captured or compiled, or the graph's gradient is wrong.
    """

    def __init__(
        self,
        owner: FrameGraphs,
        frame: GivenFrame,
        driven: Mapping[str, float],
        shared: Sequence[Tensor],
    ) -> None:
        self.program = owner.program
        self.module = owner.module
        self.weights = owner.weights
        self.driven = list(driven)
        self.shared = len(shared)
        self.number = frame.number
        arguments, memory, view = frame.parts()
        self.given = Layout((arguments, memory, view))
        self.device = arguments[0].device
        with fast_pyro(), never_gathering(), graph_backend():
            self.draws = self._drawn(frame)
            inputs = self._inputs(frame, shared)
            examples = [each.detach().clone() for each in inputs]
            learned = slice(2 + len(driven), 2 + len(driven) + owner.weights.learned)
            for each in examples[learned]:
                each.requires_grad_(each.is_floating_point())
            # Memory also where an example wants none (it was cut off): another one may.
            remembered = {id(each) for each in Layout(memory).tensors}
            for each, own in zip(examples[2 + self.shared :], self.given.tensors, strict=True):
                always = id(own) in remembered and own.is_floating_point()
                each.requires_grad_(always or own.requires_grad)
            try:
                self.graph: Flat = differentiable_graph(self._flat, examples)
                check_gradients(self.graph, self._flat, examples)
            finally:
                self.program.drive(driven)
        self.given.released()
        self.made.released()

    def run(self, frame: GivenFrame, shared: Sequence[Tensor]) -> FrameWeights:
        """The weights of a frame."""
        found = self.graph(*self._inputs(frame, shared))
        value, score, states = self.made.filled(found)
        return FrameWeights(value, score, Memory(frame.number + 1, *states))

    def _drawn(self, frame: GivenFrame) -> NoiseShapes:
        """What a frame draws, found out by a pass whose results nobody wants.

        Raises:
            GraphError: it draws what cannot be given.
        """
        try:
            with torch.no_grad(), NoiseShapes() as draws:
                self.module(*frame)
        except UnknownNoiseError as error:
            raise GraphError(first_line(error)) from error
        return draws

    def _inputs(self, frame: GivenFrame, shared: Sequence[Tensor]) -> list[Tensor]:
        uniform, normal = (numbers(each) for each in (self.draws.uniform, self.draws.normal))
        return [
            torch.rand(uniform, device=self.device),
            torch.randn(normal, device=self.device),
            *shared,
            *(each.contiguous() for each in self.given.of(frame.parts())),
        ]

    def _flat(self, *inputs: Tensor) -> Sequence[Tensor]:
        """The frame as a function of tensors, which is traced."""
        uniform, normal, *rest = inputs
        shared, given = rest[: self.shared], rest[self.shared :]
        # In the place of numbers, which would become part of the graph.
        driven: Any = dict(zip(self.driven, shared, strict=False))
        self.program.drive(driven)
        weights = self.weights.named(shared[len(driven) :])
        arguments, states, view = self.given.filled(given)
        number: Any = self.number if self.number < SETTLED else AnyFrame(SETTLED)
        memory = None if states is None else Memory(number, *states)
        with GivenNoise(self.draws, uniform, normal):
            found = functional_call(self.module, weights, (arguments, memory, view))
        self.made = Layout(found)
        return [each.contiguous() for each in self.made.tensors]


class _Weighed(nn.Module):
    """Log-weights of a frame, and what to go on with, as a module.

    Args:
        estimator: the objective.
        model: the program.
        guide: its posterior.
    """

    def __init__(self, estimator: ParticleEstimator, model: nn.Module, guide: nn.Module) -> None:
        super().__init__()
        self.estimator = estimator
        self.model = model
        self.guide = guide

    def forward(
        self, arguments: Sequence[Tensor], memory: Memory | None, view: Any = None
    ) -> tuple[Any, ...]:
        """Value and score, and the states of model and guide."""
        given = {} if memory is None else {"memory": memory}
        guide = self.guide if view is None else partial(self.guide, view=view)
        weights = self.estimator.log_weights(self.model, guide, tuple(arguments), given)
        scene, inferred = (each.nodes["_RETURN"]["value"] for each in weights.traces)
        return weights.value, weights.score, (scene.memory, inferred.memory)
