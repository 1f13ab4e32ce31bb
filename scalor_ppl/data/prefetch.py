"""Work ahead of need: what an iterator gives next is made by a background thread meanwhile."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import NamedTuple, TypeVar

T = TypeVar("T")

_POLL = 0.1  # seconds between looks at whether anybody still wants items


class _End(NamedTuple):
    """Nothing more comes: `items` is exhausted, or broke with an error."""

    error: BaseException | None


def ahead(items: Iterator[T], n: int = 8, *, name: str = "ahead") -> Generator[T, None, None]:
    """The same items in the same order, made ahead by one thread.

    Closing the generator (or letting go of it) ends the thread, which closes `items` if that is a
    generator; an error of `items` is raised here, in its turn.

    Args:
        items: used by the thread alone from the first item on.
        n: how many items are kept ready, at least 1; the thread holds one more in its hands.
        name: of the thread.

    Yields:
        What `items` yields.
    """
    ready: queue.Queue[T | _End] = queue.Queue(maxsize=n)
    unwanted = threading.Event()

    def offer(item: T | _End) -> None:
        while not unwanted.is_set():
            try:
                ready.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                offer(item)
                if unwanted.is_set():
                    break
            if isinstance(items, Generator):
                items.close()  # here, as no other thread may while this one is inside
        except BaseException as caught:  # whatever it is, the consumer is to hear of it
            error = caught
        offer(_End(error))

    worker = threading.Thread(target=work, name=name, daemon=True)
    worker.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        unwanted.set()
        worker.join()
