"""What the benchmark measures, as it is written and shown. Times in seconds, memory in bytes."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scalor_ppl.files import written_whole


@dataclass(frozen=True)
class Quartiles:
    """Median and quartiles of repeated measurements, in seconds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Quartiles":
        """The spread of one or more measurements."""
        if len(seconds) == 1:
            return cls(seconds[0], seconds[0], seconds[0])
        low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True)
class StepTime:
    """Seconds of the phases of a step; ``optimizer`` holds the clipping of gradients too."""

    forward: Quartiles
    backward: Quartiles
    optimizer: Quartiles
    total: Quartiles


@dataclass(frozen=True)
class Operations:
    """Calls of torch's library in a phase of a step.

    Attributes:
        total: of all of them.
        views: of those that compute nothing, but show a tensor's memory in another shape.
        flops: floating point operations of matrix products and convolutions.
    """

    total: int
    views: int
    flops: int

    @property
    def kernels(self) -> int:
        """Calls that compute."""
        return self.total - self.views

    def __add__(self, other: "Operations") -> "Operations":
        return Operations(
            self.total + other.total, self.views + other.views, self.flops + other.flops
        )


@dataclass(frozen=True)
class StepOperations:
    """Operations of the phases of a step; ``optimizer`` holds the clipping of gradients too."""

    forward: Operations
    backward: Operations
    optimizer: Operations

    @property
    def total(self) -> Operations:
        """Of all phases."""
        return self.forward + self.backward + self.optimizer


@dataclass(frozen=True)
class PeakMemory:
    """Peak memory of training in a fresh process.

    Attributes:
        peak_bytes: largest resident size of the process; on a GPU, largest allocation there.
        before_bytes: the same before the first step, libraries and parameters included.
        kind: ``resident`` or ``cuda``.
    """

    peak_bytes: int
    before_bytes: int
    kind: str


@dataclass(frozen=True)
class Part:
    """A named part of the forward pass: its own seconds (median), and its share of the pass."""

    name: str
    seconds: float
    share: float


@dataclass(frozen=True)
class PyroShare:
    """Pyro's own share of a step, as :mod:`scalor_ppl.studies.benchmark.pyro_share` defines it.

    Attributes:
        share: of the whole step, none where it cannot be measured.
        pyro, plain: times of the step with and without Pyro.
        loss_difference, gradient_difference: relative differences of both runs.
        note: why there is no share, else empty.
    """

    share: float | None
    pyro: Quartiles | None = None
    plain: Quartiles | None = None
    loss_difference: float | None = None
    gradient_difference: float | None = None
    note: str = ""


@dataclass(frozen=True)
class ObjectsTime:
    """Seconds of a step without optimizer, with so many objects alive in every video and frame."""

    objects: int
    seconds: Quartiles


@dataclass(frozen=True)
class SizeTime:
    """Seconds of a step at an image size.

    Attributes:
        height, width: in pixels.
        variant: how the program has grown with it, in words; empty where there is one way only.
        seconds: of the step.
    """

    height: int
    width: int
    variant: str
    seconds: Quartiles


@dataclass(frozen=True)
class Report:
    """Everything that was measured. Times in seconds, memory in bytes.

    Attributes:
        environment: versions, threads, processor, device, date (UTC).
        setting: batch, frames, steps and the resolved configuration.
        parameters: number of trainable parameters of model, guide and both.
        shape: what of the program's settings a step's cost depends on, in words.
        alive: mean number of objects alive a video and frame, in the timed steps; none where the
            program finds none.
        step: of the step.
        operations: of the step.
        over_arithmetic: the step's time over that of its floating point operations, at the rate of
            one large matrix product.
        memory: at its peak.
        parts: of the forward pass, slowest first.
        pyro: its share.
        objects: time against the number of objects, empty where not asked for.
        objects_ratio: time at the largest number over that at the smallest.
        sizes: time against image size, empty where not asked for.
    """

    environment: dict[str, Any]
    setting: dict[str, Any]
    parameters: dict[str, int]
    shape: str
    alive: float | None
    step: StepTime
    operations: StepOperations
    over_arithmetic: float
    memory: PeakMemory
    parts: list[Part]
    pyro: PyroShare
    objects: list[ObjectsTime]
    objects_ratio: float | None
    sizes: list[SizeTime]

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        with written_whole(path) as lent:
            lent.write_text(json.dumps(asdict(self), indent=2) + "\n")
