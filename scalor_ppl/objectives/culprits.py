"""Where numbers that are not finite come from: the first parameter, frame or site, by name.

Asked only after a check has failed: nothing here is done in a step that is finite. In the order in
which numbers flow: parameters, frames, the guide's sites as they were sampled, the model's, and at
last gradients, which flow back.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor, nn

from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.objectives.densities import VIDEOS, latent_and_observed
from scalor_ppl.objectives.estimate import Traces

Site = tuple[str, dict[str, Any]]
"""Whose it is, and what Pyro knows of it."""

MEANINGS = {"loc": "mean", "scale": "standard deviation", "logits": "log-odds"}
"""Parameters of distributions, as people call them."""


@torch.no_grad()
def culprit(
    parts: Mapping[str, nn.Module], inputs: tuple[Tensor, ...], traces: Traces | None
) -> str | None:
    """The first of everything that was computed that is not finite; none where all of it is.

    Args:
        parts: ``model``, ``guide`` and whatever else learns.
        inputs: what both were given, the video ``[B, T, ...]`` first.
        traces: of the pass; none where the objective does not tell, or did not come to an end:
            then another pass is made.
    """
    video = inputs[0]
    found = parameters_culprit(parts) or frames_culprit(video)
    if found is None:
        sites = _another_pass(parts, inputs) if traces is None else _sites(traces)
        found = sites_culprit(sites, len(video))
    return found or gradients_culprit(parts)


def parameters_culprit(parts: Mapping[str, nn.Module]) -> str | None:
    """The first parameter or buffer that is not finite, and how many there are."""
    return _named(
        "value",
        (
            (f"{part}.{name}", tensor)
            for part, module in parts.items()
            for name, tensor in (*module.named_parameters(), *module.named_buffers())
        ),
    )


def gradients_culprit(parts: Mapping[str, nn.Module]) -> str | None:
    """The first parameter whose gradient is not finite, and how many there are."""
    return _named(
        "gradient",
        (
            (f"{part}.{name}", parameter.grad)
            for part, module in parts.items()
            for name, parameter in module.named_parameters()
            if parameter.grad is not None
        ),
    )


def _named(what: str, tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    bad = [name for name, tensor in tensors if not torch.isfinite(tensor).all()]
    return f"first with a non-finite {what}: {bad[0]}, {len(bad)} in all" if bad else None


def frames_culprit(video: Tensor) -> str | None:
    """The first frame ``[B, T, ...]`` that is not finite."""
    bad = (~torch.isfinite(video)).flatten(2)
    if not bad.any():
        return None
    place = [int(n) for n in bad.any(-1).nonzero()[0]]
    count = int(bad[*place].sum())
    return (
        f"frame {place[1]} of video {place[0]} is {_word(video[*place])} in {count} of "
        f"{bad.shape[-1]} values"
    )


def sites_culprit(sites: Iterable[Site], videos: int) -> str | None:
    """The first site that is not finite, as far as it exists.

    What is masked (an empty slot) has no density, and should do no harm; where it comes before the
    first that exists it is told too.

    Args:
        sites: in the order in which they were sampled.
        videos: B; the sites may be of K * B, K particles one after another.
    """
    before = ""
    for whose, site in sites:
        for what, tensor in _numbers(site):
            if torch.isfinite(tensor).all():
                continue
            numbers = _by_place(tensor, site["fn"])
            bad = ~torch.isfinite(numbers).all(-1)
            exists = torch.as_tensor(True if site["mask"] is None else site["mask"])
            there = bad & exists.to(bad.device)
            place = tuple(int(n) for n in (there if there.any() else bad).nonzero()[0])
            word, where = _word(numbers[place]), _where(site, place, videos)
            said = f"{site['name']} of the {whose}: {what} is {word}, {where}"
            if there.any():
                return said + before
            before = before or f"; before it, where nothing exists, {said}"
    return None


def _sites(traces: Traces) -> Iterator[Site]:
    for whose, trace in (("guide", traces.guide), ("model", traces.model)):
        for _, site in latent_and_observed(trace):
            yield whose, site


def _another_pass(parts: Mapping[str, nn.Module], inputs: tuple[Tensor, ...]) -> list[Site]:
    """The sites of guide and model, as far as they come; the random state stays as it is."""
    sites: list[Site] = []
    with torch.random.fork_rng(devices=[]), suppress(RuntimeError, ValueError), fast_pyro():
        with _Looking("guide", sites), poutine.trace() as seen:
            parts["guide"](*inputs)
        with _Looking("model", sites), poutine.replay(trace=seen.trace):
            parts["model"](*inputs)
    return sites


class _Looking(Messenger):
    """Keeps sites also where no value can be drawn, which traces do not."""

    def __init__(self, whose: str, sites: list[Site]) -> None:
        super().__init__()
        self.whose = whose
        self.sites = sites

    def _pyro_sample(self, msg: Any) -> None:
        if not site_is_subsample(msg):
            self.sites.append((self.whose, msg))


def _by_place(tensor: Tensor, fn: Any) -> Tensor:
    """A parameter, value or density of a site, by its place in the plates: ``[*batch, n]``."""
    batch, event = fn.batch_shape, fn.event_shape
    if tensor.shape == batch:
        return tensor[..., None]
    for shape in (batch + event, batch):  # a density has no event dims
        try:
            whole = tensor.expand(shape)
        except RuntimeError:
            continue
        return whole.reshape(*batch, -1)
    if tensor.shape[: len(batch)] == batch:  # more than one number for each of the event's
        return tensor.flatten(len(batch))
    return tensor.flatten().expand(*batch, -1)


def _numbers(site: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """The distribution's parameters, the value, and its log-density, as far as they were made."""
    fn = site["fn"]
    while hasattr(fn, "base_dist"):
        fn = fn.base_dist
    # Not by attribute: what was not given would be computed from what was.
    given = {name: vars(fn).get(name) for name in fn.arg_constraints}
    if given.get("logits") is not None:
        given.pop("probs", None)
    for name, numbers in given.items():
        if isinstance(numbers, Tensor):
            yield MEANINGS.get(name, name), numbers
    if site["value"] is None:
        return
    yield "value", site["value"]
    with fast_pyro():  # a value that is not finite is what is looked for, and no mistake here
        density = site["log_prob"] if "log_prob" in site else site["fn"].log_prob(site["value"])
    yield "log-density", density


def _where(site: dict[str, Any], place: tuple[int, ...], videos: int) -> str:
    """``tracker 2, video 1``, by the plates of a site."""
    said = []
    frames = [f for f in site["cond_indep_stack"] if f.dim is not None and -f.dim <= len(place)]
    for frame in sorted(frames, key=lambda frame: -frame.dim):
        number, word = place[frame.dim], frame.name.removesuffix("s")
        if frame.name == VIDEOS and 0 < videos < frame.size:
            said.append(f"{word} {number % videos}, particle {number // videos}")
        else:
            said.append(f"{word} {number}")
    return ", ".join(said)


def _word(numbers: Tensor) -> str:
    """``nan``, ``inf`` or ``-inf``: the first of these among some numbers."""
    return f"{numbers[~torch.isfinite(numbers)][0].item():g}"
