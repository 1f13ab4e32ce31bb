"""What is seen of SCALOR's proposals through their boxes, and how it puts the boxes right."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalor_ppl.scalor.posterior_networks import Normals
from scalor_ppl.scalor.slots import take


class Look(NamedTuple):
    """What is seen of n proposals.

    Attributes:
        rows: which of the cells they are, as ``Scalor.candidates`` gives them; none for all.
        where: boxes that they were seen through ``[B, n, 4]``.
        encoding: of their glimpses ``[B, n, hidden]``.
        what: the posterior of their z_what ``[B, n, D]``.
    """

    rows: Tensor | None
    where: Tensor
    encoding: Tensor
    what: Normals


def corrected(posterior: Normals, correction: Tensor, guess: Tensor, reach: Tensor) -> Normals:
    """The posterior of where, put right by what is seen at the guess.

    Args:
        posterior: ``[B, n, 4 + any]``, where first.
        correction: ``[B, n, 8]``: of where's location, the shift in half boxes, and of the
            logarithm of its scale.
        guess: the boxes that were looked through ``[B, n, 4]``.
        reach: the largest movement, in image coordinates, ``[2]``.
    """
    shift, size, spread = correction.split((2, 2, 4), -1)
    more = torch.cat((shift * guess[..., 2:] / reach, size), -1)
    rest = (0, posterior.loc.shape[-1] - 4)
    # At most a factor of e^3, so that no scale runs away.
    spread = 3 * torch.tanh(spread / 3)
    return Normals(
        posterior.loc + F.pad(more, rest), posterior.scale * torch.exp(F.pad(spread, rest))
    )


def among_cells(cells: Normals, seen: Normals, rows: Tensor | None) -> Normals:
    """What is known of all cells ``[B, N, .]``, with what was seen of some of them in its place.

    Args:
        cells: of all.
        seen: of the candidates ``[B, proposals, .]``, or of all.
        rows: which they are, as ``Scalor.candidates`` gives them; none for all.
    """
    if rows is None:
        return seen
    return Normals(
        *(
            known.flatten(0, 1).index_copy(0, rows, own.flatten(0, 1)).view_as(known)
            for known, own in zip(cells, seen, strict=True)
        )
    )


def corrected_proposals(proposed: Normals, look: Look, network: nn.Module, model: Any) -> Normals:
    """Where and depth of all proposals ``[B, N, 5]``, where corrected by what was seen at it.

    Args:
        proposed: as the cells alone know it.
        look: at the candidates.
        network: from its encoding to the correction, see :func:`corrected`.
        model: the program.
    """
    seen = proposed
    if look.rows is not None:
        seen = Normals(*(take(each, look.rows, model.proposals) for each in proposed))
    correction = network(look.encoding)
    right = corrected(seen, correction, look.where, model.config.reach * model.cell)
    return among_cells(proposed, right, look.rows)
