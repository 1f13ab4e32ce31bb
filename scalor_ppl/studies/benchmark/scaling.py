"""Time and memory against the number of objects, of several programs in one run.

The question is that of the paper's figure 8 (c): N objects are in the first frame, the program
finds them all and keeps them. Two things can grow with N, and are told apart:

* *constant room*: every program has room for the largest N (cells, slots, steps of discovery);
  only the number of objects differs.
* *exact room*: it has room for N and no more, as in the paper's figure, whose capacity of discovery
  grows with the number of objects.

A program that cannot be told how many objects to find is measured on the same video as often.
"""

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.environment import commit, environment
from scalor_ppl.errors import UserError
from scalor_ppl.inference.posterior import infer
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import CountsObjects
from scalor_ppl.programs.loader import family_of
from scalor_ppl.studies.benchmark.memory import peak_memory
from scalor_ppl.studies.benchmark.objects import check_alive
from scalor_ppl.studies.benchmark.results import PeakMemory, Quartiles
from scalor_ppl.studies.benchmark.run import Say, filled, torch_threads
from scalor_ppl.studies.benchmark.step import Stepper
from scalor_ppl.training.collector import long_lived_set_aside

CONSTANT, EXACT, NO_ROOM = "constant room", "exact room", "no objects"
"""Kinds of series; the last is of a program that finds no objects by number."""
WALL, PROCESSOR = "wall", "processor"
"""Clocks: time as it passes, or that which the processor worked for this process, which hardly
depends on what else the machine does meanwhile."""


@dataclass(frozen=True)
class ScalingPoint:
    """A program with so many objects in every video and frame.

    Attributes:
        program: its name.
        room: kind of series.
        objects: N.
        parameters: how many can be trained.
        forward: seconds of a forward pass of guide and model, without gradients, a draw from the
            posterior.
        step: seconds of a training step: loss, gradients, update.
        memory: peak of training, in a process of its own; none where it was not measured.
    """

    program: str
    room: str
    objects: int
    parameters: int
    forward: Quartiles
    step: Quartiles
    memory: PeakMemory | None

    @property
    def mebibytes(self) -> float | None:
        """Peak memory above what the process held before its first step."""
        if self.memory is None:
            return None
        return (self.memory.peak_bytes - self.memory.before_bytes) / 2**20


@dataclass(frozen=True)
class ScalingReport:
    """All points, and what they were measured on.

    Attributes:
        environment: versions, threads, processor, device, load, date, commit.
        setting: batch, frames, rounds, and the configuration of each program.
        points: by program, series and number of objects.
    """

    environment: dict[str, Any]
    setting: dict[str, Any]
    points: tuple[ScalingPoint, ...]

    def series(self) -> dict[tuple[str, str], list[ScalingPoint]]:
        """Points by program and kind of series, from few objects to many."""
        found: dict[tuple[str, str], list[ScalingPoint]] = {}
        for point in self.points:
            found.setdefault((point.program, point.room), []).append(point)
        return found

    def in_series(self) -> list[ScalingPoint]:
        """All points, series by series."""
        return [point for points in self.series().values() for point in points]

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return asdict(self)


@dataclass
class _Runner:
    """A program that is ready to be timed with so many objects."""

    name: str
    room: str
    objects: int
    config: Config
    stepper: Stepper
    guide: Any
    clock: str
    forward: list[float] = field(default_factory=list)
    step: list[float] = field(default_factory=list)

    def run(self, *, keep: bool) -> None:
        """Time a forward pass and a step."""
        stepper, program = self.stepper, self.stepper.program
        begin = self.now()
        infer(program.model, self.guide, stepper.video, sample=True)
        middle = self.now()
        stepper.timed(functools.partial(stepper.forward, self.guide))
        end = self.now()
        if keep:
            self.forward.append(middle - begin)
            self.step.append(end - middle)

    def now(self) -> float:
        """Seconds on the clock, when the device has done all that it was given."""
        return self.stepper.now() if self.clock == WALL else time.process_time()

    @property
    def told(self) -> int | None:
        """How many objects it is told to find; none where it cannot be told."""
        return None if self.room == NO_ROOM else self.objects


