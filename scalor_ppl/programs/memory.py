"""What model and guide remember between two stretches of one video.

A long video is worked on in chunks: training carries the memory over without gradients (truncated
backpropagation through time), tracking carries it to the end of the video. As every state is a
function of the frames before, chunks give what the whole video would have given at once.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from scalor_ppl.errors import UserError


class Memory(NamedTuple):
    """Both sides, for ``guide(video, memory=...)`` and ``model(video, memory=...)``.

    What the two sides are is the program's own business: tensors, in tuples, lists or dictionaries.
    The first dimension of each tensor is that of the videos, unless the program knows how to join
    and to part its memories itself.

    Attributes:
        frame: how many frames came before; of videos that are followed together, of the one with
            the fewest. What is inferred follows from the two sides, and not from it.
        foreseen: what the model returned (``Scene.memory``).
        seen: what the guide returned (``.memory``).
    """

    frame: int
    foreseen: Any
    seen: Any

    def detached(self) -> "Memory":
        """Without the graph that led here."""
        return Memory(*mapped(lambda tensor: tensor.detach(), tuple(self)))


def mapped(change: Callable[..., Any], value: Any, *others: Any) -> Any:
    """A state with each of its tensors changed; what holds them stays as it is.

    Args:
        change: gets a tensor, and those that lie in its place in the other states.
        value: the state.
        others: states built like it.
    """
    if isinstance(value, Tensor):
        return change(value, *others)
    if isinstance(value, dict):
        return {key: mapped(change, *(each[key] for each in (value, *others))) for key in value}
    if isinstance(value, tuple | list):
        parts = [mapped(change, *each) for each in zip(value, *others, strict=True)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def joined(memories: Sequence[Memory]) -> Memory:
    """The memories of several videos, built alike, as one of them all, in this order."""
    sides = mapped(lambda *tensors: torch.cat(tensors), *(tuple(each) for each in memories))
    return Memory(*sides)._replace(frame=min(each.frame for each in memories))


def parted(memory: Memory, videos: int) -> list[Memory]:
    """The inverse of :func:`joined`; all with the same number of frames.

    Raises:
        UserError: a tensor is not of so many videos.
    """

    def row(tensor: Tensor, b: int) -> Tensor:
        if not tensor.dim() or len(tensor) != videos:
            raise UserError(
                f"the program remembers {list(tensor.shape)} of {videos} videos: it has to keep "
                "each video's in the first dimension, or to be given one video at a time"
            )
        return tensor[b : b + 1]

    return [Memory(*mapped(partial(row, b=b), tuple(memory))) for b in range(videos)]


def layout(memory: Memory | None) -> str:
    """How a memory is built, but for the number of videos: only equal ones can be joined."""
    if memory is None:
        return "none"
    sides = (memory.foreseen, memory.seen)
    return str(mapped(lambda tensor: f"{tensor.dtype} {list(tensor.shape[1:])}", sides))


def plain(value: Any) -> Any:
    """A state whose named tuples are tuples: what a checkpoint can hold without running code."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(part) for part in value)
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value
