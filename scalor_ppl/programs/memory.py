"""What model and guide remember between two stretches of one video.

A long video is worked on in chunks: training carries the memory over without gradients (truncated
backpropagation through time), tracking carries it to the end of the video. As every state is a
function of the frames before, chunks give what the whole video would have given at once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor


class Memory(NamedTuple):
    """Both sides, for ``guide(video, memory=...)`` and ``model(video, memory=...)``.

    What the two sides are is the program's own business: tensors, in tuples, lists or dictionaries.

    Attributes:
        frame: how many frames came before.
        foreseen: what the model returned (``Scene.memory``).
        seen: what the guide returned (``.memory``).
    """

    frame: int
    foreseen: Any
    seen: Any

    def detached(self) -> "Memory":
        """Without the graph that led here."""
        return Memory(*mapped(lambda tensor: tensor.detach(), tuple(self)))


def mapped(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """A state with each of its tensors changed; what holds them stays as it is."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: mapped(change, part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [mapped(change, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def plain(value: Any) -> Any:
    """A state whose named tuples are tuples: what a checkpoint can hold without running code."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(part) for part in value)
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value
