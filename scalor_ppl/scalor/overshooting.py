"""What a filter of objects foresees of several frames ahead, without being put right in between.

One frame ahead, a bias that is small against the noise of a posterior costs nothing: a real frame
puts it right. What is sampled is not put right, and there it adds up. So the dynamics are trained
on where objects are after several frames as well (latent overshooting, Hafner et al. 2019).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import StudentT

from scalor_ppl.nn.layers import positive
from scalor_ppl.scalor.histories import (
    MOVES,
    Anticipated,
    History,
    foreseen,
    placed,
    settled_moves,
)
from scalor_ppl.scalor.priors import DynamicsPropagation, Table
from scalor_ppl.scalor.priors.filtering import whole
from scalor_ppl.scalor.priors.first_movement import FirstMoves
from scalor_ppl.scalor.priors.pairs import length

# Frames looked ahead; least age of an object whose velocity is known.
AHEAD, KNOWN = 8, 4
# Whom an object meets may not be foreseen: tails of the errors.
TAILS = 4.0
# Of the widths before training, before softplus.
START = -1.0


class Overshooting(nn.Module):
    """How unlikely it is where objects are, and how they look, several frames ahead.

    Errors are t distributed, with a width for each number of frames ahead and each of x, y, speed,
    size, depth and z_what, that is learned along. Speeds are judged beside places, as the best
    guess of a place is slower than any object where it is unsure which way that went. Which of its
    futures comes true is taken from what is seen, and where an object that turns round does so.

    Args:
        prior: of the program.
    """

    def __init__(self, prior: DynamicsPropagation) -> None:
        super().__init__()
        self.prior = [prior]  # its parameters are not this module's
        start = torch.full((AHEAD, 3 + prior.rest), START)
        self.widths = Table(start).to(prior.zero)

    def forward(self, model: Any, history: History, known: list[Anticipated]) -> Tensor:
        """Nats a clip, on average over the frames ahead.

        From a frame that is drawn at random, the same for all clips.

        Args:
            model: the program, whose prior this is.
            history: of B clips, of ``T > KNOWN + 1`` frames.
            known: what the prior knew of each frame, as :func:`foreseen` has it.
        """
        (prior,) = self.prior
        first = int(torch.randint(KNOWN - 1, len(history) - 1, ()))
        # What it knows by then is learned from the bound.
        h, trackers = known[first].state.detach(), known[first].trackers
        age = prior.filtered(h).age
        follows = (age >= KNOWN) & trackers.alive[..., None]
        total, frames = prior.zero, 0
        prior.blind = True
        try:
            for t in range(first + 1, min(first + 1 + AHEAD, len(history))):
                trackers = placed(model, history[t].trackers, t)
                newborn = prior.initial((len(trackers.alive), model.proposals))
                new = torch.zeros_like(newborn[..., :1])
                follows = model.carry(trackers, follows.to(new), new) > 0.5
                follows = follows & trackers.alive[..., None]
                carried = model.carry(trackers, h, newborn)
                before = prior.filtered(carried)
                off = prior.innovation(before, trackers.objects)
                # Of those that come to an edge the slow ones are still there: whom to follow is
                # told by what is foreseen.
                box = torch.cat((off.centre, trackers.objects.where[..., 2:]), -1)
                follows = follows & whole(box)
                straight = 1 - off.turned
                way = (off.centre - before.centre) / prior.step
                slow = length(way) - length(torch.tanh(trackers.objects.raw[..., :2]))
                slow = slow * straight.amin(-1, keepdim=True)
                error = torch.cat((off.place * straight, slow, off.rest), -1)
                width = positive(self.widths()[t - first - 1])
                nats = -StudentT(TAILS, 0.0, width, validate_args=False).log_prob(error)
                total = total + torch.where(follows, nats, torch.zeros_like(nats)).sum()
                h, frames = prior.update(carried, trackers), frames + 1
        finally:
            prior.blind = False
        return total / (frames * len(trackers.alive))


def settling(model: Any, history: History, known: list[Anticipated]) -> Tensor:
    """How unlikely the velocities are that new objects settle at, in nats a clip.

    One first movement may be far off where an object was found badly, and fast ones are as well
    explained so: a prior that is trained on those alone begins too slow. What is settled at counts
    as often as there are movements that tell it.

    Args:
        model: the program, with dynamics.
        history: of B clips.
        known: what the prior knew of each frame, as :func:`foreseen` has it.
    """
    prior: DynamicsPropagation = model.propagation
    total, width = prior.zero, prior.first.spacing()
    for moves, velocity, new in _newborn(prior, history, known):
        nats = -moves.of_velocity(torch.where(new[..., None], velocity, 0.0), width)
        total = total + torch.where(new, nats, 0.0).sum()
    return MOVES * total / len(history[0].proposed.presence)


@torch.no_grad()
def balance(model: Any, histories: Iterable[History]) -> None:
    """Make each first velocity as likely, on average, as that new objects settle at it.

    What a network learns of some dozens of objects a step is off by some percent on average, and
    so are the speeds that are sampled.

    Args:
        model: the program, with dynamics.
        histories: of batches of clips.
    """
    prior: DynamicsPropagation = model.propagation
    logits, velocities = [], []
    for history in histories:
        for moves, velocity, new in _newborn(prior, history, foreseen(model, history)):
            logits.append(moves.logits[new])
            velocities.append(velocity[new])
    if logits:
        prior.first.balance(torch.cat(logits), torch.cat(velocities))


def _newborn(
    prior: DynamicsPropagation, history: History, known: list[Anticipated]
) -> Iterator[tuple[FirstMoves, Tensor, Tensor]]:
    """Of each frame how objects may first move, what they settle at, and which are new."""
    for t, (state, trackers) in enumerate(known):
        now = prior.filtered(state)
        velocity = settled_moves(history[t].trackers, history[t:])
        new = trackers.alive & (now.age < 2).squeeze(-1) & velocity.isfinite().all(-1)
        yield prior.first_moves(now), velocity, new
