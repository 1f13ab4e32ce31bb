"""Many things of one kind, told of as they come: a bar, a line for each failure, an exit code."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from rich.console import Console

from scalor_ppl.cli.options import INTERRUPTED, PLAIN
from scalor_ppl.cli.progress import Bar, say, shown_training

if TYPE_CHECKING:
    from scalor_ppl.parallel.tasks import TaskResult

Value = TypeVar("Value")


class Tally:
    """How many are done, how many failed.

    Args:
        total: how many there are.
        things: what they are called.
        bar: that is moved.

    Attributes:
        done: how many are.
        failed: how many are not and will not be.
        fault: whether one failed by a fault of the program or a worker, and not of its input.
        stopped: whether a signal came.
    """

    def __init__(self, total: int, things: str, bar: Bar) -> None:
        self.done = 0
        self.failed = 0
        self.fault = False
        self.stopped = False
        self._total = total
        self._things = things
        self._bar = bar
        self._errors = Console(stderr=True)

    def succeeded(self) -> None:
        """One more is done."""
        self.done += 1
        self._move()

    def refused(self, error: str, *, fault: bool) -> None:
        """One has failed, for this reason."""
        self.failed += 1
        self.fault |= fault
        self._errors.print("error:", error, style="red", **PLAIN)
        self._move()

    def _move(self) -> None:
        ended = self.done + self.failed
        if ended == 1:
            self._bar.show(0, self._total)
        self._bar.move(ended, self._things)


@contextmanager
def told_as_they_come(
    total: int, things: str, done: str, go_on: str, *, quiet: bool = False
) -> Iterator[Tally]:
    """Lend a tally, and end the command by what it has counted.

    Args:
        total: how many there are.
        things: what they are called, such as ``videos``.
        done: what was done with them, such as ``tracked``.
        go_on: how to go on after a signal.
        quiet: no bar, as each thing has its own.

    Raises:
        typer.Exit: with 2 where some failed by their own fault, 1 by another, 130 after a signal.
    """
    errors = Console(stderr=True)
    bar = Bar(errors, figures=things, transient=True, disable=quiet or not errors.is_terminal)
    tally = Tally(total, things, bar)
    try:
        with bar:
            yield tally
    except KeyboardInterrupt:
        tally.stopped = True
    if tally.stopped:
        say(f"interrupted after {tally.done} {things}; {go_on}")
        raise typer.Exit(INTERRUPTED)
    if tally.failed:
        say(f"{tally.done} {things} {done}, {tally.failed} failed")
        raise typer.Exit(1 if tally.fault else 2)


@contextmanager
def trained_side_by_side(
    train: Callable[..., Value],
    asked: Sequence[Any],
    things: str,
    done: str,
    go_on: str,
    *,
    jobs: int,
    scheduler: str | None,
) -> Iterator[tuple[Tally, Iterator["TaskResult[Value]"]]]:
    """Lend a tally, and what becomes of trainings as they come; those in this process show a bar.

    Args:
        train: of what is asked; called with `training` where that is to be another than
            `start_training`.
        asked: one for each training; its `anywhere` gives the same from any directory.
        things, done, go_on: see `told_as_they_come`.
        jobs, scheduler: where, see `parallel.tasks.connected`.

    Raises:
        UserError: no worker can be had.
        typer.Exit: some were not done.
    """
    from scalor_ppl.parallel.tasks import connected, run_tasks

    with (
        connected(min(jobs, len(asked)), scheduler) as client,
        told_as_they_come(len(asked), things, done, go_on, quiet=client is None) as tally,
        closing(
            run_tasks(partial(train, training=shown_training), asked, None)
            if client is None
            else run_tasks(train, [each.anywhere() for each in asked], client)
        ) as results,
    ):
        yield tally, results
