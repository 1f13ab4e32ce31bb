"""Many tasks of one kind: one by one in this process, or side by side on workers of Dask.

A task that fails does not stop the others. A worker that dies is replaced, and its task begun again
elsewhere: a task must be such that it can be begun twice. Tasks in one worker process take turns,
whatever its number of threads, because Pyro's handlers are global to a process.
"""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from scalor_ppl.errors import NotFiniteError, UserError
from scalor_ppl.files import refusal

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Value = TypeVar("Value")

CONNECT = 10.0  # seconds to wait for a scheduler
_SILENT = logging.CRITICAL  # a worker that died is told of where its task was lost
_TURN = threading.Lock()


@dataclass(frozen=True)
class TaskResult(Generic[Value]):
    """What became of a task.

    Attributes:
        index: which of the tasks, from 0.
        value: what it gave; none where it failed.
        error: why it failed, in one line; none where it did not.
        fault: whether the reason is a fault of the program or a worker, and not the input.
    """

    index: int
    value: Value | None = None
    error: str | None = None
    fault: bool = False


def run_tasks(
    function: Callable[[Item], Value], items: Sequence[Item], client: "Client | None"
) -> Generator[TaskResult[Value], None, None]:
    """Do every task; results come as they are ready.

    Args:
        function: of a module that workers can import; its items and values can be pickled.
        items: one a task.
        client: of :func:`connected`; none does everything in this process, in order.

    Yields:
        A result for every task, failed or not. Closing the generator takes back the tasks that have
        not begun.
    """
    if client is not None:
        yield from _distribute(client, function, items)
        return
    for index, item in enumerate(items):
        yield _attempt(function, item, index)


def leaving() -> bool:
    """Whether this is on a worker that is about to end: what can be put off is put off now."""
    if "distributed" not in sys.modules:
        return False
    from distributed import Status, get_worker

    try:
        return get_worker().status in (Status.closing, Status.closed)
    except ValueError:  # not on a worker
        return False


@contextmanager
def connected(jobs: int, scheduler: str | None = None) -> Iterator["Client | None"]:
    """Workers of Dask for :func:`run_tasks`; they end with the block, as far as they began with it.

    Ctrl-C and SIGTERM are ``KeyboardInterrupt`` meanwhile, so that workers do not outlive a client
    that is told to end. On a scheduler tasks that have begun go on to their end nevertheless.

    Args:
        jobs: worker processes on this machine; 1 is this process itself.
        scheduler: address of a Dask scheduler, whose workers are taken instead; they have the same
            version of this package, and see the same files under the same paths.

    Yields:
        None where no worker is wanted.

    Raises:
        UserError: Dask is missing, or no scheduler answers.
    """
    if jobs == 1 and scheduler is None:
        yield None
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise UserError(
            "--jobs and --scheduler need Dask: pip install 'scalor-ppl[cluster]'"
        ) from None
    with ExitStack() as held:
        held.enter_context(_interruptible())
        if scheduler is None:
            # One thread each: tasks of a process would only wait for each other.
            cluster = LocalCluster(
                n_workers=jobs, threads_per_worker=1, dashboard_address=None, silence_logs=_SILENT
            )
            scheduler = held.enter_context(cluster).scheduler_address
        try:
            client = Client(scheduler, timeout=CONNECT)
        except (OSError, TimeoutError, ValueError) as error:
            raise UserError(
                f"--scheduler {scheduler}: no Dask scheduler answers there ({_line(str(error))}); "
                "start one with: dask scheduler"
            ) from None
        yield held.enter_context(client)


def _attempt(function: Callable[[Item], Value], item: Item, index: int) -> TaskResult[Value]:
    """Do one task; its failure is a result."""
    try:
        return TaskResult(index, function(item))
    except Exception as error:
        return failed(index, error)


def failed(index: int, error: BaseException) -> TaskResult[Any]:
    """A failure as a result, in one line; what the user can mend is no fault of the program."""
    if isinstance(error, UserError | NotFiniteError):
        return TaskResult(index, None, _line(str(error)), isinstance(error, NotFiniteError))
    reason = refusal(error)
    if reason is not None:
        place = getattr(error, "filename", None) or "a file"
        return TaskResult(index, None, f"cannot write or read {place}: {reason}")
    said = _line(f"{type(error).__name__}: {error}")
    return TaskResult(index, None, f"this is a fault of scalor-ppl: {said}", True)


def _line(text: str) -> str:
    return " ".join(text.split())


def _attempt_on_worker(
    function: Callable[[Item], Value], item: Item, index: int, release: str
) -> TaskResult[Value]:
    """Do one task on a worker, when no other one is being done in its process."""
    own = version("scalor-ppl")
    if own != release:
        told = f"a worker has scalor-ppl {own}, not {release}: install the same one there"
        return TaskResult(index, None, told)
    with _TURN:
        return _attempt(function, item, index)


def _distribute(
    client: "Client", function: Callable[[Item], Value], items: Sequence[Item]
) -> Generator[TaskResult[Value], None, None]:
    """Hand out the tasks; results come as they are ready."""
    from distributed import as_completed

    release = version("scalor-ppl")
    futures = {
        client.submit(_attempt_on_worker, function, item, index, release, pure=False): index
        for index, item in enumerate(items)
    }
    try:
        for future in as_completed(futures):
            index = futures[future]
            error = future.exception()
            if error is None:
                yield future.result()
            else:  # from Dask itself: the task never came to an end of its own
                yield TaskResult(index, None, _lost(error), True)
            future.release()
    finally:
        client.cancel([future for future in futures if not future.done()], force=True)


def _lost(error: BaseException) -> str:
    """Why a task was given up, in one line."""
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        return (
            f"{error.allowed_failures + 1} workers died while they worked on it, the last at "
            f"{error.last_worker.address}: see their logs; lack of memory is the usual reason"
        )
    return _line(f"{type(error).__name__}: {error}")


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the waiting as Ctrl-C does, so that workers are ended, too."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not in the main thread: signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
