"""Identities for a stream of tracks: it is held back until what comes after is known."""

from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Any

from scalor_ppl.identity import AHEAD, Identities, Sight, sights_of
from scalor_ppl.identity.recognise import relabelled
from scalor_ppl.tracking.stream import BrokenVideoError, Tracked


def recognised_stream(
    stream: Iterable[Tracked], identities: dict[str, Any] | None = None
) -> Generator[Tracked, None, None]:
    """The same tracks, with identities for ids.

    Args:
        stream: of one video.
        identities: of the `Tracked` after which the stream goes on; none begins anew.

    Yields:
        The tracks, each as soon as the frames after it that decide are there.

    Raises:
        BrokenVideoError: as the stream, once all that came before was handed over.
    """
    memory = None if identities is None else Identities.from_state(identities)
    held: deque[tuple[Tracked, list[Sight]]] = deque()
    broken: BrokenVideoError | None = None
    try:
        for tracked in stream:
            seen = sights_of(tracked.tracks.ids, tracked.where, tracked.looks, tracked.size)
            held.append((tracked, seen))
            if memory is None:
                memory = Identities(tracked.looks.shape[-1])
            while sum(len(sights) for _, sights in held) - len(held[0][1]) >= AHEAD:
                yield _first(held, memory)
    except BrokenVideoError as error:
        broken = error
    while held:
        assert memory is not None
        yield _first(held, memory)
    if broken is not None:
        raise broken


def _first(held: deque[tuple[Tracked, list[Sight]]], memory: Identities) -> Tracked:
    """The first of what is held, relabelled."""
    tracked, own = held.popleft()
    after = [sight for _, sights in held for sight in sights][:AHEAD]
    tracks = relabelled(tracked.tracks, memory, own, after)
    return replace(tracked, tracks=tracks, identities=memory.to_state())