def measure_scaling(
    configs: Mapping[str, Config],
    counts: Sequence[int],
    *,
    batch: int,
    frames: int,
    rounds: int,
    device: torch.device,
    threads: int | None = None,
    clock: str = WALL,
    memory: bool = True,
    say: Say = lambda message: None,
) -> ScalingReport:
    """Measure programs against the number of objects.

    Each round measures all programs and numbers in turns, up and down, so that a drift of the
    machine favours none; the first round is warm-up. Networks are as each configuration says.

    Args:
        configs: by name; without height and width, 64 x 64 pixels are taken; without channels, 3.
        counts: numbers of objects.
        batch: videos a step.
        frames: length of a video.
        rounds: repetitions, of which medians and quartiles are taken.
        device: where to run.
        threads: torch's threads on the CPU; none leaves them as they are.
        clock: ``wall`` or, on the CPU, ``processor``.
        memory: measure peak memory too, each point in a process of its own.
        say: told what is being measured.

    Raises:
        UserError: frames of different sizes, no such clock, or a program finds another number than
            it is told.
    """
    if clock not in (WALL, PROCESSOR) or (clock == PROCESSOR and device.type != "cpu"):
        raise UserError(f"--clock {clock}: it is wall, or on the CPU processor")
    configs = {name: filled(config) for name, config in configs.items()}
    _check_sizes(configs)
    with torch_threads(threads), fast_pyro(), long_lived_set_aside():
        conditions = {**environment(device), "commit": commit()}
        say("building")
        runners = _runners(configs, counts, batch, frames, device, clock)
        for number in range(rounds + 1):
            say(f"round {number} of {rounds}" if number else "warm-up")
            for runner in runners if number % 2 else reversed(runners):
                runner.run(keep=number > 0)
        points = []
        for runner in runners:
            peak = None
            if memory:
                say(f"memory of {runner.name}, {runner.room}, {runner.objects} objects")
                told = {"objects": runner.told}
                peak = peak_memory(runner.config, batch, frames, device, **told)
            points.append(_point(runner, peak))
    written = {name: config.model_dump(mode="json") for name, config in configs.items()}
    setting = {"batch": batch, "frames": frames, "rounds": rounds, "clock": clock}
    return ScalingReport(conditions, {**setting, "configs": written}, tuple(points))


def _check_sizes(configs: Mapping[str, Config]) -> None:
    sizes = {
        name: (config.model.height, config.model.width, config.model.channels)
        for name, config in configs.items()
    }
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {' x '.join(map(str, size))}" for name, size in sizes.items())
        raise UserError(f"programs are compared on one size of frames, not {told}")


def _runners(
    configs: Mapping[str, Config],
    counts: Sequence[int],
    batch: int,
    frames: int,
    device: torch.device,
    clock: str,
) -> list[_Runner]:
    """Everything that is to be timed, series by series."""
    runners: list[_Runner] = []

    def add(name: str, room: str, n: int, config: Config, stepper: Stepper, guide: Any) -> None:
        runners.append(_Runner(name, room, n, config, stepper, guide, clock))

    for name, config in configs.items():
        kind = family_of(config.model_file).program
        if not issubclass(kind, CountsObjects):
            stepper = Stepper(config, batch, frames, device)
            for n in counts:
                add(name, NO_ROOM, n, config, stepper, stepper.program.guide)
            continue
        roomy = kind.with_room(config, max(counts))
        shared = Stepper(roomy, batch, frames, device)
        for n in counts:
            add(name, CONSTANT, n, roomy, shared, _told(shared, n))
        for n in counts:
            exact = kind.with_exact_room(config, n)
            stepper = Stepper(exact, batch, frames, device)
            add(name, EXACT, n, exact, stepper, _told(stepper, n))
    return runners


def _told(stepper: Stepper, objects: int) -> Any:
    """The guide made to find so many objects, seen to do so."""
    program: Any = stepper.program
    guide = program.finding(objects)
    check_alive(stepper, guide, objects, "leave the program out")
    return guide


def _point(runner: _Runner, memory: PeakMemory | None) -> ScalingPoint:
    return ScalingPoint(
        runner.name,
        runner.room,
        runner.objects,
        runner.stepper.count_parameters()["total"],
        Quartiles.of(runner.forward),
        Quartiles.of(runner.step),
        memory,
    )
