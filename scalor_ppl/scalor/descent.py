"""The descent of a frame's objects to where the frame is more likely, from where networks put them.

Which objects there are holds, and, without ``model.occlusion``, their depth;
see :mod:`scalor_ppl.scalor.refinement`.
"""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from scalor_ppl.render.glimpses import composite
from scalor_ppl.scalor.settings import GuideConfig
from scalor_ppl.scalor.slots import Trackers

# Of Adam in its first step, from where they fall to 0: of a box's shift in half boxes and of its
# raw size, and of z_what and of depth.
WHERE_RATE = 0.1
WHAT_RATE = 0.5
MOMENTA = (0.8, 0.95)
# In nats: a value that matters less than this to the likelihood is hardly moved.
LEAST_GRADIENT = 1e-3
# The networks' posterior of where counts so many times as much as that of what: looks may change
# more than places.
FIRMNESS = 3.0
# The weight of a pixel that no guessed object covers: it may be of one that is not found yet, which
# its neighbours would otherwise stretch to paint, and so hide.
UNCOVERED = 0.3


class Rows(NamedTuple):
    """What the boxes and looks of objects are made from, one row per object, ``[B, n, .]``.

    Attributes:
        origin: position that the raw movement starts from, in image coordinates, 2.
        reach: the largest movement, in image coordinates, 2.
        guess: z_where, which is movement and size before they are bounded, z_what, and z_depth
            where it is refined, 4 + D (+ 1).
        scale: their standard deviations.
    """

    origin: Tensor
    reach: Tensor
    guess: Tensor
    scale: Tensor


class Descent(NamedTuple):
    """What a descent of K slots goes by, beside the values that it moves.

    Looks are z_what, and beside it z_depth where it is refined.

    Attributes:
        image: the frame ``[B, C, H, W]``.
        background: as the frame; none where the model has none.
        start: where the slots begin.
        presence: of the slots' objects ``[B, K]``, which holds.
        depth: likewise, where it is not refined.
        active: ``[B, K]`` bool, where there is an object.
        unit: of a shift in the raw place, in raw units ``[B, K, 4]``.
        pull: weight of the networks' posterior by raw value ``[4 + D (+ 1)]``.
    """

    image: Tensor
    background: Tensor | None
    start: Rows
    presence: Tensor
    depth: Tensor
    active: Tensor
    unit: Tensor
    pull: Tensor

    def raw(self, shift: Tensor) -> Tensor:
        """z_where of the slots, shifted."""
        return self.start.guess[..., :4] + shift * self.unit


class Descend(Protocol):
    """How values are bettered: :func:`descend`, or another way to the same."""

    def __call__(self, model: Any, descent: Descent, config: GuideConfig) -> Tensor:
        """Raw where and looks ``[B, K, 4 + D (+ 1)]`` under which the frame is more likely."""


def descent_of(
    image: Tensor,
    background: Tensor | None,
    start: Rows,
    trackers: Trackers,
    config: GuideConfig,
) -> Descent:
    """What a descent goes by; arguments as of :func:`refine`."""
    objects = trackers.objects
    # Shifts are counted in half boxes, wherever an object comes from; sizes are as they are.
    unit = torch.cat((objects.where[..., 2:] / start.reach, torch.ones_like(start.reach)), -1)
    pull = start.guess.new_full(start.guess.shape[-1:], config.refine_pull)
    pull[:4] *= FIRMNESS
    presence = objects.presence
    return Descent(image, background, start, presence, objects.depth, presence > 0, unit, pull)


def cost(
    model: Any, descent: Descent, shift: Tensor, looks: Tensor, share: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Negative log density of frame and objects, but for constants, and the weights of pixels.

    Args:
        model: the program.
        descent: what it goes by.
        shift: of the slots ``[B, K, 4]``.
        looks: their looks ``[B, K, D (+ 1)]``.
        share: weights of pixels ``[B, 1, H, W]``; none takes those of the objects as they lie.
    """
    raw, start = descent.raw(shift), descent.start
    position = start.origin + start.reach * torch.tanh(raw[..., :2])
    where = torch.cat((position, model.sizes(position, raw[..., 2:])), -1)
    what, depth = looks, descent.depth
    if looks.shape[-1] > model.config.what:
        what, depth = looks[..., :-1], looks[..., -1]
    glimpse = model.decode(what)
    colour, mask = glimpse.split((model.channels, 1), 2)
    frame = composite(
        colour,
        mask,
        descent.presence,
        depth,
        model.painted(where, mask),
        descent.background,
        model.size,
        descent.active,
        model.config.occlusion,
    )
    if share is None:
        share = UNCOVERED + (1 - UNCOVERED) * frame.mask.detach()
    # Sums: each video goes its own way.
    error = (share * ((frame.image - descent.image) / model.config.sigma).square()).sum() / 2
    away = (torch.cat((raw, looks), -1) - start.guess) / start.scale
    return error + (descent.pull * away.square()).sum() / 2, share


def descend(model: Any, descent: Descent, config: GuideConfig) -> Tensor:
    """Raw where and looks ``[B, K, 4 + D (+ 1)]`` under which the frame is more likely.

    Args:
        model: the program.
        descent: what to go by.
        config: of the guide.
    """
    shift = torch.zeros_like(descent.unit).requires_grad_()
    looks = descent.start.guess[..., 4:].detach().clone().requires_grad_()
    adam = torch.optim.Adam(
        [{"params": [shift], "lr": WHERE_RATE}, {"params": [looks], "lr": WHAT_RATE}],
        betas=MOMENTA,
        eps=LEAST_GRADIENT,
    )
    falling = torch.optim.lr_scheduler.LambdaLR(adam, lambda n: 1 - n / config.refine)
    share: Tensor | None = None
    with torch.enable_grad():
        for _ in range(config.refine):
            loss, share = cost(model, descent, shift, looks, share)
            # Not backward(): the decoder's own parameters want no gradient here.
            shift.grad, looks.grad = torch.autograd.grad(loss, (shift, looks))
            adam.step()
            falling.step()
    return torch.cat((descent.raw(shift), looks), -1).detach()
