"""Values that change with the training step, as data."""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Schedule(BaseModel):
    """A value that moves from ``start`` to ``end`` over ``steps`` training steps, then stays.

    Attributes:
        start: value at step 0.
        end: value from step ``after + steps`` on.
        steps: length of the way; none means until the training's end.
        after: steps before it begins to move.
        kind: ``linear``, ``geometric`` (linear in the logarithm, both ends > 0) or ``cosine``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: float
    end: float
    steps: int | None = Field(None, ge=0)
    after: int = Field(0, ge=0)
    kind: Literal["linear", "geometric", "cosine"] = "linear"

    @model_validator(mode="after")
    def _ends(self) -> "Schedule":
        if self.kind == "geometric" and min(self.start, self.end) <= 0:
            raise ValueError("both ends of a geometric schedule must be greater than 0")
        return self

    def at(self, step: int, total: int) -> float:
        """The value at a step (0-based) of a training of ``total`` steps."""
        if step < self.after:
            return self.start
        steps = total - self.after if self.steps is None else self.steps
        if step - self.after >= steps:
            return self.end
        share = (step - self.after) / steps
        if self.kind == "geometric":
            return math.exp((1 - share) * math.log(self.start) + share * math.log(self.end))
        if self.kind == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return (1 - share) * self.start + share * self.end


def value_at(value: float | Schedule, step: int, total: int) -> float:
    """A number, or a schedule's value at a step."""
    return value.at(step, total) if isinstance(value, Schedule) else value
