"""What is seen of SCALOR's proposals through their boxes, and how it puts the boxes right.

Locations and scales of many latents are side by side in one tensor here: what is done to all of
them is then one operation.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scalor_ppl.scalor.posterior_networks import Normals
from scalor_ppl.scalor.refinement import Better, bettered


class Proposals(NamedTuple):
    """What is known of the proposals of all cells before they are looked at.

    Attributes:
        rows: ``[..., N, 14]``: their boxes, location of where and depth, scale of where and depth.
        posterior: locations and then scales of where, depth and what, ``[..., N, 2 (5 + D)]``; what
            is that of an absent proposal.
    """

    rows: Tensor
    posterior: Tensor


class Look(NamedTuple):
    """What is seen of n proposals.

    Attributes:
        rows: which of the cells they are, as ``Scalor.candidates`` gives them; none for all.
        where: boxes that they were seen through ``[B, n, 4]``.
        likely: location and scale of where and depth before, ``[B, n, 10]``.
        encoding: of their glimpses ``[B, n, hidden]``.
        what: the posterior of their z_what ``[B, n, D]``.
    """

    rows: Tensor | None
    where: Tensor
    likely: Tensor
    encoding: Tensor
    what: Normals


def proposals_of(posterior: Normals, absent: Tensor, model: Any) -> Proposals:
    """Proposals from the posterior of where and depth.

    Args:
        posterior: ``[..., N, 5]``.
        absent: posterior of an absent proposal, ``[..., N, 2 (5 + D)]``.
        model: the program.
    """
    loc, scale = posterior
    rows = torch.cat((model.proposed_where(loc[..., :4]), loc, scale), -1)
    what = absent.shape[-1] // 2 - 5
    _, unseen_loc, _, unseen_scale = absent.expand(*loc.shape[:-1], -1).split(
        (5, what, 5, what), -1
    )
    return Proposals(rows, torch.cat((loc, unseen_loc, scale, unseen_scale), -1))


def corrected(posterior: Normals, correction: Tensor, guess: Tensor, reach: Tensor) -> Normals:
    """The posterior of where, put right by what is seen at the guess.

    Args:
        posterior: ``[B, n, 4]``.
        correction: ``[B, n, 8]``: of where's location, the shift in half boxes, and of the
            logarithm of its scale.
        guess: the boxes that were looked through ``[B, n, 4]``.
        reach: the largest movement, in image coordinates, ``[2]``.
    """
    shift, size, spread = correction.split((2, 2, 4), -1)
    _, extent = guess.split((2, 2), -1)
    more = torch.cat((shift * extent / reach, size), -1)
    # At most a factor of e^3, so that no scale runs away.
    return Normals(posterior.loc + more, posterior.scale * torch.exp(3 * torch.tanh(spread / 3)))


def posterior_of_all(
    proposals: Proposals, look: Look, network: nn.Module | None, model: Any
) -> Tensor:
    """The posterior of where, depth and what of all cells, ``[B, N, 2 (5 + D)]``.

    Args:
        proposals: of all cells.
        look: at some of them, or at all.
        network: from its encoding to the correction, see :func:`corrected`; none has none.
        model: the program.
    """
    loc, depth, scale, spread = look.likely.split((4, 1, 4, 1), -1)
    where = Normals(loc, scale)
    if network is not None:
        reach = model.config.reach * model.cell
        where = corrected(where, network(look.encoding), look.where, reach)
    what = look.what
    own = torch.cat((where.loc, depth, what.loc, where.scale, spread, what.scale), -1)
    return among_cells(proposals.posterior, own, look.rows)


def among_cells(cells: Tensor, seen: Tensor, rows: Tensor | None) -> Tensor:
    """What is known of all cells ``[B, N, .]``, with what was seen of some of them in its place.

    Args:
        cells: of all.
        seen: of the candidates ``[B, proposals, .]``, or of all.
        rows: which they are, as ``Scalor.candidates`` gives them; none for all.
    """
    if rows is None:
        return seen
    return cells.flatten(0, 1).index_copy(0, rows, seen.flatten(0, 1)).view_as(cells)


def drawn_from(
    absent: Tensor, posterior: Tensor, present: Tensor, better: Better | None
) -> tuple[Normals, Normals, Normals]:
    """Where, depth and what: the posterior as far as proposals are present, else the prior.

    Args:
        absent: of absent proposals, locations and then scales ``[B, N, 2 (5 + D)]``.
        posterior: of present ones, likewise.
        present: z_pres ``[B, N, 1]``.
        better: what to put locations on; none leaves them.
    """
    looks = posterior.shape[-1] // 2 - 5
    widths = (4, 1, looks)
    if better is not None:
        where, depth, what, scales = posterior.split((*widths, 5 + looks), -1)
        where = bettered(where, better, "where")
        depth = bettered(depth, better, "depth")
        what = bettered(what, better, "what")
        posterior = torch.cat((where, depth, what, scales), -1)
    parts = torch.lerp(absent, posterior, present).split(widths * 2, -1)
    z_where, z_depth, z_what = (Normals(*pair) for pair in zip(parts[:3], parts[3:], strict=True))
    return z_where, z_depth, z_what
