"""SIGINT and SIGTERM as a question that is asked between two steps of long work."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from scalor_ppl.parallel.tasks import leaving


@contextmanager
def stop_signals(echo: float = 0.0) -> Iterator[Callable[[], bool]]:
    """Lend a function that says whether a signal asked to stop; a second one ends it at once.

    On a worker of `parallel.tasks` it says whether that is told to end.

    Args:
        echo: seconds in which a signal that comes again counts as the same one: a scheduler sends
            it to every process, and torchrun passes its own on.
    """
    asked = False
    since = 0.0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked, since
        now = time.monotonic()
        if asked and now - since >= echo:
            raise KeyboardInterrupt
        if not asked:
            asked, since = True, now

    try:
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: signals are somebody else's, such as a worker's
        yield leaving
        return
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
