"""SQAIR: what exists has a density and the rest has none, and its bound against the evidence."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from cases import build, clip
from pyro import poutine
from torch import Tensor

from scalor_ppl.guides.sqair import SqairGuide, build_guide
from scalor_ppl.models.sqair import Sqair, build_model
from scalor_ppl.objectives.densities import log_density
from scalor_ppl.objectives.estimators import Iwae, Vimco
from scalor_ppl.objectives.particles import ParticleEstimator
from scalor_ppl.programs import CountsObjects, FindsObjects, require
from scalor_ppl.sqair import SqairConfig
from scalor_ppl.sqair.settings import SqairGuideSettings, SqairSettings
from scalor_ppl.sqair.slots import Candidates, Slots, joined

SIZE = (6, 7)


def pair(difference: bool = True, **model: Any) -> tuple[Sqair, SqairGuide]:
    torch.manual_seed(3)
    size = {"height": SIZE[0], "width": SIZE[1], "channels": 1}
    tiny = {"objects": 2, "what": 2, "hidden": 6, "glimpse": (3, 4), "sigma": 0.5}
    config = SqairConfig(
        model=SqairSettings(**(tiny | size | model)),
        guide=SqairGuideSettings(hidden=8, maps=4, difference=difference, propagate=0.0),
    )
    program = build_model(config)
    with torch.no_grad():
        # Bright objects, that often come and go.
        program.decoder[-1].weight.normal_(std=1.0)
        program.decoder[-1].bias.fill_(3.0)
        program.discovery.odds.fill_(0.3)
        program.propagation.head.bias[0] = -4.0
    return program, build_guide(config, program)


def traced(model: Any, guide: Any, video: Tensor, **how: Any) -> tuple[Any, Any]:
    seen = poutine.trace(guide).get_trace(video, **how)
    foreseen = poutine.trace(poutine.replay(model, trace=seen)).get_trace(video, **how)
    for trace in (seen, foreseen):
        trace.compute_log_prob()
    return seen, foreseen


# ---------------------------------------------------------------------- slots


def candidates(presence: list[float], codes: list[float]) -> Candidates:
    """Objects of one video whose latents are all one number."""
    here, code = torch.tensor([presence]), torch.tensor([codes])
    wide = code[..., None]
    picture = wide[..., None, None]
    return Candidates(
        here, wide.expand(1, -1, 4), wide, wide.expand(1, -1, 4), picture, torch.zeros(1, 1, 2, 2)
    )


def test_slots_close_up_and_identities_stay() -> None:
    first = joined(None, None, [candidates([1.0], [n]) for n in (10.0, 11.0, 12.0)])
    assert first.ids.tolist() == [[0, 1, 2]]
    assert first.discovered.all()
    # The first is lost, another is found, and the one after that was not there.
    found = [candidates([here], [code]) for here, code in ((1.0, 20.0), (0.0, 21.0), (0.0, 22.0))]
    second = joined(first, candidates([0.0, 1.0, 1.0], [10.0, 11.0, 12.0]), found)
    assert second.ids.tolist() == [[1, 2, 3]]
    assert second.discovered.tolist() == [[False, False, True]]
    assert second.what[..., 0].tolist() == [[11.0, 12.0, 20.0]]
    assert second.next_id.tolist() == [4]
    absent = [candidates([0.0], [0.0])] * 3
    third = joined(second, candidates([0.0, 1.0, 0.0], [11.0, 12.0, 20.0]), absent)
    assert third.ids.tolist() == [[2, -1, -1]]
    assert third.presence.tolist() == [[1.0, 0.0, 0.0]]
    assert third.next_id.tolist() == [4]


def test_tracks_keep_their_identities() -> None:
    program = build("sqair")
    finding = require(program, CountsObjects, "test").finding(2)
    trace = poutine.trace(finding).get_trace(clip(4))
    scene = poutine.replay(program.model, trace=trace)(clip(4))
    finder = require(program, FindsObjects, "test")
    for tracks in finder.tracks(scene):
        assert tracks.ids.tolist() == [[0, 1]] * 4
        assert tracks.discovered.tolist() == [[True, True]] + [[False, False]] * 3
        assert (tracks.presence == 1).all()
    # What the guide said of each of them, in its slot.
    said = torch.sigmoid(trace.nodes["z_pres_prop_1_2"]["fn"].logits)
    torch.testing.assert_close(finder.confidence(trace, scene)[:, 2, 1:], said)
    site = trace.nodes["z_where_prop_0_3"]
    slope = 1 - torch.tanh(site["value"][:, 0, :2]) ** 2
    expected = slope * site["fn"].base_dist.scale[:, 0, :2] * torch.tensor([11.0, 9.0])
    spread = finder.spread(trace, scene)
    assert spread is not None
    torch.testing.assert_close(spread[:, 3, 0], expected)


# ---------------------------------------------------------------------- existence


def sites(trace: Any) -> list[tuple[str, Any]]:
    return [(n, s) for n, s in trace.nodes.items() if s["type"] == "sample" and n.startswith("z_")]


@pytest.mark.parametrize("difference", [True, False])
def test_what_does_not_exist_has_no_density(difference: bool) -> None:
    model, guide = pair(difference)
    video = torch.rand(40, 3, 1, *SIZE)
    traces = traced(model, guide, video)
    values = {name: site["value"] for name, site in sites(traces[0])}
    slots = traces[1].nodes["_RETURN"]["value"].slots
    there = torch.zeros(40, 1)
    exists: dict[str, Tensor] = {}
    for t in range(3):
        last, there = there, torch.zeros(40, 1)
        for k in range(2):
            if t:
                exists[f"pres_prop_{k}_{t}"] = last > k
                here = (last > k) * values[f"z_pres_prop_{k}_{t}"]
                exists[f"where_prop_{k}_{t}"] = exists[f"what_prop_{k}_{t}"] = here > 0
                there = there + here
        going = torch.ones(40, 1)
        for k in range(2):
            taken = going * (there < 2)
            exists[f"pres_disc_{k}_{t}"] = taken > 0
            going = taken * values[f"z_pres_disc_{k}_{t}"]
            exists[f"where_disc_{k}_{t}"] = exists[f"what_disc_{k}_{t}"] = going > 0
            there = there + going
        torch.testing.assert_close(slots[t].presence.sum(1), there[:, 0])
    assert 0.2 < torch.cat([*exists.values()]).float().mean() < 0.9
    for trace in traces:
        for name, site in sites(trace):
            mask = exists[name.removeprefix("z_")]
            free = site["fn"].log_prob(site["value"])
            torch.testing.assert_close(site["log_prob"], torch.where(mask, free, 0 * free))


@pytest.mark.parametrize("difference", [True, False])
def test_who_is_followed_sees_what_those_before_leave_unexplained(difference: bool) -> None:
    model, guide = pair(difference)
    video = torch.rand(30, 2, 1, *SIZE)
    seen: list[Tensor] = []
    hook = guide.reader.register_forward_pre_hook(lambda reader, given: seen.append(given[0]))
    trace = traced(model, guide, video)[1]
    hook.remove()
    values = {name: site["value"] for name, site in sites(trace)}
    last = trace.nodes["_RETURN"]["value"].slots[0]
    here = values["z_pres_prop_0_1"] * last.presence[:, :1]
    first = model.painted(here, values["z_where_prop_0_1"], values["z_what_prop_0_1"]).canvas
    assert 0 < here.mean() < 1
    assert first.abs().sum() > 0
    # Two looks of discovery in the first frame, then two of each object that is followed.
    frame = video[:, 1]
    left = frame - first if difference else frame
    for looked, shown in zip(seen[2:6], (frame, frame, left, left), strict=True):
        torch.testing.assert_close(looked, shown)


def test_nothing_depends_on_what_does_not_exist() -> None:
    model, guide = pair()
    video = torch.rand(30, 3, 1, *SIZE)
    before = traced(model, guide, video)
    moved = 0
    for name, site in sites(before[0]):
        if "pres" not in name:
            gone = ~torch.as_tensor(site["mask"]).expand(30, 1)[..., None]
            site["value"] = torch.where(gone, site["value"] + 5.0, site["value"])
            moved += int(gone.sum())
    assert moved > 100
    after = poutine.trace(poutine.replay(guide, trace=before[0])).get_trace(video)
    again = poutine.trace(poutine.replay(model, trace=before[0])).get_trace(video)
    for trace, expected in ((after, before[0]), (again, before[1])):
        trace.compute_log_prob()
        torch.testing.assert_close(log_density(trace), log_density(expected))
    images = (trace.nodes["_RETURN"]["value"].image for trace in (again, before[1]))
    torch.testing.assert_close(*images)


def test_frames_are_the_sum_of_their_objects() -> None:
    model, guide = pair()
    _, trace = traced(model, guide, torch.rand(20, 2, 1, *SIZE))
    scene = trace.nodes["_RETURN"]["value"]
    for t, slots in enumerate(scene.slots):
        assert isinstance(slots, Slots)
        each = [
            model.painted(
                slots.presence[:, k : k + 1], slots.raw[:, k : k + 1], slots.what[:, k : k + 1]
            )
            for k in range(2)
        ]
        expected = each[0].canvas + each[1].canvas
        torch.testing.assert_close(trace.nodes[f"x_{t}"]["fn"].loc[:, 0], expected)
        torch.testing.assert_close(scene.image[:, t], expected.clamp(max=1))
        assert (expected > 1).any()


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_rates_of_discovery(rate: float) -> None:
    model, _ = pair()
    scene = model(videos=50, frames=3, discovery=[rate, None, rate])
    first, last = scene.slots[0].presence.sum(1), scene.slots[2].presence.sum(1)
    assert (first == 2 * rate).all()
    if rate:
        assert (last == 2).all()
    else:
        assert not scene.slots[2].discovered.any()


def test_objects_are_hardly_found_late_until_following_is_learned() -> None:
    late = {"start": -20.0, "end": 0.0, "steps": 10}
    program = build("sqair", train={"late_odds": late})
    video = clip(3, videos=30)
    assert program.drive_to(10) == {"late_odds": 0.0}
    freely, prior = traced(program.model, program.guide, video)
    assert program.drive_to(5) == {"late_odds": -10.0}
    again = poutine.trace(poutine.replay(program.guide, trace=freely)).get_trace(video)
    hardly = poutine.trace(poutine.replay(program.model, trace=freely)).get_trace(video)
    for before, after in ((freely, again), (prior, hardly)):
        for name, shift in (("z_pres_disc_0_0", 0.0), ("z_pres_disc_0_1", -10.0)):
            moved = after.nodes[name]["fn"].logits - before.nodes[name]["fn"].logits
            torch.testing.assert_close(moved, torch.full_like(moved, shift), rtol=0, atol=1e-4)
    program.drive_to(0)
    scene = program.model(videos=200, frames=3)
    assert scene.slots[0].discovered.any()
    assert not scene.slots[1].discovered.any()


# ---------------------------------------------------------------------- the bound


def likelihood(model: Sqair, frame: Tensor, image: Tensor) -> Tensor:
    """log p(x | z) of draws ``[S, C, H, W]``."""
    sigma, pixels = model.config.sigma, frame.numel()
    squares = (frame - image).square().flatten(1).sum(1)
    return -squares / (2 * sigma**2) - pixels * math.log(sigma * math.sqrt(2 * math.pi))


def painted(model: Sqair, raw: Tensor, what: Tensor) -> Tensor:
    one = torch.ones(len(raw), 1)
    return model.painted(one, raw[:, None], what[:, None]).canvas


def exact_evidence(model: Sqair, video: Tensor, draws: int = 30000) -> float:
    """log p(x) of two frames, at most one object: presence enumerated, the rest integrated.

    The integrals are means over draws from the priors, written out without any site or mask.
    """
    model.once.forget()
    prior, frames = model.discovery, video[0]
    dark = torch.zeros(draws, 1, *SIZE)

    def placed() -> tuple[Tensor, Tensor]:
        loc, scale, _ = prior.place(
            prior.beginning.expand(draws, -1), prior.begin(torch.zeros(draws, 128))
        )
        raw = loc[:, 0] + scale[:, 0] * torch.randn(draws, 4)
        return raw, torch.randn(draws, model.config.what)

    def mean(log: Tensor) -> float:
        return float(torch.logsumexp(log, 0)) - math.log(len(log))

    first, later = torch.sigmoid(prior.odds)[:, 0].tolist()
    empty = [float(likelihood(model, frame, dark[:1])) for frame in frames]
    new = [likelihood(model, frame, painted(model, *placed())) for frame in frames]
    raw, what = placed()
    begun = likelihood(model, frames[0], painted(model, raw, what))
    # One after the other, the object goes on or not.
    fields = dict.fromkeys(Slots._fields)
    fields |= {
        "presence": torch.ones(draws, 1),
        "raw": raw[:, None],
        "what": what[:, None],
        "order": torch.zeros(draws, 1, dtype=torch.int64),
    }
    after = model.propagation(Slots(**fields), None)  # type: ignore[arg-type]
    odds, where, where_scale, code, code_scale, _ = after
    goes_on = torch.sigmoid(odds)[:, 0]
    raw = where[:, 0] + where_scale[:, 0] * torch.randn(draws, 4)
    what = code[:, 0] + code_scale[:, 0] * torch.randn_like(code[:, 0])
    gone_on = likelihood(model, frames[1], painted(model, raw, what))
    lost = (1 - goes_on).log() + begun
    cases = [
        math.log((1 - first) * (1 - later)) + empty[0] + empty[1],
        math.log((1 - first) * later) + empty[0] + mean(new[1]),
        math.log(first) + mean(goes_on.log() + begun + gone_on),
        math.log(first * (1 - later)) + mean(lost) + empty[1],
        math.log(first * later) + mean(lost) + mean(new[1]),
    ]
    return float(torch.logsumexp(torch.tensor(cases), 0))


@torch.no_grad()
def test_bounds_against_the_exact_evidence() -> None:
    model, guide = pair(objects=1, sigma=1.5, what=1)
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(7), indexing="ij")
    spot = ((rows - 3) ** 2 + (columns - 3) ** 2 < 5).float()
    video = torch.stack((spot, 0.5 * spot))[None, :, None]
    # A posterior that is wide, as the exact one is where pixels are noisy.
    guide.discovery.where[-1].bias[4:] = 3.5
    guide.propagation.where[-1].bias[4:] = 4.0
    guide.reader.head.bias[1:] = 1.5
    guide.propagation.gates.bias.fill_(-1.0)
    torch.manual_seed(0)
    evidence = exact_evidence(model, video)
    torch.manual_seed(1)
    bounds = []
    for particles in (1, 5, 20000):
        videos = video.repeat(2000 if particles < 9 else 1, 1, 1, 1, 1)
        loss = Iwae(num_particles=particles).loss(model, guide, videos)
        bounds.append(-loss / len(videos))
    assert bounds[0] < bounds[1] - 0.05 < bounds[2] - 0.05
    assert bounds[1] < evidence - 0.02
    assert bounds[2] == pytest.approx(evidence, abs=0.1)
    trace = poutine.trace(model).get_trace(video.repeat(20000, 1, 1, 1, 1))
    trace.compute_log_prob()
    frames = sum(trace.nodes[f"x_{t}"]["log_prob"][:, 0] for t in range(2))
    from_the_prior = float(torch.logsumexp(frames, 0)) - math.log(20000)
    assert from_the_prior == pytest.approx(evidence, abs=0.03)


class Plain(Iwae):
    """The same bound; a score is weighted by the bound itself."""


def test_the_gradient_through_presence() -> None:
    """VIMCO's and the plain one are both unbiased; VIMCO's has the smaller variance."""
    model, guide = pair(objects=1)
    video = torch.rand(1, 2, 1, *SIZE).expand(300, -1, -1, -1, -1)
    wanted = (guide.discovery.presence[-1].bias, guide.propagation.presence[-1].bias)

    def slopes(estimator: ParticleEstimator) -> Tensor:
        found = []
        for _ in range(30):
            loss = estimator.differentiable_loss(model, guide, video) / len(video)
            found.append(torch.cat(torch.autograd.grad(loss, wanted)))
        return torch.stack(found)

    torch.manual_seed(0)
    plain, vimco = slopes(Plain(num_particles=3)), slopes(Vimco(num_particles=3))
    error = (plain.var(0) + vimco.var(0)).div(30).sqrt()
    assert ((plain.mean(0) - vimco.mean(0)).abs() < 4 * error).all()
    assert (vimco.var(0) < 0.5 * plain.var(0)).all()
    assert (vimco.mean(0).abs() > 4 * (vimco.var(0) / 30).sqrt()).any()
