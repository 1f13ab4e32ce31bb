"""Python's garbage collector, kept from what lives as long as the process."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def long_lived_set_aside() -> Iterator[None]:
    """Leave all objects that there are now out of garbage collections.

    A step makes thousands of small objects, which start a collection many times; each of the larger
    ones walks through everything that was ever imported: 4 percent of a step of small networks.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def set_aside_too() -> None:
    """Within :func:`long_lived_set_aside`, leave out what has come to stay since."""
    if gc.get_freeze_count():
        gc.collect()
        gc.freeze()
