"""A Pyro handler that knows which object each tracker slot holds while the program runs."""

import re
from types import TracebackType
from typing import Any, NamedTuple

from pyro.poutine.messenger import Messenger
from torch import nn
from torch.utils.hooks import RemovableHandle

from scalor_ppl.scalor.slots import Trackers

_PROPAGATION = re.compile(r"z_(pres|where|depth|what)_prop_(\d+)")


class Site(NamedTuple):
    """One of the four sites of tracked objects: ``pres``, ``where``, ``depth`` or ``what``."""

    kind: str
    t: int


class TrackerWatch(Messenger):
    """Base of handlers that act on propagation sites object by object.

    Objects change their slots from frame to frame, so the slot that an identity has in frame t is
    known only when frame t - 1 is done. The program asks ``model.propagation`` for the prior of
    frame t right before it samples the sites of frame t, and hands it the trackers of t - 1: that
    is where they are read, so the program itself needs no line for it.

    Args:
        model: the program; its propagation prior is a module ``propagation``.

    Attributes:
        trackers: after the frame before. None while the model does not run (the guide has sites of
            the same names) and in its first frame.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model
        self.trackers: Trackers | None = None
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> "TrackerWatch":
        super().__enter__()
        prior = getattr(self.model, "propagation", None)
        if isinstance(prior, nn.Module):
            self._hooks = [
                prior.register_forward_pre_hook(self._note, with_kwargs=True),
                self.model.register_forward_hook(self._forget, always_call=True),
            ]
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        super().__exit__(exc_type, exc_value, traceback)

    def _note(self, _: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        given = (*arguments, *named.values())
        self.trackers = next((each for each in given if isinstance(each, Trackers)), None)

    def _forget(self, *_: Any) -> None:
        self.trackers = None


def propagation_site(msg: dict[str, Any]) -> Site | None:
    """Which propagation site a message is about, if any."""
    match = _PROPAGATION.fullmatch(msg["name"])
    return None if match is None else Site(match[1], int(match[2]))
