"""Ways to the same result in turns, in one run: what graphs gain, for training and for inference.

Times are the processor's (all threads), so that other programs beside count little; ratios of
medians are what to trust.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.errors import UserError
from scalor_ppl.inference.posterior import follow
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import Program
from scalor_ppl.studies.benchmark.results import Quartiles
from scalor_ppl.studies.benchmark.step import Stepper
from scalor_ppl.training.collector import long_lived_set_aside
from scalor_ppl.training.runs import load_run
from scalor_ppl.training.sources import open_data


@dataclass(frozen=True)
class Way:
    """One way.

    Attributes:
        name: in words.
        first: wall-clock seconds of its first turn, in which it may be compiled.
        seconds: processor time of the others.
        frames: that a turn is about.
    """

    name: str
    first: float
    seconds: Quartiles
    frames: int

    @property
    def rate(self) -> float:
        """Frames a second of processor time, the median."""
        return self.frames / self.seconds.median


def in_turns(
    ways: Mapping[str, Callable[[], None]],
    rounds: int,
    frames: int,
    within: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> list[Way]:
    """Time ways, one after another in every round.

    Args:
        ways: by name; each does a turn.
        rounds: of all, after a first one that is told apart.
        frames: that a turn is about.
        within: what the rounds are done in; the first turn is done before.

    Raises:
        UserError: there are fewer than one.
    """
    if rounds < 1:
        raise UserError(f"--steps must be at least 1, not {rounds}")
    first: dict[str, float] = {}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for name, turn in ways.items():
        begin = time.perf_counter()
        turn()
        first[name] = time.perf_counter() - begin
    with within():
        for _ in range(rounds):
            for name, turn in ways.items():
                begin = time.process_time()
                turn()
                spent[name].append(time.process_time() - begin)
    return [Way(name, first[name], Quartiles.of(spent[name]), frames) for name in ways]


def step_in_turns(
    config: Config, *, batch: int, frames: int, rounds: int, device: torch.device
) -> list[Way]:
    """A training step without its optimizer, as it is and by graphs (``train.compile``).

    Args:
        config: with height, width and channels.
        batch: videos a step.
        frames: of each.
        rounds: repetitions.
        device: where to run.
    """
    train = config.train.model_copy(update={"compile": True})
    stepper = Stepper(config.model_copy(update={"train": train}), batch, frames, device)
    stepper.drive_to(0)
    inputs = stepper.program.inputs(stepper.video, None)

    def step(traces: bool) -> None:
        stepper.backward(stepper.scaled(stepper.estimate(*inputs, traces=traces).loss))

    ways = {"as it is": lambda: step(True), "compiled": lambda: step(False)}
    with fast_pyro():
        # As in a training: compilers leave much behind.
        return in_turns(ways, rounds, batch * frames, long_lived_set_aside)


def inference_in_turns(
    run: Path, steps: int, *, frames: int, rounds: int, device: torch.device
) -> list[Way]:
    """What a run makes of a clip of its own data: networks alone, refined, refined by graphs.

    Args:
        run: trained.
        steps: of refinement.
        frames: of the clip.
        rounds: repetitions.
        device: where to run.

    Raises:
        UserError: it is no run, or its data have another size than its own.
    """
    ways: dict[str, Program] = {
        "networks alone": load_run(run, device, refine=0),
        f"refined, {steps} steps": load_run(run, device, refine=steps),
        "refined, compiled": load_run(run, device, refine=steps, compiled=True),
    }
    program = ways["networks alone"]
    source = open_data(program.config.data, "test")
    program.check_fits("its video", source.height, source.width, source.channels)
    clip = source.clip(0, frames)
    video = to_video(clip.video[None], device)

    def turn(program: Program) -> Callable[[], None]:
        return lambda: follow(program, video, None) and None

    return in_turns({name: turn(program) for name, program in ways.items()}, rounds, frames)
