"""Objects in slots of fixed number: accept-reject, selection, death, identities.

Everything here is a pure function of tensors with static shapes: no loop over videos, no value
that travels to the host. Model and guide call the same functions, so that they cannot disagree.

Shapes: B videos, K tracker slots (the capacity), N proposals (one per grid cell).
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from scalor_ppl.render.glimpses import overlap_share, visible_pixels
from scalor_ppl.scalor.identities import Selection, SlotIdentities, identified
from scalor_ppl.scalor.selection import take_of_both
from scalor_ppl.scalor.settings import RulesConfig
from scalor_ppl.scalor.suppression import inside_ellipse, keep_strongest

Size = tuple[int, int]


class Latents(NamedTuple):
    """Values of the four sites of one phase: presence, where, depth, what."""

    presence: Tensor
    where: Tensor
    depth: Tensor
    what: Tensor

    @property
    def rest(self) -> Tensor:
        """Size (before it is bounded), depth and z_what side by side ``[..., 3 + D]``."""
        return torch.cat((self.where[..., 2:], self.depth[..., None], self.what), -1)


class Objects(NamedTuple):
    """The latents of n object slots and what follows from them.

    Attributes:
        presence: z_pres in [0, 1], ``[B, n]``; 0 where the slot is empty or was rejected.
        where: centre and size ``[B, n, 4]`` in the convention of :mod:`scalor_ppl.render.boxes`.
        raw: ``[B, n, 4]``: the last movement and the size before they were bounded (the movement
            is 0 for an object just discovered).
        depth: z_depth ``[B, n]``; small is near the camera.
        what: z_what ``[B, n, D]``.
        glimpse: decoded colour and mask in [0, 1], ``[B, n, C + 1, h, w]``.
        box: the box that the glimpse is painted in ``[B, n, 4]``, in the same convention: where
            itself, or moved so that the mask's centre of mass lies at where's centre.
    """

    presence: Tensor
    where: Tensor
    raw: Tensor
    depth: Tensor
    what: Tensor
    glimpse: Tensor
    box: Tensor

    @property
    def rest(self) -> Tensor:
        """As of :class:`Latents`, ``[B, n, 3 + D]``."""
        return torch.cat((self.raw[..., 2:], self.depth[..., None], self.what), -1)

    @property
    def colour(self) -> Tensor:
        """Colour of the glimpses ``[B, n, C, h, w]``."""
        return self.glimpse[:, :, :-1]

    @property
    def mask(self) -> Tensor:
        """Mask of the glimpses ``[B, n, 1, h, w]``."""
        return self.glimpse[:, :, -1:]

    def code(self, anywhere: bool = False) -> Tensor:
        """presence, where, depth and what side by side, ``[B, n, 6 + D]``.

        Args:
            anywhere: do not tell the position nor what depends on the frame's size: zeros in
                place of the centre, and the raw size, which is relative to its bounds in pixels.
        """
        where = self.where
        if anywhere:
            where = torch.cat((torch.zeros_like(self.raw[..., :2]), self.raw[..., 2:]), -1)
        return torch.cat((self.presence[..., None], where, self.depth[..., None], self.what), -1)

    def rows(self) -> Tensor:
        """All but the glimpses side by side, ``[B, n, 14 + D]``: one tensor to select from."""
        single = (self.presence[..., None], self.depth[..., None])
        return torch.cat((*single, self.where, self.raw, self.box, self.what), -1)

    @classmethod
    def of(cls, rows: Tensor, glimpse: Tensor) -> "Objects":
        """The inverse of :meth:`rows`, with glimpses ``[B, n, C + 1, h, w]``."""
        presence, depth, where, raw, box, what = rows.split(
            (1, 1, 4, 4, 4, rows.shape[-1] - 14), -1
        )
        return cls(presence.squeeze(-1), where, raw, depth.squeeze(-1), what, glimpse, box)


def tight_where(objects: Objects, level: float = 0.5) -> Tensor:
    """Boxes about the masks instead of the glimpses, ``[B, n, 4]``.

    A glimpse may be much larger than what its mask shows. The edges lie where the mask, linear
    between the middles of its pixels, crosses the level. An object whose mask stays below the level
    everywhere keeps the box of its glimpse.

    Args:
        objects: of B videos.
        level: from which a pixel of the glimpse belongs to the object, 0 to 1.
    """
    mask = objects.mask.squeeze(2)
    centre, size = objects.box.split(2, -1)
    # Along x what any row shows, along y what any column does.
    spans = [_span(mask.amax(axis), level) for axis in (-2, -1)]
    low, high = (torch.stack(ends, -1) for ends in zip(*spans, strict=True))
    found = (mask.flatten(2).amax(-1) >= level)[..., None]
    # A box reaches from centre - size to centre + size.
    tight = torch.cat((centre + size * (low + high - 1), size * (high - low)), -1)
    return torch.where(found, tight, objects.box)


def _span(line: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Where ``[..., n]`` first reaches a level and last leaves it, as shares of n."""
    return _rise(line, level), 1 - _rise(line.flip(-1), level)


