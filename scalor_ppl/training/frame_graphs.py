"""The objective frame by frame, each frame of guide and model one compiled graph.

Model and guide go on from a memory, so a clip's log-weight is the sum of its frames', each taken
with the memory of the frame before; here that is not detached. One frame is traced once, Pyro's
handlers with it, and compiled; three graphs serve clips of every length: the first frame, the
second, and those that follow (in the second there are no recurrent states yet).
"""

import logging
from collections.abc import Mapping, Sequence
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
from scalor_ppl.objectives.particles import ParticleEstimator
from scalor_ppl.programs import Memory, Program
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
    took 160 seconds of a processor to compile and won 4.5 ms a frame of a step, which is paid after
    36,000 frames. Larger programs win more a frame; those whose step is smaller, less.

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
        video, *others = arguments
        if video.shape[1] == 1:
            # What only later frames depend on gets no gradient then; of a graph it would get zeros.
            return None
        # The same in all frames: what schedules drive, and the weights.
        shared = [torch.tensor(float(each), device=video.device) for each in driven.values()]
        shared += self.weights.tensors()
        values, scores = [], []
        for frame in video.split(1, 1):
            given = (frame, *others)
            graph = self._graph(given, memory, driven, shared)
            if graph is None:
                return None
            found = graph.run(given, memory, shared)
            values.append(found.value)
            memory = found.memory
            if found.score is not None:
                scores.append(found.score)
        weights = torch.stack(values).sum(0)
        score = torch.stack(scores).sum(0) if scores else None
        return Estimate(self.estimator.loss_of(weights, score), memory=memory)

    def _graph(
        self,
        arguments: Sequence[Tensor],
        memory: Memory | None,
        driven: Mapping[str, float],
        shared: Sequence[Tensor],
    ) -> "_FrameGraph | None":
        number = 0 if memory is None else min(memory.frame, SETTLED)
        form = number, tuple(each.shape for each in arguments)
        if form not in self._graphs and not self._refused:
            # The training's own noise must not depend on when a graph is made.
            cuda = [arguments[0].device] if arguments[0].is_cuda else []
            try:
                with torch.random.fork_rng(cuda):
                    self._graphs[form] = _FrameGraph(self, arguments, memory, driven, shared)
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
    program's arguments, the tensors of the memory. Weights and memory have a gradient.

    Args:
        owner: whose it is.
        arguments: examples; the video is of one frame.
        memory: example; none for the first frame.
        driven: values of what schedules drive.
        shared: the same as tensors, and the owner's weights.

    Raises:
        GraphError: it cannot be captured or compiled, or the graph's gradient is wrong.
    """

    def __init__(
        self,
        owner: FrameGraphs,
        arguments: Sequence[Tensor],
        memory: Memory | None,
        driven: Mapping[str, float],
        shared: Sequence[Tensor],
    ) -> None:
        self.program = owner.program
        self.module = owner.module
        self.weights = owner.weights
        self.driven = list(driven)
        self.shared = len(shared)
        self.frame = self._number(memory)
        self.given = Layout((list(arguments), None if memory is None else memory[1:]))
        self.device = arguments[0].device
        with fast_pyro(), never_gathering(), graph_backend():
            self.draws = self._drawn(arguments, memory)
            inputs = self._inputs(arguments, memory, shared)
            examples = [each.detach().clone() for each in inputs]
            learned = 2 + len(driven), 2 + len(driven) + owner.weights.learned
            remembered = 2 + self.shared + len(Layout(list(arguments)).tensors)
            # Also where an example wants none (a memory that was cut off): another one may.
            for each in (*examples[slice(*learned)], *examples[remembered:]):
                each.requires_grad_(each.is_floating_point())
            try:
                self.graph: Flat = differentiable_graph(self._flat, examples)
                check_gradients(self.graph, self._flat, examples)
            finally:
                self.program.drive(driven)
        self.given.released()
        self.made.released()

    def run(
        self, arguments: Sequence[Tensor], memory: Memory | None, shared: Sequence[Tensor]
    ) -> FrameWeights:
        """The weights of a frame."""
        found = self.graph(*self._inputs(arguments, memory, shared))
        value, score, states = self.made.filled(found)
        return FrameWeights(value, score, Memory(self._number(memory) + 1, *states))

    @staticmethod
    def _number(memory: Memory | None) -> int:
        return 0 if memory is None else memory.frame

    def _drawn(self, arguments: Sequence[Tensor], memory: Memory | None) -> NoiseShapes:
        """What a frame draws, found out by a pass whose results nobody wants.

        Raises:
            GraphError: it draws what cannot be given.
        """
        try:
            with torch.no_grad(), NoiseShapes() as draws:
                self.module(list(arguments), memory)
        except UnknownNoiseError as error:
            raise GraphError(first_line(error)) from error
        return draws

    def _inputs(
        self, arguments: Sequence[Tensor], memory: Memory | None, shared: Sequence[Tensor]
    ) -> list[Tensor]:
        uniform, normal = (numbers(each) for each in (self.draws.uniform, self.draws.normal))
        given = self.given.of((list(arguments), None if memory is None else memory[1:]))
        return [
            torch.rand(uniform, device=self.device),
            torch.randn(normal, device=self.device),
            *shared,
            *(each.contiguous() for each in given),
        ]

    def _flat(self, *inputs: Tensor) -> Sequence[Tensor]:
        """The frame as a function of tensors, which is traced."""
        uniform, normal, *rest = inputs
        shared, given = rest[: self.shared], rest[self.shared :]
        # In the place of numbers, which would become part of the graph.
        driven: Any = dict(zip(self.driven, shared, strict=False))
        self.program.drive(driven)
        weights = self.weights.named(shared[len(driven) :])
        arguments, states = self.given.filled(given)
        number: Any = self.frame if self.frame < SETTLED else AnyFrame(SETTLED)
        memory = None if states is None else Memory(number, *states)
        with GivenNoise(self.draws, uniform, normal):
            found = functional_call(self.module, weights, (arguments, memory))
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

    def forward(self, arguments: Sequence[Tensor], memory: Memory | None) -> tuple[Any, ...]:
        """Value and score, and the states of model and guide."""
        given = {} if memory is None else {"memory": memory}
        weights = self.estimator.log_weights(self.model, self.guide, tuple(arguments), given)
        scene, inferred = (each.nodes["_RETURN"]["value"] for each in weights.traces)
        return weights.value, weights.score, (scene.memory, inferred.memory)
