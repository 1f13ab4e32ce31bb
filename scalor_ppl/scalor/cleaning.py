"""Histories without what a draw of a posterior gets wrong, and what is sampled should not learn.

In the middle of the view an object neither appears nor vanishes, but where it is in the data that
they do so. A draw finds something now and then where nothing is, finds an object late, or loses it
and finds it again. A prior that has learned both, one apart from the other, has objects that pop up
in mid-view; and as what it samples is lost less often than what is real, they become more and more.
"""

from itertools import pairwise

import torch
from torch import Tensor

from scalor_ppl.scalor.histories import History, Moment, in_view, same_object

# What is found and lost within fewer frames, in the middle of the view, is no object.
LASTING = 3
# Of how many objects in a frame one appears in the middle of the view, and stays, at least, where
# it is objects that do so and not errors.
SUDDEN = 0.01


def cleaned(history: History) -> tuple[list[Moment], str]:
    """The history as if nothing had been found, or lost, in mid-view that was not there.

    What is found there and lost at once was no object. What is found there and stays was found
    late, and what is lost there was lost from sight, as long as both are rare.

    Returns:
        It, and what was made of what is found there and stays: a line, empty if there is none.
    """
    history = without_brief(history)
    found, objects = sudden(history)
    if found == 0:
        return without_sudden(history), ""
    often = "once" if found == 1 else f"{found} times"
    times = f"{often} in {objects} objects a frame something was found in mid-view, and stayed"
    if found > SUDDEN * objects:
        return history, f"{times}: objects do appear there, and the priors learn it"
    return without_sudden(history), f"{times}: taken for errors, which the priors do not learn"


def without_brief(history: History) -> list[Moment]:
    """The history as if nothing had been found that is lost at once, in the middle of the view.

    A draw of a posterior finds something now and then where nothing is: on VLD that is half of all
    that it finds after the first frame. In videos that are sampled it would flash up.
    """
    gone = [torch.zeros_like(now.trackers.alive) for now in history]
    for t, now in enumerate(history):
        alive, inside = now.trackers.discovered & now.trackers.alive, in_view(now.trackers)
        lost, seen = torch.zeros_like(alive), []
        for later in (each.trackers for each in history[t + 1 : t + LASTING]):
            same = same_object(now.trackers, later, later.alive)
            there = same.any(-1)
            lost = lost | (alive & inside & ~there)
            alive = alive & there
            inside = (same & in_view(later)[:, None]).any(-1)
            seen.append(same)
        gone[t] |= lost
        for after, same in enumerate(seen, start=1):
            gone[t + after] |= (same & lost[..., None]).any(1)
    return _without_each(history, gone)


def sudden(history: History) -> tuple[int, int]:
    """How often something was found in mid-view that stays, and how many objects there are, summed.

    Both without the first frame, and the last ones, of which nobody knows yet whether it stays.

    Args:
        history: without what is lost at once.
    """
    found = objects = 0
    for now in history[1 : len(history) - LASTING + 1]:
        found += int(found_in_view(now).sum())
        objects += int(now.trackers.alive.sum())
    return found, objects


def found_in_view(now: Moment) -> Tensor:
    """What is new in a frame, and not cut by an edge, bool ``[B, K]``."""
    return now.trackers.discovered & now.trackers.alive & in_view(now.trackers)


def without_sudden(history: History) -> list[Moment]:
    """The history as if nothing were found in mid-view after the first frame, or lost there.

    What is found there is gone; what is lost there is gone from its last frame on, so that nobody
    sees its end.
    """
    gone = [torch.zeros_like(history[0].trackers.alive)]
    for before, now in pairwise(history):
        same = same_object(now.trackers, before.trackers, gone[-1])
        gone.append(found_in_view(now) | same.any(-1))
    for t, (now, after) in enumerate(pairwise(history)):
        stays = same_object(now.trackers, after.trackers, after.trackers.alive).any(-1)
        gone[t] |= now.trackers.alive & in_view(now.trackers) & ~stays
    return _without_each(history, gone)


def _without_each(history: History, gone: list[Tensor]) -> list[Moment]:
    return [_without(now, gone[t], gone[t - 1] if t else gone[0]) for t, now in enumerate(history)]


def _without(now: Moment, gone: Tensor, before: Tensor) -> Moment:
    """A moment without some trackers, and without those that were tracked until then."""
    trackers, tracked = now.trackers, now.tracked
    objects = trackers.objects._replace(presence=trackers.objects.presence * ~gone)
    trackers = trackers._replace(
        objects=objects,
        alive=trackers.alive & ~gone,
        ids=trackers.ids.masked_fill(gone, -1),
        discovered=trackers.discovered & ~gone,
    )
    if tracked is not None:
        tracked = tracked._replace(presence=tracked.presence * ~before)
    return now._replace(trackers=trackers, tracked=tracked)