def _rise(line: Tensor, level: float) -> Tensor:
    """Where ``[..., n]`` first reaches a level, as a share of n; beyond its ends it is 0."""
    first = (line >= level).float().argmax(-1, keepdim=True)
    padded = F.pad(line, (1, 0))
    before, after = padded.gather(-1, first), line.gather(-1, first)
    rest = (after - level) / (after - before).clamp(min=1e-6)
    edge = (first + 0.5 - rest).squeeze(-1)
    # A mask that is full at the glimpse's rim ends with the glimpse.
    return edge.clamp(min=0) / line.shape[-1]


class Trackers(NamedTuple):
    """The K slots after a frame.

    Attributes:
        objects: what is rendered in this frame, also objects that die in it.
        alive: ``[B, K]`` bool: tracked on into the next frame.
        ids: ``[B, K]`` int64: identity of the live trackers, unique within a video for ever;
            -1 in the other slots.
        discovered: ``[B, K]`` bool: live and found in this frame.
        next_id: ``[B]`` int64: the first identity that was never given.
        doubled: ``[B, K]`` int64: for how many frames in a row, up to this one, an older tracker
            has been in the same place.
        origin: ``[B * K]`` int64: for each slot, the row of the slots and proposals it came from
            (see :func:`take`).
    """

    objects: Objects
    alive: Tensor
    ids: Tensor
    discovered: Tensor
    next_id: Tensor
    doubled: Tensor
    origin: Tensor

    def identities(self) -> SlotIdentities:
        """What it knows of who they are."""
        return SlotIdentities(self.alive, self.ids, self.discovered, self.next_id, self.doubled)


def accept(
    proposals: Objects,
    canvas: Tensor | None,
    rules: RulesConfig,
    size: Size,
    tracked: Objects | None = None,
) -> Tensor:
    """The accept-reject test (paper section 3.1, equation 6; algorithm 1).

    A proposal is rejected when at least the share ``rules.overlap`` of its mask lies on the
    propagated objects' mask; where ``rules.near_tracked`` says so, when its centre lies inside the
    ellipse of a propagated object; and, where ``rules.duplicate_rejection`` says so, when it lies
    inside the ellipse of a stronger proposal that is itself accepted.

    Args:
        proposals: N proposals.
        canvas: mask of the propagated objects ``[B, 1, H, W]``; none where there are none.
        rules: the rules.
        size: height and width of the image.
        tracked: the propagated objects; none where there are none.

    Returns:
        ``[B, N]`` bool: accepted. Piecewise constant in its inputs: no gradient.
    """
    with torch.no_grad():
        if rules.rejection and canvas is not None:
            share = overlap_share(proposals.mask.squeeze(2), proposals.box, canvas)
            accepted = share < rules.overlap
        else:
            accepted = torch.ones_like(proposals.presence, dtype=torch.bool)
        if rules.near_tracked is not None and tracked is not None:
            near = inside_ellipse(proposals.where, tracked.where, rules.near_tracked)
            # One that leaves in this frame says nothing of what comes after it.
            near = near & (tracked.presence > 0.5)[:, None]
            accepted = accepted & ~near.any(-1)
        if rules.duplicate_rejection:
            accepted = keep_strongest(
                proposals.where, proposals.presence, accepted, rules.duplicate_radius
            )
        return accepted


