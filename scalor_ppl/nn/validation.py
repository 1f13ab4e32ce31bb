"""Pyro's and torch's checks of arguments and samples, switched off where time counts."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyro
import torch


@contextmanager
def fast_pyro() -> Iterator[None]:
    """Pyro and torch without validation of arguments and samples, which costs a third of a step."""
    enabled = torch.distributions.Distribution._validate_args
    with pyro.validation_enabled(False):
        torch.distributions.Distribution.set_default_validate_args(False)
        try:
            yield
        finally:
            torch.distributions.Distribution.set_default_validate_args(enabled)
