"""The guide agrees with the model on every site, learns everywhere, and looks where it should."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import NO_RULES, Build, Pair
from pyro import poutine
from pyro.poutine import Trace
from torch import Tensor, nn
from torch.distributions import kl_divergence

from scalor_ppl.inference.posterior import infer
from scalor_ppl.nn.distributions import Presence
from scalor_ppl.nn.modes import MostLikely
from scalor_ppl.nn.pixels import to_frames, to_video
from scalor_ppl.objectives.estimators import make_estimator
from scalor_ppl.programs.once import Once
from scalor_ppl.scalor.priors import ConstantDiscovery, ObjectDistributions
from scalor_ppl.scalor.readout import tracks_of
from scalor_ppl.scalor.settings import RulesConfig
from scalor_ppl.scalor.slots import Objects
from scalor_ppl.scalor.views import difference_to_template, encoder_input

KINDS = ["relaxed", "hard"]
SWITCHES = [
    {"mask": mask, "attention": attention, "encoder": encoder}
    for mask, attention, encoder in itertools.product(
        ("presence", "everywhere"), (True, False), ("fc", "conv")
    )
]
MODELS = [
    {"background": background, "presence": kind, "decoder": decoder, "rules": rules}
    for background, kind, decoder, rules in itertools.product(
        ("none", "vae"), KINDS, ("fc", "conv"), (RulesConfig(), NO_RULES)
    )
]


def pair_of(build: Build, switches: dict[str, Any], **model: Any) -> Pair:
    rules = model.pop("rules", None)
    settings = model if rules is None else model | {"rules": rules is not NO_RULES}
    return build(guide=switches, **settings)


def latents(trace: Trace) -> dict[str, Any]:
    return {
        name: site
        for name, site in trace.nodes.items()
        if site["type"] == "sample"
        and not site["is_observed"]
        and type(site["fn"]).__name__ != "_Subsample"
    }


def both_traces(pair: Pair, video: Tensor) -> tuple[Trace, Trace]:
    guide = poutine.trace(pair.guide).get_trace(video)
    model = poutine.trace(poutine.replay(pair.model, trace=guide)).get_trace(video)
    return model, guide


def without_gradient(*modules: nn.Module) -> set[str]:
    return {
        name
        for module in modules
        for name, parameter in module.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    }


# ---------------------------------------------------------------- agreement and gradients


@pytest.mark.parametrize("model", MODELS, ids=lambda m: "-".join(map(str, list(m.values())[:3])))
def test_guide_and_model_agree_on_every_site(build: Build, model: dict[str, Any]) -> None:
    for switches in SWITCHES:
        pair = pair_of(build, switches, **model)
        video = pair.video(3, 3)
        with warnings.catch_warnings():
            # Pyro only warns of a site that is missing on one side.
            warnings.simplefilter("error")
            loss = make_estimator("elbo")(pair.model, pair.guide)(video)
        assert torch.isfinite(loss)
        model_trace, guide_trace = both_traces(pair, video)
        ours, theirs = latents(model_trace), latents(guide_trace)
        assert set(ours) == set(theirs)
        count = 3 * 4 + 2 * 4 + (3 if pair.model.background is not None else 0)
        assert len(ours) == count
        model_trace.compute_log_prob()
        guide_trace.compute_log_prob()
        for name, site in ours.items():
            other = theirs[name]
            assert site["value"] is other["value"], name
            assert site["fn"].batch_shape == other["fn"].batch_shape, name
            assert site["fn"].event_shape == other["fn"].event_shape, name
            assert [f.name for f in site["cond_indep_stack"]] == [
                f.name for f in other["cond_indep_stack"]
            ], name
            if site["mask"] is None:
                assert other["mask"] is None, name
            else:
                assert torch.equal(site["mask"], other["mask"]), name
            for each in (site, other):
                assert torch.isfinite(each["log_prob"]).all(), name
        # What they return are the same trackers.
        for one, other_one in zip(
            model_trace.nodes["_RETURN"]["value"].trackers,
            guide_trace.nodes["_RETURN"]["value"].trackers,
            strict=True,
        ):
            assert one is other_one


@pytest.mark.parametrize("estimator", ["elbo", "scalor"])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: "-".join(map(str, list(m.values())[:3])))
def test_gradients_reach_every_parameter(
    build: Build, model: dict[str, Any], estimator: str
) -> None:
    for switches in SWITCHES[:4] if model["decoder"] == "fc" else SWITCHES[4:]:
        pair = pair_of(build, switches, **model)
        make_estimator(estimator)(pair.model, pair.guide)(pair.video(4, 4)).backward()
        assert without_gradient(pair.model, pair.guide) == set()
        for module in (pair.model, pair.guide):
            for name, parameter in module.named_parameters():
                assert parameter.grad is not None
                assert torch.isfinite(parameter.grad).all(), name


def test_one_frame_teaches_all_but_what_carries_time(build: Build) -> None:
    pair = build(background="vae")
    make_estimator("elbo")(pair.model, pair.guide)(pair.video(4, 1)).backward()
    idle = without_gradient(pair.model, pair.guide)
    # Both sides' propagation, the first step of recurrences from zero, and the mask encoder's
    # first weights, since no object was propagated and the mask is black.
    assert {name for name in idle if not name.startswith("propagation.")} == {
        "features.lstm.from_state.weight",
        "background.cell.weight_ih",
        "background.cell.weight_hh",
        "background.cell.bias_ih",
        "background.cell.bias_hh",
        "proposal.mask_encoder.layers.0.weight",
    }


def test_model_and_guide_have_no_parameter_in_common(build: Build) -> None:
    pair = build(background="vae")
    shared = {id(p) for p in pair.model.parameters()} & {id(p) for p in pair.guide.parameters()}
    assert not shared
    assert not any(name.startswith("_model") for name, _ in pair.guide.named_parameters())


UNUSUAL: dict[str, dict[str, Any]] = {
    "one cell": {"grid": (1, 1)},
    "one slot": {"capacity": 1},
    "one of each": {"grid": (1, 1), "capacity": 1},
    "more slots than cells": {"grid": (1, 2), "capacity": 7},
    "grey": {"channels": 1},
    "wide": {"height": 48, "width": 80, "grid": (3, 5)},
    "odd": {"height": 17, "width": 23, "grid": (2, 3), "glimpse": (5, 7)},
}


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("switches", [SWITCHES[0], SWITCHES[-1]], ids=["default", "paper-ish"])
@pytest.mark.parametrize("settings", UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_shapes(
    build: Build, settings: dict[str, Any], switches: dict[str, Any], frames: int
) -> None:
    pair = build(guide=switches, background="vae", **settings)
    video = pair.video(2, frames)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = make_estimator("elbo")(pair.model, pair.guide)(video)
    loss.backward()
    assert torch.isfinite(loss)
    model_trace, guide_trace = both_traces(pair, video)
    assert set(latents(model_trace)) == set(latents(guide_trace))
    assert guide_trace.nodes["z_where_disc_0"]["value"].shape == (2, pair.model.cells, 4)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_blank_video(build: Build, level: float) -> None:
    pair = build(background="vae")
    video = torch.full((2, 3, 3, 16, 16), level)
    loss = make_estimator("elbo")(pair.model, pair.guide)(video)
    loss.backward()
    assert torch.isfinite(loss)
    for parameter in pair.guide.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


# ---------------------------------------------------------------- memoisation


@pytest.mark.parametrize("estimator", ["elbo", "scalor"])
@pytest.mark.parametrize("switches", [SWITCHES[0], SWITCHES[-1]])
def test_remembering_changes_nothing(
    build: Build, switches: dict[str, Any], estimator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = build(guide=switches, background="vae")
    video = pair.video(3, 4)
    parameters = [*pair.model.parameters(), *pair.guide.parameters()]
    results = []
    for remembered in (True, False):
        if not remembered:
            monkeypatch.setattr(Once, "__call__", lambda _, function, *rest: function(*rest))
        torch.manual_seed(2)
        loss = make_estimator(estimator)(pair.model, pair.guide)(video)
        results.append((loss, torch.autograd.grad(loss, parameters, allow_unused=True)))
    (loss, slopes), (plain_loss, plain_slopes) = results
    torch.testing.assert_close(loss, plain_loss, rtol=1e-5, atol=0)
    for slope, plain in zip(slopes, plain_slopes, strict=True):
        assert (slope is None) == (plain is None)
        if slope is not None:
            scale = plain.abs().max().clamp(min=1e-3)
            torch.testing.assert_close(slope / scale, plain / scale, rtol=1e-5, atol=2e-5)


def test_shared_work_is_done_once(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = build()
    calls: list[int] = []
    decode = pair.model.decode

    def counted(what: Tensor) -> Tensor:
        calls.append(what.shape[1])
        return decode(what)

    monkeypatch.setattr(pair.model, "decode", counted)
    both_traces(pair, pair.video(2, 3))
    # Two frames of trackers and three of proposals, not twice as many.
    assert sorted(calls) == [3, 3, 4, 4, 4]


def test_mixed_precision_is_near(build: Build) -> None:
    pair = build(guide={"encoder": "conv"}, decoder="conv", presence="hard")
    video = pair.video(3, 2)
    scenes = []
    for mixed in (False, True):
        pair.model.mixed = mixed
        scenes.append(infer(pair.model, pair.guide, video).image)
        assert torch.isfinite(make_estimator("elbo")(pair.model, pair.guide)(video))
    assert scenes[1].dtype == torch.float32
    assert not torch.equal(*scenes)
    torch.testing.assert_close(*scenes, rtol=0, atol=0.05)


def test_nothing_is_carried_from_step_to_step(build: Build) -> None:
    pair = build()
    video = pair.video(2, 3)
    objective = make_estimator("elbo")(pair.model, pair.guide)
    torch.manual_seed(1)
    before = objective(video)
    objective(pair.video(3, 2, seed=5))
    poutine.trace(pair.guide).get_trace(video)  # a guide without its model leaves results behind
    torch.manual_seed(1)
    assert torch.equal(objective(video), before)
    assert not pair.model.once._results


# ---------------------------------------------------------------- determinism and modes


def test_deterministic_by_seed(build: Build) -> None:
    pair = build(background="vae")
    video = pair.video(2, 3)
    runs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        runs.append({n: s["value"] for n, s in latents(both_traces(pair, video)[1]).items()})
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not any(torch.equal(runs[0][name], runs[2][name]) for name in runs[0])


@pytest.mark.parametrize("kind", KINDS)
def test_most_likely_is_the_same_every_time(build: Build, kind: str) -> None:
    pair = build(background="vae", presence=kind)
    video = pair.video(2, 3)
    scenes = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        scenes.append(infer(pair.model, pair.guide, video))
    assert torch.equal(scenes[0].image, scenes[1].image)
    for one, other in zip(scenes[0].trackers, scenes[1].trackers, strict=True):
        assert torch.equal(one.ids, other.ids)
        assert torch.equal(one.objects.where, other.objects.where)
    assert not torch.equal(infer(pair.model, pair.guide, video, sample=True).image, scenes[0].image)


@pytest.mark.parametrize("kind", KINDS)
def test_most_likely_takes_modes(build: Build, kind: str) -> None:
    pair = build(background="vae", presence=kind)
    trace = poutine.trace(MostLikely()(pair.guide)).get_trace(pair.video(2, 3))
    for name, site in latents(trace).items():
        if "pres" in name:
            likely = site["fn"].logits > 0
            assert torch.equal(pair.model.presence.weight(site["value"]) > 0.5, likely), name
        else:
            assert torch.equal(site["value"], site["fn"].mean), name


def test_most_likely_of_an_even_chance_is_a_number() -> None:
    # torch's Bernoulli.mode is NaN there.
    with MostLikely():
        value = pyro.sample("z_pres_disc_0", dist.Bernoulli(logits=torch.zeros(3)))
    assert ((value == 0) | (value == 1)).all()


def test_inference_goes_on_beyond_the_video(build: Build) -> None:
    pair = build(background="vae")
    scene = infer(pair.model, pair.guide, pair.video(2, 2), frames=4, discovery=[None, None, 0, 0])
    assert scene.image.shape == (2, 4, 3, 16, 16)
    assert len(scene.trackers) == 4
    assert not any(each.discovered.any() for each in scene.trackers[2:])


@pytest.mark.parametrize("switches", SWITCHES[:4], ids=str)
def test_videos_of_a_batch_do_not_know_of_each_other(
    build: Build, switches: dict[str, Any]
) -> None:
    pair = build(guide=switches, background="vae")
    video = pair.video(3, 3)
    together = infer(pair.model, pair.guide, video)
    for b in range(3):
        alone = infer(pair.model, pair.guide, video[b : b + 1])
        torch.testing.assert_close(alone.image[0], together.image[b], atol=1e-5, rtol=1e-4)
        for single, joint in zip(alone.trackers, together.trackers, strict=True):
            assert torch.equal(single.ids[0], joint.ids[b])


def test_video_and_frames() -> None:
    frames = torch.randint(0, 256, (2, 3, 5, 7, 3), dtype=torch.uint8).numpy()
    video = to_video(frames, torch.device("cpu"))
    assert video.shape == (2, 3, 3, 5, 7)
    assert video.min() >= 0
    assert video.max() <= 1
    assert (to_frames(video) == frames).all()


def test_tracks(build: Build) -> None:
    pair = build()
    scene = infer(pair.model, pair.guide, pair.video(2, 3))
    tracks = tracks_of(scene.trackers, pair.model.size)
    assert len(tracks) == 2
    for b, each in enumerate(tracks):
        for t, trackers in enumerate(scene.trackers):
            assert each.ids[t].tolist() == trackers.ids[b].tolist()
            where = trackers.objects.where[b]
            # Centres of the boxes in pixels of a view of 16 x 16.
            centre = torch.from_numpy(each.boxes[t, :, :2] + each.boxes[t, :, 2:] / 2)
            torch.testing.assert_close(centre, (where[:, :2] + 1) * 8)


# ---------------------------------------------------------------- absent proposals


def given(pair: Pair, video: Tensor, weight: float, frame: int = 0) -> Trace:
    """The guide's trace with z_pres of one frame's proposals at a wanted value."""
    there = torch.full((len(video), pair.model.cells), weight)
    data = {f"z_pres_disc_{frame}": pair.model.presence.value(there)}
    return poutine.trace(poutine.condition(pair.guide, data=data)).get_trace(video)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mask", ["presence", "everywhere"])
def test_an_absent_proposal_costs_nothing(build: Build, kind: str, mask: str) -> None:
    pair = build(guide={"mask": mask}, presence=kind)
    video = pair.video(3, 1)
    prior = pair.model.discovery(pair.model.presence, (3, 4))
    weights = [0.0, 1.0] if kind == "hard" else [0.0, 0.1, 0.5, 0.9, 1.0]
    for latent in ("where", "depth", "what"):
        costs = []
        for weight in weights:
            fn = given(pair, video, weight).nodes[f"z_{latent}_disc_0"]["fn"]
            costs.append(kl_divergence(fn, getattr(prior, latent)))
        assert (costs[0].abs() < 1e-5).all()
        assert (costs[-1] > 0.5).all()
        for less, more in itertools.pairwise(costs):
            assert (less <= more).all()


class OtherPrior(ConstantDiscovery):
    """Where, depth and what are not standard normal."""

    def forward(
        self,
        presence: Presence,
        shape: tuple[int, int],
        rate: float | None = None,
        frame: int = 0,
        tracked: Objects | None = None,
    ) -> ObjectDistributions:
        return ObjectDistributions(
            super().forward(presence, shape, rate, frame).presence,
            dist.Normal(torch.full((*shape, 4), 0.7), 0.3).to_event(1),
            dist.Normal(torch.full(shape, -1.0), 2.0),
            dist.Normal(torch.full((*shape, self.config.what), 0.2), 0.9).to_event(1),
        )


@pytest.mark.parametrize("mask", ["presence", "everywhere"])
def test_absent_proposals_follow_an_exchanged_prior(build: Build, mask: str) -> None:
    pair = build(guide={"mask": mask})
    pair.model.discovery = OtherPrior(pair.model.config)
    prior = pair.model.discovery(pair.model.presence, (2, 4))
    nodes = given(pair, pair.video(2, 1), 0.0).nodes
    for latent in ("where", "depth", "what"):
        cost = kl_divergence(nodes[f"z_{latent}_disc_0"]["fn"], getattr(prior, latent))
        assert (cost.abs() < 1e-4).all()


def test_present_proposals_have_the_unmixed_posterior(build: Build) -> None:
    pair = build(presence="hard")
    video = pair.video(2, 1)
    features = pair.guide.features(video)[0].flatten(3).transpose(2, 3)
    proposal = pair.guide.proposal
    proposed = proposal.propose(proposal.aggregate(features[:, 0]))
    boxes = pair.model.proposed_where(proposed.loc[..., :4])
    _, what, _ = pair.guide.glimpses(video[:, 0], boxes)
    nodes = given(pair, video, 1.0).nodes
    torch.testing.assert_close(nodes["z_where_disc_0"]["fn"].mean, proposed.loc[..., :4])
    torch.testing.assert_close(nodes["z_depth_disc_0"]["fn"].mean, proposed.loc[..., 4])
    torch.testing.assert_close(nodes["z_what_disc_0"]["fn"].mean, what)
    scale = nodes["z_where_disc_0"]["fn"].variance.sqrt()
    torch.testing.assert_close(scale, proposed.scale[..., :4])


@pytest.mark.parametrize("mask", ["presence", "everywhere"])
def test_only_candidates_are_looked_at(build: Build, mask: str) -> None:
    # Of four cells the two strongest are decoded by the model: theirs is the posterior that all
    # would have if all were decoded, and the what of the others follows the prior.
    few, all_of_them = (build(guide={"mask": mask}, proposals=count) for count in (2, None))
    all_of_them.guide.load_state_dict(few.guide.state_dict())
    all_of_them.model.load_state_dict(few.model.state_dict())
    video = few.video(2, 1)
    weights = torch.tensor([[0.9, 0.2, 0.3, 0.8], [0.1, 0.6, 0.7, 0.4]])
    candidates = torch.tensor([[0, 3], [1, 2]])
    others = torch.tensor([[1, 2], [0, 3]])
    seen = []
    for pair in (few, all_of_them):
        data = {"z_pres_disc_0": pair.model.presence.value(weights)}
        torch.manual_seed(1)
        trace = poutine.trace(poutine.condition(pair.guide, data=data)).get_trace(video)
        seen.append(trace.nodes["z_what_disc_0"]["fn"].base_dist)
    prior = few.model.discovery(few.model.presence, (2, 4)).what.base_dist
    for name in ("loc", "scale"):
        kept, every, known = (getattr(fn, name) for fn in (*seen, prior))
        for rows, expected in ((candidates, every), (others, known)):
            rows = rows[..., None].expand(-1, -1, kept.shape[-1])
            torch.testing.assert_close(
                kept.gather(1, rows), expected.expand_as(kept).gather(1, rows)
            )


def test_log_odds_never_saturate(build: Build) -> None:
    pair = build()
    head: Any = pair.guide.proposal.presence[-1]
    for bias in (-1e4, 1e4):
        nn.init.constant_(head.bias, bias)
        logits = (
            poutine.trace(pair.guide)
            .get_trace(pair.video(1, 1))
            .nodes["z_pres_disc_0"]["fn"]
            .logits
        )
        torch.testing.assert_close(logits, torch.full_like(logits, 8.8 if bias > 0 else -8.8))


# ---------------------------------------------------------------- what sees what


def test_the_guide_does_not_see_the_future(build: Build) -> None:
    # q(z_t | z_<t, x_<=t), equations 7 and 8.
    for switches in SWITCHES[:4]:
        pair = build(guide=switches, background="vae")
        video = pair.video(2, 3)
        other = video.clone()
        other[:, 2] = 1 - other[:, 2]
        runs = []
        for each in (video, other):
            torch.manual_seed(5)
            runs.append(latents(poutine.trace(pair.guide).get_trace(each)))
        for name in runs[0]:
            same = torch.equal(runs[0][name]["value"], runs[1][name]["value"])
            if not name.startswith("z_bg"):
                assert same == (not name.endswith("_2")), name
            elif not name.endswith("_2"):
                # Drawn after all frames, from the same random numbers.
                assert same, name


@pytest.mark.parametrize("mask", ["presence", "everywhere"])
def test_who_sees_the_propagation_mask(build: Build, mask: str) -> None:
    pair = build(guide={"mask": mask}, capacity=4, rules=False)
    video = pair.video(2, 2)
    there = torch.ones(2, 4)
    traces = []
    for first in (0.0, 1.0):
        data = {
            "z_pres_disc_0": pair.model.presence.value(there * first),
            "z_pres_disc_1": pair.model.presence.value(there),
            # The trackers' sites draw from the same random numbers in both runs.
            "z_pres_prop_1": pair.model.presence.value(there),
        }
        torch.manual_seed(0)
        traces.append(poutine.trace(poutine.condition(pair.guide, data=data)).get_trace(video))
    empty, full = (trace.nodes for trace in traces)
    presence = [each["z_pres_disc_1"]["fn"].logits for each in (empty, full)]
    assert not torch.equal(*presence)
    for name in ("z_where_disc_1", "z_depth_disc_1"):
        locations = [each[name]["fn"].mean for each in (empty, full)]
        assert torch.equal(*locations) == (mask == "presence"), name
    if mask == "presence":
        assert torch.equal(empty["z_what_disc_1"]["fn"].mean, full["z_what_disc_1"]["fn"].mean)


@pytest.mark.parametrize("blind", [True, False])
def test_colour_blind_features_find_bright_for_dark(build: Build, blind: bool) -> None:
    pair = build(background="template", guide={"difference": True, "colour_blind": blind})
    template = pair.model.template
    assert template is not None
    scene = torch.sigmoid(template.logits(None, pair.model.size)).detach()[:, None]
    difference = 0.2 * (pair.video(2, 1) - 0.5)
    found, looks = [], []
    for video in (scene + difference, scene - difference):
        trace = poutine.trace(pair.guide).get_trace(video)
        found.append(trace.nodes["z_pres_disc_0"]["fn"].logits)
        looks.append(trace.nodes["z_what_disc_0"]["fn"].mean)
    assert torch.allclose(found[0], found[1], atol=1e-5) == blind
    assert not torch.allclose(looks[0], looks[1], atol=1e-5)


@pytest.mark.parametrize("blind", [True, False])
def test_outlines_of_bright_and_dark_are_one(build: Build, blind: bool) -> None:
    pair = build(
        background="template", outline=2, guide={"difference": True, "colour_blind": blind}
    )
    template = pair.model.template
    assert template is not None
    scene = torch.sigmoid(template.logits(None, pair.model.size)).detach()[:, None]
    difference = 0.2 * (pair.video(2, 1) - 0.5)
    looks = []
    for video in (scene + difference, scene - difference):
        apart = difference_to_template(pair.model, video, None)
        view = encoder_input(video, apart, pair.model, pair.guide.config)
        where = torch.tensor([0.1, -0.2, 0.4, 0.5]).expand(2, 3, 4)
        looks.append(pair.guide.glimpses(view[:, 0], where)[1:])
    for bright, dark in zip(*looks, strict=True):
        assert bright.shape == (2, 3, pair.model.config.what)
        assert torch.allclose(bright[..., :2], dark[..., :2], atol=1e-5) == blind
        assert not torch.allclose(bright[..., 2:], dark[..., 2:], atol=1e-5)


def test_attention_reads_half_the_map_about_the_last_position(build: Build) -> None:
    pair = build(grid=(4, 4), capacity=5)
    parts = pair.guide.propagation
    assert parts.window == (2, 2)
    trackers = infer(pair.model, pair.guide, pair.video(1, 1)).trackers[0]
    centres = torch.tensor([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5], [0.0, 0.0]])
    where = torch.cat((centres, torch.full((5, 2), 0.2)), -1)[None]
    trackers = trackers._replace(objects=trackers.objects._replace(where=where))
    features = parts.project(torch.randn(1, pair.guide.features.width, 4, 4))
    seen = parts.look_around(features, trackers)
    # At these positions the window falls on cells exactly: the quarters and the middle.
    quarters = [
        features[:, :, y : y + 2, x : x + 2] for y, x in ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1))
    ]
    expected = nn.functional.celu(parts.look(torch.stack(quarters, 1)))
    torch.testing.assert_close(seen, expected)


def test_without_attention_trackers_see_the_whole_map(build: Build) -> None:
    pair = build(guide={"attention": False}, grid=(3, 4), height=24, width=32)
    parts = pair.guide.propagation
    trackers = infer(pair.model, pair.guide, pair.video(1, 1)).trackers[0]
    features = parts.project(torch.randn(1, pair.guide.features.width, 3, 4))
    seen = parts.look_around(features, trackers)
    expected = nn.functional.celu(parts.look(features))
    torch.testing.assert_close(seen, expected[:, None].expand_as(seen))


def test_the_glimpse_is_read_where_the_object_is(build: Build) -> None:
    pair = build(glimpse=(4, 4), object_width=(3.0, 5.0), object_height=(3.0, 5.0))
    seen: list[Tensor] = []
    encoder = pair.guide.glimpses.encoder
    encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = torch.rand(1, 3, 16, 16)
    # A box of 4 x 4 pixels whose left upper corner is pixel (x 6, y 3).
    where = torch.tensor([[[(6 + 2) / 8 - 1, (3 + 2) / 8 - 1, 0.25, 0.25]]])
    encoding, loc, scale = pair.guide.glimpses(image, where)
    torch.testing.assert_close(seen[0], image[:, :, 3:7, 6:10])
    assert encoding.shape == (1, 1, 8)
    assert loc.shape == scale.shape == (1, 1, 3)


def test_the_background_sees_what_objects_leave_open(build: Build) -> None:
    pair = build(background="vae")
    seen: list[Tensor] = []
    encoder = pair.guide.background.encoder
    encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    video = pair.video(2, 3)
    model_trace, _ = both_traces(pair, video)
    scene = model_trace.nodes["_RETURN"]["value"]
    torch.testing.assert_close(seen[0][:, :3], video.flatten(0, 1))
    torch.testing.assert_close(seen[0][:, 3:], 1 - scene.mask.flatten(0, 1))


def test_carried_states_follow_their_objects(build: Build) -> None:
    # Two objects whose slots are exchanged between frames keep their own recurrent state.
    pair = build(rules=False, presence="hard", capacity=2, grid=(1, 2))
    model = pair.model
    proposals: Callable[..., Any] = model.updated_trackers
    raw, what = torch.zeros(1, 2, 4), torch.randn(1, 2, 3)
    one = proposals(None, None, torch.tensor([[0.0, 1.0]]), raw, torch.zeros(1, 2), what)
    newborn = torch.tensor([[[10.0], [20.0]]])
    h = model.carry(one, None, newborn)
    assert h[one.alive].tolist() == [[20.0]]
    moved = model.moved_objects(one, one.alive.float(), raw, torch.zeros(1, 2), what)
    two = proposals(one, moved, torch.tensor([[1.0, 0.0]]), raw, torch.zeros(1, 2), what)
    h = model.carry(two, h, newborn + 100)
    state = dict(zip(two.ids[0].tolist(), h[0, :, 0].tolist(), strict=True))
    assert state == {0: 20.0, 1: 110.0}
