"""What SCALOR's model and guide hand on between two stretches of one video."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from scalor_ppl.programs.memory import Memory
from scalor_ppl.scalor.slots import Objects, Trackers


class Foreseen(NamedTuple):
    """The generative side, after a frame.

    Attributes:
        trackers: after the last frame: one object for guide and model, so that they share what
            follows.
        state: of the propagation prior, in the slots of the frame before ``[B, K, hidden]``; none
            where the last frame was the first one.
        background: state of the background prior ``[B, hidden]`` and the last z_bg ``[B, E]``; none
            without a background.
    """

    trackers: Trackers
    state: Tensor | None
    background: tuple[Tensor, Tensor] | None


class Seen(NamedTuple):
    """The side of inference, after a frame.

    Attributes:
        state: of the tracker GRU, in the slots of the frame before ``[B, K, hidden]``; none where
            the last frame was the first one.
        features: hidden and cell state of the ConvLSTM ``[B, lstm, Gh, Gw]``.
    """

    state: Tensor | None
    features: tuple[Tensor, Tensor]


def to_tensors(memory: Memory) -> dict[str, Any]:
    """A memory as a flat dictionary of tensors and numbers, fit for a checkpoint."""
    return {"frame": memory.frame} | _flat(memory._asdict() | {"frame": None}, "")


def from_tensors(stored: Mapping[str, Any]) -> Memory:
    """The inverse of :func:`to_tensors`."""

    def group(prefix: str, kind: Any) -> Any:
        return kind(*(stored[f"{prefix}.{name}"] for name in kind._fields))

    def pair(prefix: str) -> Any:
        found = tuple(stored.get(f"{prefix}.{n}") for n in range(2))
        return None if found[0] is None else found

    before = "foreseen.trackers"
    # A memory of the versions that painted objects in the box of z_where.
    stored = {f"{before}.objects.box": stored[f"{before}.objects.where"]} | dict(stored)
    names = [name for name in Trackers._fields if name != "objects"]
    trackers = Trackers(
        objects=group(f"{before}.objects", Objects),
        **{name: stored[f"{before}.{name}"] for name in names},
    )
    return Memory(
        stored["frame"],
        Foreseen(trackers, stored.get("foreseen.state"), pair("foreseen.background")),
        Seen(stored.get("seen.state"), pair("seen.features")),
    )


def _flat(value: Any, prefix: str) -> dict[str, Tensor]:
    """Nested tuples of tensors by dotted names; what is none is left out."""
    if value is None:
        return {}
    if isinstance(value, Tensor):
        return {prefix: value}
    if hasattr(value, "_asdict"):
        value = value._asdict()
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    found: dict[str, Tensor] = {}
    for name, part in items:
        found |= _flat(part, f"{prefix}.{name}" if prefix else str(name))
    return found
