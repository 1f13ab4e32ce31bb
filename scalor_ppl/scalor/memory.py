"""What guide and model remember between two stretches of one video.

A long video is worked on in chunks: training carries the memory over without gradients (truncated
backpropagation through time), tracking carries it to the end of the video. As every state is a
function of the frames before, chunks give what the whole video would have given at once.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from scalor_ppl.scalor.slots import Objects, Trackers


class Foreseen(NamedTuple):
    """The generative side, after a frame.

    Attributes:
        trackers: after the last frame.
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


class Memory(NamedTuple):
    """Both sides, for ``guide(video, memory=...)`` and ``model(video, memory=...)``.

    Attributes:
        frame: how many frames came before.
        foreseen: what the model returned.
        seen: what the guide returned.
    """

    frame: int
    foreseen: Foreseen
    seen: Seen

    @property
    def trackers(self) -> Trackers:
        """After the last frame: one object for guide and model, so that they share what follows."""
        return self.foreseen.trackers

    def detached(self) -> "Memory":
        """Without the graph that led here."""
        return Memory(self.frame, _detached(self.foreseen), _detached(self.seen))

    def to_tensors(self) -> dict[str, Any]:
        """As a flat dictionary of tensors and numbers, fit for a checkpoint."""
        return {"frame": self.frame} | _flat(self._asdict() | {"frame": None}, "")

    @classmethod
    def from_tensors(cls, stored: Mapping[str, Any]) -> "Memory":
        """The inverse of :meth:`to_tensors`."""

        def group(prefix: str, kind: Any) -> Any:
            return kind(*(stored[f"{prefix}.{name}"] for name in kind._fields))

        def pair(prefix: str) -> Any:
            found = tuple(stored.get(f"{prefix}.{n}") for n in range(2))
            return None if found[0] is None else found

        before = "foreseen.trackers"
        names = [name for name in Trackers._fields if name != "objects"]
        trackers = Trackers(
            objects=group(f"{before}.objects", Objects),
            **{name: stored[f"{before}.{name}"] for name in names},
        )
        return cls(
            stored["frame"],
            Foreseen(trackers, stored.get("foreseen.state"), pair("foreseen.background")),
            Seen(stored.get("seen.state"), pair("seen.features")),
        )


def _detached(value: Any) -> Any:
    """A tensor, none, or a tuple of such, without gradients."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Tensor):
        return value.detach()
    parts = [_detached(part) for part in value]
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)


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
