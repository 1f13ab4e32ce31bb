"""Python's garbage collector, kept from what lives as long as the process."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# New objects before a collection; a step of many frames has some five thousand at a time.
PATIENCE = 20_000


@contextmanager
def long_lived_set_aside() -> Iterator[None]:
    """Leave all objects that there are now out of garbage collections.

    A step makes thousands of small objects, which start a collection many times; each of the larger
    ones walks through everything that was ever imported: 4 percent of a step of small networks.
    Nearly all of them are gone when the step is over, without a collection: those wait for more.
    """
    threshold, *others = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(max(threshold, PATIENCE), *others)
    try:
        yield
    finally:
        gc.set_threshold(threshold, *others)
        gc.unfreeze()


def set_aside_too() -> None:
    """Within :func:`long_lived_set_aside`, leave out what has come to stay since."""
    if gc.get_freeze_count():
        gc.collect()
        gc.freeze()
