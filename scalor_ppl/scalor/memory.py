"""What SCALOR's model and guide hand on between two stretches of one video."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from scalor_ppl.programs import memory
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
        features: hidden and cell state of the ConvLSTM ``[B, lstm, Gh, Gw]``; none within a video
            whose frames were all viewed at once.
    """

    state: Tensor | None
    features: tuple[Tensor, Tensor] | None


def to_tensors(whole: Memory) -> dict[str, Any]:
    """A memory as a flat dictionary of tensors and numbers, fit for a checkpoint."""
    return {"frame": whole.frame} | _flat(whole._asdict() | {"frame": None}, "")


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


def joined(memories: Sequence[Memory], proposals: int) -> Memory:
    """The memories of several videos as one, see `Program.joined`.

    Args:
        memories: of equal layout.
        proposals: how many compete for a video's slots in a frame, beside what is tracked.
    """
    return _whole(memory.joined([_by_video(each, proposals) for each in memories]), proposals)


def parted(together: Memory, videos: int, proposals: int) -> list[Memory]:
    """The inverse of :func:`joined`."""
    return [
        _whole(each, proposals) for each in memory.parted(_by_video(together, proposals), videos)
    ]


def _by_video(whole: Memory, proposals: int) -> Memory:
    """With origins as rows of each video's own slots and proposals ``[B, K]``."""
    trackers = whole.foreseen.trackers
    origin = trackers.origin.view_as(trackers.ids) - _first_rows(whole, proposals)
    return _with_origin(whole, origin)


def _whole(by_video: Memory, proposals: int) -> Memory:
    """The inverse of :func:`_by_video`."""
    origin = by_video.foreseen.trackers.origin + _first_rows(by_video, proposals)
    return _with_origin(by_video, origin.flatten())


def _first_rows(of: Memory, proposals: int) -> Tensor:
    """Where each video's rows begin among those of all ``[B, 1]``."""
    videos, slots = of.foreseen.trackers.ids.shape
    # Slots compete from the second frame on, which is the first one that leaves a state.
    rows = proposals + (0 if of.foreseen.state is None else slots)
    return torch.arange(videos, device=of.foreseen.trackers.ids.device)[:, None] * rows


def _with_origin(of: Memory, origin: Tensor) -> Memory:
    trackers = of.foreseen.trackers._replace(origin=origin)
    return of._replace(foreseen=of.foreseen._replace(trackers=trackers))


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
