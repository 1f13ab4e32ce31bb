"""What an objective computed in one pass of guide and model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from pyro.poutine import Trace


class Traces(NamedTuple):
    """One pass: the model's trace, with the guide's latents, and the guide's."""

    model: Trace
    guide: Trace


@dataclass(frozen=True)
class Estimate:
    """A loss, and what it was made of. It holds the graph: let go of it before the next step.

    Attributes:
        loss: minus the objective, summed over videos; its gradient is that of the objective.
        traces: of the pass; none where an objective does not tell.
        parts_of: what makes figures of the traces.
        memory: what to go on with, where there are no traces that hold it.
    """

    loss: Tensor
    traces: Traces | None = None
    parts_of: Callable[[Traces], dict[str, float]] | None = None
    memory: Any | None = None

    @property
    def scene(self) -> Any | None:
        """What the model returned; none where the objective does not tell."""
        return None if self.traces is None else self.traces.model.nodes["_RETURN"]["value"]

    @property
    def inferred(self) -> Any | None:
        """What the guide returned; none where the objective does not tell."""
        return None if self.traces is None else self.traces.guide.nodes["_RETURN"]["value"]

    def parts(self) -> dict[str, float]:
        """Log-likelihood and divergences by kind, in nats, all videos.

        Empty where the objective does not tell. The numbers travel to the host.
        """
        if self.traces is None or self.parts_of is None:
            return {}
        return self.parts_of(self.traces)
