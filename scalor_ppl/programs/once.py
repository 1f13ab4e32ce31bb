"""Results of pure functions, remembered for as long as one pass of guide and model lasts."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


class Once:
    """Computes a pure function once for the same arguments, where *same* means identical objects.

    Guide and model run the same recursion on the same latents: under ``poutine.replay`` a site's
    value in the model *is* the tensor that the guide sampled. What the guide computed from it (the
    decoded glimpses, the propagation mask, the joined trackers) then need not be computed again.
    When the model runs alone, or a site is conditioned or intervened on, its value is another
    object and the function runs.
    """

    def __init__(self) -> None:
        self._results: dict[tuple[Any, ...], tuple[tuple[Any, ...], Any]] = {}

    def __call__(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """``function(*arguments)``, remembered."""
        # Bound methods of one object are equal to each other; so the function itself is the key.
        # What was computed without gradients serves nobody who wants them.
        key = (function, torch.is_grad_enabled(), *map(id, arguments))
        if key not in self._results:
            # The arguments are kept alive, so that no id can be given to another object.
            self._results[key] = (arguments, function(*arguments))
        return self._results[key][1]

    def forget(self) -> None:
        """Drop everything. A pass of the guide begins with it, one of the model ends with it."""
        self._results.clear()
