"""Training for a given time: how many steps fit, measured on real steps before the training.

Schedules run over steps. An objective that is slower per step gets fewer of them, and schedules
that are shorter by the same factor, so that every schedule keeps its shape over the same time.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scalor_ppl.config.schedules import Schedule, value_at
from scalor_ppl.config.schema import Config, TrainConfig
from scalor_ppl.data import ClipSource
from scalor_ppl.programs.build import build_program
from scalor_ppl.training.loop import Silent, train
from scalor_ppl.training.runs import create_run

WARM_UP = 3  # steps
TIMED = 3  # steps per clip length and round
ROUNDS = 3


class StepClock(Silent):
    """A watcher that notes when each logged step was done.

    Attributes:
        readings: of the clock, and of how long this process has worked, in seconds.
    """

    def __init__(self) -> None:
        self.readings: list[tuple[float, float]] = []

    def stepped(self, step: int, figures: Mapping[str, float]) -> None:
        """Look at both."""
        self.readings.append((time.perf_counter(), time.process_time()))


def time_all(
    configs: Mapping[str, Config], source: ClipSource, device: torch.device
) -> dict[str, dict[int, float]]:
    """Seconds of a training step of each configuration, by clip length.

    The quickest step of all rounds counts: without other programs steps differ by a few percent,
    and what other programs take is not the objective's. All take turns, so that a busy minute is
    not one objective's alone.

    Args:
        configs: by name, fitted to the source.
        source: of training clips.
        device: where training will run.
    """
    best: dict[str, dict[int, float]] = {name: {} for name in configs}
    for _ in range(ROUNDS):
        for name, config in configs.items():
            for frames, seconds in time_steps(config, source, device).items():
                best[name][frames] = min(seconds, best[name].get(frames, seconds))
    return best


def time_steps(config: Config, source: ClipSource, device: torch.device) -> dict[int, float]:
    """Seconds of the quickest of a few real training steps, for every clip length that may occur.

    Making of the data, the optimizer and logging are in it, as they are in training. On a crowded
    processor even the quickest step waits for others most of its time; it would take no longer
    than its processor seconds by itself, so these count there where they are fewer.

    Raises:
        KeyboardInterrupt: a signal came meanwhile.
    """
    seconds = {}
    for frames in clip_lengths(config.train):
        steps = {"frames": frames, "steps": WARM_UP + TIMED, "log_every": 1, "image_every": 0}
        short = config.model_copy(update={"train": config.train.model_copy(update=steps)})
        clock = StepClock()
        with tempfile.TemporaryDirectory() as folder:
            create_run(Path(folder), short)
            program = build_program(short, device)
            if train(program, source, Path(folder), watcher=clock).interrupted:
                raise KeyboardInterrupt
        passed, worked = np.diff(clock.readings[WARM_UP - 1 :], axis=0).T
        alone = np.minimum(passed, worked) if device.type == "cpu" else passed
        seconds[frames] = float(alone.min())
    return seconds


def clip_lengths(train: TrainConfig) -> list[int]:
    """Every clip length between the ends of the schedule, however many steps it has."""
    if isinstance(train.frames, int):
        return [train.frames]
    low, high = sorted((train.frames.start, train.frames.end))
    return list(range(round(low), round(high) + 1))


def predicted_minutes(train: TrainConfig, seconds: Mapping[int, float]) -> float:
    """Time of a whole training, from the seconds of a step by clip length."""
    lengths = (round(value_at(train.frames, step, train.steps)) for step in range(train.steps))
    return sum(seconds[length] for length in lengths) / 60


def lasting(train: TrainConfig, minutes: float, seconds: Mapping[int, float]) -> TrainConfig:
    """The training with as many steps as last so long, its schedules scaled alike; 1 at least."""
    chosen = train
    # The mean of a step changes a little when lengths are rounded over other steps: look again.
    for _ in range(3):
        mean = predicted_minutes(chosen, seconds) / chosen.steps
        chosen = scaled(train, max(1, round(minutes / mean)))
    return chosen


def scaled(train: TrainConfig, steps: int) -> TrainConfig:
    """The training with another number of steps, and schedules and warm-up of the same shape."""
    factor = steps / train.steps
    update: dict[str, Any] = {"steps": steps, "warmup": round(factor * train.warmup)}
    for name in type(train).model_fields:
        value = getattr(train, name)
        if isinstance(value, Schedule):
            length = None if value.steps is None else round(factor * value.steps)
            when = {"steps": length, "after": round(factor * value.after)}
            update[name] = value.model_copy(update=when)
    return train.model_copy(update=update)