def strongest(presence: Tensor, count: int) -> Tensor:
    """Rows of the ``count`` largest z_pres of each video, for :func:`take`, ``[B * count]``."""
    with torch.no_grad():
        return _origin(torch.topk(presence, count, dim=1).indices, presence.shape[1])


def _origin(chosen: Tensor, rows: int) -> Tensor:
    """Indices ``[B, n]`` into each video's ``rows`` as indices into all of them, ``[B * n]``."""
    videos = chosen.shape[0]
    base = torch.arange(0, videos * rows, rows, device=chosen.device)
    return (chosen + base[:, None]).flatten()


def update_trackers(
    before: Trackers | None,
    propagated: Objects | None,
    proposals: Objects,
    capacity: int,
    rules: RulesConfig,
    size: Size,
) -> Trackers:
    """Join propagated and accepted objects in the K slots (end of a frame).

    Slots go to the largest z_pres; a tracker that survives comes before any discovery. An object
    lives on when z_pres > 1/2 (for hard presence: when it is 1), and, where ``rules.vanish`` says
    so, when its mask still covers enough of the view, and, where ``rules.doubled`` says so, unless
    it has shared an older tracker's place for too long; one that is deleted gives up its slot in
    the next frame. Each new identity is the next number never given in its video.

    Args:
        before: trackers after the last frame; none in the first.
        propagated: their objects in this frame ``[B, K, ...]``, presence 0 in dead slots; none in
            the first frame.
        proposals: proposals ``[B, N, ...]``, presence 0 where rejected.
        capacity: K.
        rules: the rules.
        size: height and width of the image.

    Returns:
        The trackers after this frame. Where there are fewer candidates than slots the last slots
        repeat a candidate with presence 0.
    """
    with torch.no_grad():
        presence = proposals.presence
        if propagated is not None:
            presence = torch.cat((propagated.presence, presence), 1)
        videos, count = presence.shape
        key = presence
        if before is not None:
            # Who was there before and goes on comes first.
            stays = before.alive & (key[:, : before.alive.shape[1]] > 0.5)
            key = key + F.pad(stays.to(key), (0, count - stays.shape[1]))
        chosen = torch.topk(key, min(capacity, count), dim=1).indices
        if count < capacity:
            chosen = F.pad(chosen, (0, capacity - count))
        selection = Selection(_origin(chosen, count), count, min(capacity, count))
    origin = selection.origin
    rows = None if propagated is None else propagated.rows()
    glimpses = None if propagated is None else propagated.glimpse
    objects = Objects.of(
        take_of_both(rows, proposals.rows(), origin, capacity),
        take_of_both(glimpses, proposals.glimpse, origin, capacity),
    )
    if count < capacity:
        filled = torch.arange(capacity, device=presence.device) < count
        objects = objects._replace(presence=objects.presence * filled)
    with torch.no_grad():
        known = _nobody(origin, videos) if before is None else before.identities()
        alive = _lives(objects, rules, size)
    identities = identified(known, selection, alive, objects.where, rules)
    return Trackers(objects=objects, origin=origin, **identities._asdict())


def _nobody(origin: Tensor, videos: int) -> SlotIdentities:
    """What there is before the first frame."""
    none = origin.new_empty(videos, 0)
    return SlotIdentities(none.bool(), none, none.bool(), origin.new_zeros(videos), none)


def _lives(objects: Objects, rules: RulesConfig, size: Size) -> Tensor:
    """Which objects live on, ``[B, K]`` bool, as far as each can tell by itself."""
    alive = objects.presence > 0.5
    if not rules.vanish:
        return alive
    covered = visible_pixels(objects.mask.squeeze(2), objects.box, size)
    box = objects.where[..., 2:].prod(-1)
    return alive & (covered >= rules.vanish_share * size[0] * size[1] * box)
