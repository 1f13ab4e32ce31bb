"""Videos tracked in this process, or on workers that load the program once."""

from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from scalor_ppl.errors import UserError
from scalor_ppl.parallel.tasks import TaskResult, failed, run_tasks
from scalor_ppl.programs import Program
from scalor_ppl.programs.trust import trusting
from scalor_ppl.tracking.job import TrackingOutcome
from scalor_ppl.tracking.outputs import state_of
from scalor_ppl.tracking.request import TrackingRequest
from scalor_ppl.tracking.state import describe_program
from scalor_ppl.tracking.together import track_together
from scalor_ppl.training.devices import pick_device
from scalor_ppl.training.runs import SHIPPED, load_run

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class RunChoice:
    """The trained program, as a worker can load it.

    Attributes:
        run: its folder, or ``pretrained:NAME``.
        device: as `pick_device` takes it, on the worker.
        refine: as `load_run` takes it.
        threads: CPU threads of a worker; none leaves them as they are.
        trusted: whether code that the run names may run.
        compiled: as `load_run` takes it.
    """

    run: str
    device: str = "auto"
    refine: int | None = None
    threads: int | None = None
    trusted: bool = False
    compiled: bool = False

    def load(self) -> Program:
        """Load it in this process."""
        if self.threads is not None:
            import torch

            torch.set_num_threads(self.threads)
        with trusting() if self.trusted else nullcontext():
            return load_run(
                Path(self.run),
                pick_device(self.device),
                refine=self.refine,
                compiled=self.compiled,
            )

    def anywhere(self) -> "RunChoice":
        """The same from any directory."""
        if self.run.startswith(SHIPPED):
            return self
        return replace(self, run=str(Path(self.run).resolve()))


@dataclass(frozen=True)
class BatchTask:
    """Videos that a worker tracks together.

    Attributes:
        choice: with what.
        made_with: what that was when it was asked for, see `described`.
        requests: with absolute paths.
    """

    choice: RunChoice
    made_with: tuple[tuple[str, str], ...]
    requests: tuple[TrackingRequest, ...]


def described(program: Program) -> tuple[tuple[str, str], ...]:
    """Digests of a program, by what they are called."""
    return tuple(describe_program(program).items())


def track_here(
    program: Program, requests: Sequence[TrackingRequest], batch: int
) -> Generator[TaskResult[TrackingOutcome], None, None]:
    """Track videos in this process."""
    going_on = map(_going_on, requests)  # looked at when it is their turn
    with closing(track_together(program, going_on, batch=batch)) as results:
        for each in results:
            if each.error is not None:
                yield failed(each.index, each.error)
            else:
                yield TaskResult(each.index, each.outcome)


def track_elsewhere(
    client: "Client",
    choice: RunChoice,
    made_with: tuple[tuple[str, str], ...],
    requests: Sequence[TrackingRequest],
    batch: int,
) -> Generator[TaskResult[TrackingOutcome], None, None]:
    """Track videos on workers, so many to a task."""
    indices = range(len(requests))
    groups = [indices[first : first + batch] for first in indices[::batch]]
    while groups:
        tasks = [BatchTask(choice, made_with, tuple(requests[i] for i in each)) for each in groups]
        lost: list[range] = []
        with closing(run_tasks(track_batch, tasks, client)) as results:
            for result in results:
                group = groups[result.index]
                if result.value is not None:
                    for index, each in zip(group, result.value, strict=True):
                        yield replace(each, index=index)
                elif len(group) > 1:
                    # One of them may be what the workers died of: each for itself.
                    lost += [indices[i : i + 1] for i in group]
                else:
                    yield TaskResult(group[0], None, result.error, result.fault)
        groups = lost


def track_batch(task: BatchTask) -> list[TaskResult[TrackingOutcome]]:
    """Track the videos of a task, on whichever worker; after a worker's death it goes on.

    Returns:
        What became of each, in their order.

    Raises:
        UserError: the program is not the one that was asked for, or cannot be loaded.
    """
    program = _loaded(task.choice, task.made_with)
    results = list(track_here(program, task.requests, len(task.requests)))
    return sorted(results, key=lambda result: result.index)


@lru_cache(maxsize=1)
def _loaded(choice: RunChoice, made_with: tuple[tuple[str, str], ...]) -> Program:
    """A program, loaded once in a worker.

    Raises:
        UserError: it is another one than was asked for.
    """
    program = choice.load()
    if described(program) != made_with:
        raise UserError(
            f"{choice.run} is another one here than where the tracking began: it is still being "
            "trained, or this worker sees another folder; begin again"
        )
    return program


def _going_on(request: TrackingRequest) -> TrackingRequest:
    """As it is to be begun now: from where it was, or anew.

    Whoever asked saw to it that its files may be written, and that a state is of this tracking.
    """
    going_on = state_of(request.out).exists()
    return replace(request, resume=going_on, overwrite=not going_on)
