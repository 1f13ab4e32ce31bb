"""Log-densities of a trace, those of all frames of a kind of site at once.

A program has the same few kinds of sites in every frame. One by one, their densities are half of
all the small operations of a step, and cost as many calls of the library as they have terms.
"""

from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

import torch
from pyro.distributions.util import scale_and_mask
from pyro.poutine import Trace
from torch import Tensor

from scalor_ppl.errors import UserError
from scalor_ppl.nn.stacking import log_prob_unstacked, stacked, stacking_key

# Sites lie in two plate dims: videos, and trackers or cells.
PLATE_DIMS = 2
VIDEO_DIM = -2
VIDEOS = "videos"

Site = dict[str, Any]


class Stacks:
    """Values and masks of several sites in one tensor, made once: a model has the guide's."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], tuple[list[Tensor], Tensor]] = {}

    def of(self, tensors: list[Tensor]) -> Tensor:
        """``[n, ...]``."""
        key = tuple(map(id, tensors))
        if key not in self._known:
            # Kept alive, so that no id can be given to another.
            self._known[key] = (tensors, torch.stack(tensors))
        return self._known[key][1]


class SiteGroup(NamedTuple):
    """Sites whose densities were computed together.

    Attributes:
        sites: n of them, with one batch shape; masked alike.
        log_prob: ``[n, *batch_shape]``, as far as masks and scales let it count.
    """

    sites: list[Site]
    log_prob: Tensor


def latent_and_observed(trace: Trace) -> Iterable[tuple[str, Site]]:
    """The sample sites of a trace, without those that Pyro adds for subsampling."""
    for name, site in trace.nodes.items():
        if site["type"] == "sample" and type(site["fn"]).__name__ != "_Subsample":
            yield name, site


def log_density(trace: Trace, stacks: Stacks | None = None) -> Tensor:
    """Sum of the log-densities of all sites, per tiled video ``[K * B]``.

    Each site is given its ``log_prob`` too, as Pyro's ``compute_log_prob`` would.

    Args:
        trace: of a model or guide.
        stacks: shared with the trace of the other; none makes its own.

    Raises:
        UserError: a site is not in the plate of the videos.
    """
    return torch.stack([_group_per_video(group) for group in evaluate(trace, stacks)]).sum(0)


def evaluate(trace: Trace, stacks: Stacks | None = None) -> list[SiteGroup]:
    """Give each site of a trace its ``log_prob``, of its batch shape; see :func:`log_density`.

    Raises:
        ValueError: a distribution refuses a value; it says at which site.
    """
    stacks = stacks or Stacks()
    alike: dict[Hashable, list[Site]] = {}
    for name, site in latent_and_observed(trace):
        key = _group_key(site)
        alike.setdefault(name if key is None else key, []).append(site)
    try:
        return [_evaluated(sites, stacks) for sites in alike.values()]
    except ValueError:
        trace.compute_log_prob()  # site by site: Pyro says which it is
        raise


def per_video(site: Site, log_prob: Tensor | None = None) -> Tensor:
    """A site's log-density (or another quantity of its batch shape) summed up per tiled video.

    Raises:
        UserError: the site is not in the plate of the videos.
    """
    size, dim = _place_of_videos(site)
    summed = site["log_prob"] if log_prob is None else log_prob
    # Aligned from the right, as plates are; a site that is wider than the plate is broadcast.
    others = [each for each in range(-summed.dim(), 0) if each != dim]
    summed = summed.sum(others) if others else summed
    return summed.expand(size)


def _group_per_video(group: SiteGroup) -> Tensor:
    # All of them lie in the same plates, with the new dim in front: it is summed over like these.
    return per_video(group.sites[0], group.log_prob)


def _place_of_videos(site: Site) -> tuple[int, int]:
    """How many videos there are, and along which dim."""
    frame = next((f for f in site["cond_indep_stack"] if f.name == VIDEOS), None)
    if frame is None:
        raise UserError(
            f"site {site['name']} lies outside the plate of videos ({site['name']} is not in the "
            f"plate {VIDEOS!r}), so no video can be weighed: sample it in "
            f"pyro.plate({VIDEOS!r}, number, dim={VIDEO_DIM})"
        )
    return frame.size, frame.dim


def _group_key(site: Site) -> Hashable | None:
    """What sites have in common whose densities are one computation; none of one by itself."""
    fn, value, mask = site["fn"], site["value"], site["mask"]
    # A value that broadcasts against its distribution is left to Pyro's own rules.
    whole = fn.batch_shape + fn.event_shape
    if isinstance(site["scale"], Tensor) or site["scale"] != 1.0 or value.shape != whole:
        return None
    if "log_prob" in site or site["args"] or site["kwargs"]:
        return None
    if mask is not None and not (isinstance(mask, Tensor) and mask.shape == fn.batch_shape):
        return None
    if any(f.dim is not None and len(fn.batch_shape) < -f.dim for f in site["cond_indep_stack"]):
        return None
    kind = stacking_key(fn)
    plates = tuple(sorted((f.dim, f.name) for f in site["cond_indep_stack"]))
    return None if kind is None else (kind, value.shape, mask is None, plates)


def _evaluated(sites: list[Site], stacks: Stacks) -> SiteGroup:
    if len(sites) == 1:
        return SiteGroup(sites, _alone(sites[0])[None])
    fns, values = [site["fn"] for site in sites], [site["value"] for site in sites]
    log_prob = log_prob_unstacked(fns, values)
    if log_prob is None:
        log_prob = stacked(fns).log_prob(stacks.of(values))
    if sites[0]["mask"] is not None:
        masks = stacks.of([site["mask"] for site in sites])
        log_prob = torch.where(masks, log_prob, log_prob.new_zeros(()))
    for site, own in zip(sites, log_prob.unbind(), strict=True):
        site["log_prob"] = own
    return SiteGroup(sites, log_prob)


def _alone(site: Site) -> Tensor:
    if "log_prob" not in site:
        log_prob = site["fn"].log_prob(site["value"], *site["args"], **site["kwargs"])
        site["log_prob"] = scale_and_mask(log_prob, site["scale"], site["mask"])
    log_prob = site["log_prob"]
    assert isinstance(log_prob, Tensor)
    return log_prob
