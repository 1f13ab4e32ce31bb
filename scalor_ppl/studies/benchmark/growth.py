"""Time and memory of a program as one thing at a time grows: frames, videos, pixels, a setting.

Each series begins where the others do and changes one thing. Beside what was measured stands how
much more of that thing there is: nothing should grow faster. Less is usual, as a part of a step
does not depend on it.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.config.settings import merged, nearest, parse_setting
from scalor_ppl.environment import commit, environment
from scalor_ppl.errors import UserError
from scalor_ppl.inference.posterior import infer
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs.configuration import checked
from scalor_ppl.studies.benchmark.memory import peak_memory
from scalor_ppl.studies.benchmark.results import PeakMemory, Quartiles
from scalor_ppl.studies.benchmark.run import Say, filled, torch_threads
from scalor_ppl.studies.benchmark.step import Stepper
from scalor_ppl.studies.ledger import LedgerLine, hardware

FRAMES, BATCH, SIZE = "frames", "batch", "size"
"""What grows beside settings: length of a video, videos a step, height and width of its frames."""


class GrowthEntry(LedgerLine):
    """A point of a series.

    Attributes:
        program: its name in the run.
        quantity: what grows: ``frames``, ``batch``, ``size``, or a setting such as
            ``model.capacity``.
        value: of it, as it was given.
        amount_x: how many times as much as at the series' first point; of a pair, the product.
        batch, frames: of the step.
        rounds: repetitions, of which medians are taken.
        forward_ms: processor time of a forward pass of guide and model, a draw from the posterior.
        forward_x: over that of the first point.
        step_ms, step_x: likewise of a training step: loss, gradients, update.
        memory_mib, memory_x: likewise peak memory of training, above what the process held before.
        load: of the machine before.
        threads: of the measurement.
        hardware: processor.
        commit: of the source.
        date: year-month-day.
    """

    program: str
    quantity: str
    value: str
    amount_x: float
    batch: int
    frames: int
    rounds: int
    forward_ms: float
    forward_x: float
    step_ms: float
    step_x: float
    memory_mib: float
    memory_x: float
    load: float | None = None
    threads: str
    hardware: str
    commit: str
    date: str


@dataclass(frozen=True)
class Series:
    """What grows, and through which values.

    Attributes:
        quantity: ``frames``, ``batch``, ``size``, or the dotted name of a setting.
        values: numbers, or pairs as ``8x8``, from little to much.
    """

    quantity: str
    values: tuple[str, ...]

    @classmethod
    def parsed(cls, text: str) -> "Series":
        """Of ``frames=4,8,16`` or ``model.grid=8x8,16x16``.

        Raises:
            UserError: it is something else, has fewer than two values, or they do not grow.
        """
        quantity, _, rest = text.partition("=")
        series = cls(quantity.strip(), tuple(value.strip() for value in rest.split(",")))
        parts = [part for value in series.values for part in value.split("x")]
        if not series.quantity or not all(part.isdecimal() and int(part) for part in parts):
            raise UserError(
                f"--vary {text}: give what grows and through which values, such as frames=4,8,16 "
                "or model.grid=8x8,16x16"
            )
        plain = (FRAMES, BATCH, SIZE)
        if series.quantity not in plain and "." not in series.quantity:
            known = f"is none of {', '.join(plain)}{nearest(series.quantity, plain)}"
            raise UserError(f"--vary {text}: {series.quantity} {known}, and no setting")
        amounts = series.amounts
        if len(amounts) < 2 or any(after <= before for before, after in pairwise(amounts)):
            raise UserError(f"--vary {text}: give two values at least, from little to much")
        return series

    @property
    def amounts(self) -> list[int]:
        """How much of it there is: a number, or the product of a pair; of a size its pixels."""
        found = [math.prod(map(int, value.split("x"))) for value in self.values]
        square = self.quantity == SIZE and all("x" not in value for value in self.values)
        return [amount**2 for amount in found] if square else found

    def changed(self, config: Config, value: str) -> Config:
        """The configuration at a point.

        Raises:
            UserError: the program has no such setting, or not such values.
        """
        numbers = [int(part) for part in value.split("x")]
        if self.quantity in (FRAMES, BATCH):
            return config
        if self.quantity == SIZE:
            return config.with_model(height=numbers[0], width=numbers[-1])
        given = numbers if len(numbers) > 1 else numbers[0]
        setting = parse_setting(f"{self.quantity}={given}")
        return checked(merged(config.model_dump(mode="json"), setting))


@dataclass
class _Point:
    """A program that is ready to be timed at a point of a series."""

    config: Config
    batch: int
    frames: int
    stepper: Stepper
    forward: list[float] = field(default_factory=list)
    step: list[float] = field(default_factory=list)

    def run(self, *, keep: bool) -> None:
        """Time a forward pass and a step, by what the processor worked for them."""
        program = self.stepper.program
        begin = time.process_time()
        infer(program.model, program.guide, self.stepper.video, sample=True)
        middle = time.process_time()
        self.stepper.timed()
        end = time.process_time()
        if keep:
            self.forward.append(middle - begin)
            self.step.append(end - middle)


def measure_growth(
    name: str,
    config: Config,
    series: Sequence[Series],
    *,
    batch: int,
    frames: int,
    rounds: int,
    threads: int | None = 1,
    say: Say = lambda message: None,
) -> Iterator[list[GrowthEntry]]:
    """Measure series, one after the other, on the CPU.

    Rounds go through the points of a series in turns, up and down, so that a drift of the machine
    favours none; the first one is warm-up.

    Args:
        name: of the program, for the lines.
        config: without height and width, 64 x 64 pixels are taken; without channels, 3.
        series: what grows.
        batch, frames: where they do not grow.
        rounds: repetitions.
        threads: torch's.
        say: told what is being measured.

    Yields:
        The lines of each series.

    Raises:
        UserError: as `Series.changed`, or the memory cannot be measured.
    """
    device, config = torch.device("cpu"), filled(config)
    # All are looked at before the first is measured.
    planned = [[(v, each.changed(config, v)) for v in each.values] for each in series]
    for each, configs in zip(series, planned, strict=True):
        with torch_threads(threads), fast_pyro():
            conditions = {**environment(device), "commit": commit()}
            points = []
            for value, changed in configs:
                say(f"building {each.quantity}={value}")
                of = (
                    int(value) if each.quantity == BATCH else batch,
                    int(value) if each.quantity == FRAMES else frames,
                )
                points.append(_Point(changed, *of, Stepper(changed, *of, device)))
            for number in range(rounds + 1):
                say(f"{each.quantity}: round {number} of {rounds}" if number else "warm-up")
                for point in points if number % 2 else reversed(points):
                    point.run(keep=number > 0)
            memories = []
            for (value, _), point in zip(configs, points, strict=True):
                say(f"memory of {each.quantity}={value}")
                memories.append(peak_memory(point.config, point.batch, point.frames, device))
        yield _lines(name, each, points, memories, rounds, conditions)


def _lines(
    name: str,
    series: Series,
    points: Sequence[_Point],
    memories: Sequence[PeakMemory],
    rounds: int,
    conditions: Mapping[str, Any],
) -> list[GrowthEntry]:
    amounts = series.amounts
    forward, step = (
        [1e3 * Quartiles.of(times).median for times in all_times]
        for all_times in ([p.forward for p in points], [p.step for p in points])
    )
    held = [(each.peak_bytes - each.before_bytes) / 2**20 for each in memories]
    return [
        GrowthEntry(
            program=name,
            quantity=series.quantity,
            value=value,
            amount_x=round(amounts[n] / amounts[0], 3),
            batch=points[n].batch,
            frames=points[n].frames,
            rounds=rounds,
            forward_ms=round(forward[n], 2),
            forward_x=round(forward[n] / forward[0], 3),
            step_ms=round(step[n], 2),
            step_x=round(step[n] / step[0], 3),
            memory_mib=round(held[n], 1),
            memory_x=round(held[n] / held[0], 3),
            load=conditions["load"],
            threads=str(conditions["threads"]),
            hardware=hardware(conditions),
            commit=conditions["commit"],
            date=conditions["date"][:10],
        )
        for n, value in enumerate(series.values)
    ]
