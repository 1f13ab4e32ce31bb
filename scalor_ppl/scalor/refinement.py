"""Semi-amortized inference: where and what of a frame's objects, bettered by gradient.

With ``model.occlusion`` so is depth: who hides whom is told from the pixels that two objects share.

A glimpse shows an object's neighbours too, and one look cannot tell whose pixels they are. From
what the networks say, a few steps of gradient on the likelihood of the whole frame let the objects
explain each other away (the semi-amortized inference of Kim et al., ICML 2018, frame by frame).
What is refined is the location of a posterior, a function of the frames seen so far, so that a
bound stays one.
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from scalor_ppl.nn.gathered import gathering
from scalor_ppl.scalor.descent import Descend, Rows, descend, descent_of
from scalor_ppl.scalor.selection import take
from scalor_ppl.scalor.settings import GuideConfig
from scalor_ppl.scalor.slots import (
    Latents,
    Trackers,
)


class Better(NamedTuple):
    """Refined values of one phase's n rows (tracker slots, or cells).

    Attributes:
        where: as at the site, ``[B, n, 4]``.
        what: ``[B, n, D]``.
        depth: ``[B, n, 1]``; none where depth stays as guessed.
        found: ``[B, n, 1]`` bool: whether the row was refined; the others' values mean nothing.
    """

    where: Tensor
    what: Tensor
    depth: Tensor | None
    found: Tensor

    @classmethod
    def of(cls, parts: Tensor, looks: int) -> "Better":
        """From where, what (D = looks), maybe depth, and whether a row was refined, side by side.

        ``[B, n, 4 + D (+ 1) + 1]``.
        """
        where, what, depth, found = parts.split((4, looks, parts.shape[-1] - looks - 5, 1), -1)
        return cls(where, what, depth if depth.shape[-1] else None, found > 0)


def bettered(loc: Tensor, better: Better | None, site: Literal["where", "what", "depth"]) -> Tensor:
    """The location of a site's posterior, as refined where it was: ``[B, n, .]``."""
    value = None if better is None else getattr(better, site)
    return loc if better is None or value is None else torch.where(better.found, value, loc)


class Refinement(NamedTuple):
    """Refined values of a frame: of the tracked objects (none in the first frame), of the cells."""

    tracked: Better | None
    proposed: Better


class Guess(NamedTuple):
    """What the networks say of one phase's rows.

    Attributes:
        latents: most likely values of its four sites.
        where: standard deviations of where's posterior ``[B, n, 4]``.
        what: and of what's ``[B, n, D]``.
        depth: and of depth's ``[B, n]``; none leaves depth as guessed.
    """

    latents: Latents
    where: Tensor
    what: Tensor
    depth: Tensor | None = None


@gathering(wanted=False)
def refine(
    model: Any,
    image: Tensor,
    background: Tensor | None,
    before: Trackers | None,
    tracked: Guess | None,
    proposed: Guess,
    after: Trackers,
    config: GuideConfig,
    descending: Descend = descend,
) -> Refinement:
    """Better where and what of a frame's objects, by gradient from a guess.

    Which objects there are stays as guessed, and their depth, too, where guesses have no deviation
    of it.

    Args:
        model: the program.
        image: the frame ``[B, C, H, W]`` in [0, 1].
        background: guessed ``[B, C, H, W]``; none where the model has none.
        before: trackers after the frame before; none in the first.
        tracked: of the propagation sites; none in the first frame.
        proposed: of the discovery sites.
        after: trackers that follow from the guess.
        config: of the guide: steps, and how much its posterior of what counts.
        descending: how values are bettered.
    """
    candidates = model.candidates(model.presence.weight(proposed.latents.presence))
    groups = [proposal_rows(model, proposed, candidates)]
    if before is not None and tracked is not None:
        groups.insert(0, tracked_rows(model, before, tracked))
    rows = Rows(*(torch.cat(each, 1) for each in zip(*groups, strict=True)))
    capacity = after.ids.shape[1]
    slots = Rows(*(take(each, after.origin, capacity) for each in rows))
    descent = descent_of(image, background, slots, after, config)
    values = descending(model, descent, config)

    # Back from the slots to the rows that they were taken from, marked as refined.
    present = (after.objects.presence > 0.5).flatten()
    values = torch.cat((values, torch.ones_like(values[..., :1])), -1).flatten(0, 1)[present]
    videos, count = rows.guess.shape[:2]
    parts = values.new_zeros(videos * count, values.shape[-1])
    parts = parts.index_copy(0, after.origin[present], values).unflatten(0, (videos, count))
    own, others = parts.split((count - model.proposals, model.proposals), 1)
    if candidates is not None:
        cells = parts.new_zeros(videos * model.cells, parts.shape[-1])
        cells = cells.index_copy(0, candidates, others.flatten(0, 1))
        others = cells.unflatten(0, (videos, model.cells))
    looks = proposed.what.shape[-1]
    tracking = None if before is None else Better.of(own, looks)
    return Refinement(tracking, Better.of(others, looks))


def tracked_rows(model: Any, before: Trackers, guess: Guess) -> Rows:
    """Of tracked objects, which move from where they were."""
    last = before.objects.where[..., :2]
    return Rows(last, model.step.expand_as(last), *beside(guess))


def proposal_rows(model: Any, guess: Guess, candidates: Tensor | None) -> Rows:
    """Of the proposals that are decoded, which lie about their cells' centres."""
    centres = model.centres.expand(*guess.where.shape[:2], 2)
    reach = (model.config.reach * model.cell).expand_as(centres)
    rows = Rows(centres, reach, *beside(guess))
    if candidates is None:
        return rows
    return Rows(*(take(each, candidates, model.proposals) for each in rows))


def beside(guess: Guess) -> tuple[Tensor, Tensor]:
    """Where and what, and depth if it is refined, side by side: values, standard deviations."""
    latents = guess.latents
    values, scales = [latents.where, latents.what], [guess.where, guess.what]
    if guess.depth is not None:
        values.append(latents.depth[..., None])
        scales.append(guess.depth[..., None])
    return torch.cat(values, -1), torch.cat(scales, -1)
