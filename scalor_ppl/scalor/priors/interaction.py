"""A propagation prior in which trackers see each other."""

import torch
from torch import Tensor, nn

from scalor_ppl.nn.distributions import Presence
from scalor_ppl.nn.layers import mlp
from scalor_ppl.scalor.priors.base import ObjectDistributions
from scalor_ppl.scalor.priors.propagation import RecurrentPropagation
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import Objects, Trackers

HEADS = 4
# Width of what is known of a pair, and how many figures it is made from.
PAIR, RELATIONS = 16, 6


class InteractionPropagation(RecurrentPropagation):
    """The recurrent prior plus attention over the video's other live trackers.

    The paper leaves interaction to future work. What tracker i foresees follows from h_i + u_i in
    place of h_i, with (for each head, e_ij a small network of :func:`relations`)

        a_ij = exp(q_i . k_j / sqrt(width) + b . e_ij)             j live and not i, else 0
        u_i  = W sum_j a_ij (v_j, e_ij) / (1 + sum_j a_ij).

    The 1 is nobody, who says nothing: a tracker that is alone moves as the recurrent prior says,
    and one far from all others can. Every pair of slots is looked at: O(K^2).

    Args:
        config: of the model.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        # Rounded up, so that every width of the state will do.
        self.width = -(-self.hidden // HEADS)
        self.look = nn.Linear(self.hidden, 3 * HEADS * self.width)
        self.pair = mlp(RELATIONS, PAIR, PAIR)
        self.bias = nn.Linear(PAIR, HEADS)
        # No bias: nobody must say nothing.
        self.tell = nn.Linear(HEADS * (self.width + PAIR), self.hidden, bias=False)

    def message(self, state: Tensor, trackers: Trackers) -> Tensor:
        """u: what the other live trackers say to each, ``[B, K, hidden]``."""
        heads = self.look(state).unflatten(-1, (3, HEADS, self.width))
        query, key, value = heads.unbind(-3)
        pair = torch.celu(self.pair(relations(trackers.objects, self.config.anywhere)))
        score = torch.einsum("bihw,bjhw->bijh", query, key) * self.width**-0.5 + self.bias(pair)
        slots = trackers.alive.shape[1]
        oneself = torch.eye(slots, dtype=torch.bool, device=state.device)
        heard = trackers.alive[:, None] & ~oneself
        score = score.masked_fill(~heard[..., None], -torch.inf)
        nobody = torch.zeros_like(score[:, :, :1])
        weight = torch.softmax(torch.cat((nobody, score), 2), 2)[:, :, 1:]
        said = torch.einsum("bijh,bjhw->bihw", weight, value)
        how = torch.einsum("bijh,bijp->bihp", weight, pair)
        return self.tell(torch.cat((said, how), -1).flatten(2))

    def forward(self, presence: Presence, state: Tensor, trackers: Trackers) -> ObjectDistributions:
        """Distributions of the trackers' next latents, batch shape ``[B, K]``."""
        return super().forward(presence, state + self.message(state, trackers), trackers)


def relations(objects: Objects, anywhere: bool = False) -> Tensor:
    """How object j lies to object i and moves against it, ``[B, K (i), K (j), 6]``.

    Offset x, y in image coordinates (zeros where frames of any size must do); the same by half the
    sum of the boxes' sides (+-1 where they touch), squashed; difference of the last movements, as
    shares of ``max_step``.
    """
    centre, size = objects.where.split(2, -1)
    offset = centre[:, None] - centre[:, :, None]
    # In image coordinates a box reaches from centre - size to centre + size.
    contact = torch.tanh(offset / (size[:, None] + size[:, :, None]))
    step = torch.tanh(objects.raw[..., :2])
    far = torch.zeros_like(offset) if anywhere else offset
    return torch.cat((far, contact, step[:, None] - step[:, :, None]), -1)
