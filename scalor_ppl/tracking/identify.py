"""Streams of tracks with identities for ids: recognised by looks, and joined over gaps."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from scalor_ppl.identity import AHEAD, Gaps, Identities, Sight, sights_of
from scalor_ppl.identity.recognise import relabelled
from scalor_ppl.tracking.tracked import BrokenVideoError, Tracked
from scalor_ppl.tracks.table import EMPTY

Step = Callable[[Tracked, list[Sight], list[Sight]], Tracked]
"""Some frames, what is seen in them, and what in those that follow; the frames with identities."""

# No join is certain: rounded to 1 its probability would say that there was no gap.
NEARLY = np.nextafter(np.float32(1), np.float32(0))


class LookingAhead:
    """A step made on the frames of one video, as soon as `AHEAD` frames after them are there.

    Args:
        step: what is made of them, in order.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._held: deque[tuple[Tracked, list[Sight]]] = deque()

    def push(self, tracked: Tracked) -> Iterator[Tracked]:
        """Take the next frames; those that are done with them."""
        seen = sights_of(tracked.tracks.ids, tracked.where, tracked.looks, tracked.size)
        self._held.append((tracked, seen))
        while sum(len(sights) for _, sights in self._held) - len(self._held[0][1]) >= AHEAD:
            yield self._first()

    def rest(self) -> Iterator[Tracked]:
        """The frames that are left: nothing comes after them."""
        while self._held:
            yield self._first()

    def _first(self) -> Tracked:
        tracked, own = self._held.popleft()
        after = [sight for _, sights in self._held for sight in sights][:AHEAD]
        return self._step(tracked, own, after)


def recognising(identities: dict[str, Any] | None = None) -> LookingAhead:
    """Frames get identities by looks; see :func:`recognised_stream`."""
    memory = None if identities is None else Identities.from_state(identities)

    def step(tracked: Tracked, own: list[Sight], after: list[Sight]) -> Tracked:
        nonlocal memory
        if memory is None:
            memory = Identities(tracked.looks.shape[-1])
        tracks = relabelled(tracked.tracks, memory, own, after)
        return replace(tracked, tracks=tracks, identities=memory.to_state())

    return LookingAhead(step)


def joining(gaps: dict[str, Any] | None = None) -> LookingAhead:
    """Tracks are joined over gaps; see :func:`joined_stream`."""
    memory = None if gaps is None else Gaps.from_state(gaps)

    def step(tracked: Tracked, own: list[Sight], after: list[Sight]) -> Tracked:
        nonlocal memory
        if memory is None:
            memory = Gaps(tracked.size, tracked.looks.shape[-1])
        sights = own + after
        ids, link = tracked.tracks.ids.copy(), tracked.link.copy()
        joins = []
        for t, sight in enumerate(own):
            known, found = memory.step(sight, sights[t + 1 : t + 1 + AHEAD])
            ids[t, ids[t] != EMPTY] = known
            for join in found:
                joins.append((int(tracked.numbers[t]), join))
                link[t, ids[t] == join.identity] = min(np.float32(join.probability), NEARLY)
        return replace(
            tracked,
            tracks=replace(tracked.tracks, ids=ids),
            link=link,
            joins=tuple(joins),
            gaps=memory.to_state(),
        )

    return LookingAhead(step)


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
    yield from _through(recognising(identities), stream)


def joined_stream(
    stream: Iterable[Tracked], gaps: dict[str, Any] | None = None
) -> Generator[Tracked, None, None]:
    """The same tracks, joined where they break because an object is hidden; see `identity.gaps`.

    Args:
        stream: of one video; of recognised tracks it is told how sure their gaps are, too.
        gaps: of the `Tracked` after which the stream goes on; none begins anew.

    Yields:
        The tracks, each as soon as the frames after it that decide are there.

    Raises:
        BrokenVideoError: as the stream, once all that came before was handed over.
    """
    yield from _through(joining(gaps), stream)


def _through(stage: LookingAhead, stream: Iterable[Tracked]) -> Generator[Tracked, None, None]:
    """What a stage makes of a stream; what came before a break is handed over first."""
    broken: BrokenVideoError | None = None
    try:
        for tracked in stream:
            yield from stage.push(tracked)
    except BrokenVideoError as error:
        broken = error
    yield from stage.rest()
    if broken is not None:
        raise broken
