"""The generative program alone: its statistics, its sites, interventions, and unusual shapes."""

from __future__ import annotations

import math
import re
from typing import Any

import pyro
import pytest
import reference_renderer
import torch
from conftest import NO_RULES, Build, Pair
from pyro import poutine
from pyro.infer import Trace_ELBO
from pyro.poutine import Trace
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import scalor_ppl.models.scalor as program
from scalor_ppl.models.scalor import Scalor, Scene
from scalor_ppl.programs.loader import load_guide, load_model
from scalor_ppl.render.boxes import cell_centres, cell_size
from scalor_ppl.render.glimpses import use_backend
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.scalor.settings import ModelConfig

KINDS = ["relaxed", "hard"]


def trace_of(model: Any, *args: Any, **options: Any) -> tuple[Trace, Scene]:
    trace = poutine.trace(model).get_trace(*args, **options)
    return trace, trace.nodes["_RETURN"]["value"]


def sites(trace: Trace) -> dict[str, Any]:
    """Sample sites without the plates' own."""
    return {
        name: site
        for name, site in trace.nodes.items()
        if site["type"] == "sample" and type(site["fn"]).__name__ != "_Subsample"
    }


def values(trace: Trace) -> dict[str, Tensor]:
    return {name: site["value"] for name, site in sites(trace).items()}


def close_to_rate(found: int, count: int, rate: float) -> bool:
    """Within four standard deviations of a binomial."""
    return abs(found - rate * count) <= 4 * math.sqrt(count * rate * (1 - rate))


def nothing_learned(model: Scalor, survival: float) -> None:
    """The propagation prior with its head at zero: persistence, and survival with one rate."""
    prior: Any = model.propagation
    nn.init.zeros_(prior.head[-1].weight)
    nn.init.zeros_(prior.head[-1].bias)
    prior.survival = math.log(survival / (1 - survival))


# ---------------------------------------------------------------- statistics


@pytest.mark.parametrize("kind", KINDS)
def test_cells_discover_at_the_priors_rate(build: Build, kind: str) -> None:
    model = build(presence=kind, rules=False, grid=(3, 4), capacity=12, discovery_rate=0.3).model
    _, scene = trace_of(model, videos=800, frames=1)
    found = scene.trackers[0].discovered
    assert close_to_rate(int(found.sum()), 800 * 12, 0.3)
    # Every cell alike.
    cell = scene.trackers[0].origin.reshape(800, 12) % 12
    counts = torch.zeros(800, 12).scatter_(1, cell, found.float()).sum(0)
    assert all(close_to_rate(int(count), 800, 0.3) for count in counts)


@pytest.mark.parametrize("kind", KINDS)
def test_rates_given_per_frame(build: Build, kind: str) -> None:
    pair = build(presence=kind, rules=False, capacity=8, discovery_rate=0.3)
    _, scene = trace_of(pair.model, videos=1000, frames=3, discovery=[0.2, 0, None])
    first, second, third = scene.trackers
    assert close_to_rate(int(first.discovered.sum()), 4000, 0.2)
    assert second.discovered.sum() == 0
    # Eight slots hold what survives (four at most) and all four cells' proposals.
    assert close_to_rate(int(third.discovered.sum()), 4000, 0.3)


def test_the_annealed_rate_and_temperature_drive_the_program(build: Build) -> None:
    model = build(rules=False, capacity=4).model
    model.anneal(temperature=0.17, discovery_rate=0.02)
    trace, scene = trace_of(model, videos=2000, frames=2)
    assert close_to_rate(int(scene.trackers[0].discovered.sum()), 8000, 0.02)
    for name in ("z_pres_disc_0", "z_pres_prop_1"):
        assert trace.nodes[name]["fn"].temperature == 0.17


@pytest.mark.parametrize("kind", KINDS)
def test_objects_survive_at_the_priors_rate(build: Build, kind: str) -> None:
    model = build(presence=kind, rules=False, capacity=4).model
    nothing_learned(model, 0.7)
    _, scene = trace_of(model, videos=1500, frames=4, discovery=[0.5, 0, 0, 0])
    for early, late in zip(scene.trackers, scene.trackers[1:], strict=False):
        there = int(early.alive.sum())
        assert there > 100
        assert close_to_rate(int(late.alive.sum()), there, 0.7)
        # Nothing else is alive than what was.
        for before, after in zip(early.ids[:50], late.ids[:50], strict=True):
            assert set(after.tolist()) <= set(before.tolist()) | {-1}


@pytest.mark.parametrize("reach", [0.5, 1.0])
def test_discovered_objects_lie_within_reach_of_their_cells(build: Build, reach: float) -> None:
    grid = (2, 4)
    model = build(
        rules=False, grid=grid, capacity=8, reach=reach, height=24, width=32, discovery_rate=0.5
    ).model
    _, scene = trace_of(model, videos=1000, frames=1)
    trackers = scene.trackers[0]
    cell = trackers.origin.reshape(1000, 8) % 8
    offset = (trackers.objects.where[..., :2] - cell_centres(grid)[cell]) / cell_size(grid)
    assert (offset.abs() <= reach).all()
    # reach * tanh of a standard normal: half of it within tanh(0.6745), evenly to both sides.
    for axis in range(2):
        inner = (offset[..., axis].abs() < reach * math.tanh(0.67449)).sum()
        assert close_to_rate(int(inner), 8000, 0.5)
        assert close_to_rate(int((offset[..., axis] > 0).sum()), 8000, 0.5)
    # Sizes between the bounds in pixels, the median in the middle.
    sizes = trackers.objects.where[..., 2:] * torch.tensor([32.0, 24.0])
    assert ((sizes >= 3) & (sizes <= 8)).all()
    for axis in range(2):
        assert close_to_rate(int((sizes[..., axis] > 5.5).sum()), 8000, 0.5)


def test_boxes_grow_with_nearness(build: Build) -> None:
    flat = build(rules=False, capacity=4, grid=(4, 2)).model
    steep = build(rules=False, capacity=4, grid=(4, 2), perspective=0.5).model
    (_, one), (_, two) = (
        trace_of(model, videos=200, frames=1, discovery=[0.5]) for model in (flat, steep)
    )
    for (trackers,) in (one.trackers, two.trackers):
        assert trackers.alive.any()
    place = two.trackers[0].objects.where[..., 1]
    assert place.max() > 0.7
    assert place.min() < -0.7
    raw = two.trackers[0].objects.raw[..., 2:]
    level = flat.low + (flat.high - flat.low) * torch.sigmoid(raw)
    expected = level * (1 + 0.5 * place.clamp(-1, 1))[..., None]
    torch.testing.assert_close(two.trackers[0].objects.where[..., 2:], expected)
    # Beyond the edges objects neither grow on nor turn inside out.
    far = steep.sizes(torch.tensor([[0.0, 3.0], [0.0, 1.0], [0.0, -3.0]]), torch.zeros(3, 2))
    torch.testing.assert_close(far[0], far[1])
    assert (far[2] > 0).all()


def test_movement_is_bounded_and_sizes_persist(build: Build) -> None:
    model = build(rules=False, capacity=4, max_step=0.1).model
    nothing_learned(model, 0.999)
    _, scene = trace_of(model, videos=1000, frames=2, discovery=[0.9, 0])
    first, second = scene.trackers
    stays = second.alive
    row = second.origin.reshape(1000, 4) % 8
    old = first.objects.where.gather(1, row.clamp(max=3)[..., None].expand(-1, -1, 4))
    assert (row[stays] < 4).all()
    step = (second.objects.where - old)[stays]
    assert (step[:, :2].abs() <= 0.1 + 1e-6).all()
    # max_step * tanh of a normal with softplus(-1) + 0.001.
    deviation = math.log1p(math.exp(-1)) + 0.001
    inner = (step[:, :2].abs() < 0.1 * math.tanh(0.67449 * deviation)).sum()
    assert close_to_rate(int(inner), 2 * len(step), 0.5)
    before = first.objects.raw.gather(1, row.clamp(max=3)[..., None].expand(-1, -1, 4))
    change = (second.objects.raw - before)[stays][:, 2:]
    assert change.abs().max() > 0
    assert abs(change.mean().item()) < 4 * deviation / math.sqrt(change.numel())
    assert abs(change.var().item() / deviation**2 - 1) < 4 * math.sqrt(2 / change.numel())


def test_rules_take_objects_away(build: Build) -> None:
    counts = {}
    for rules in (False, True):
        model = build(rules=rules, capacity=8, discovery_rate=0.5).model
        torch.manual_seed(0)
        _, scene = trace_of(model, videos=300, frames=3)
        counts[rules] = int(scene.trackers[-1].alive.sum())
    assert 0 < counts[True] < counts[False]


def test_the_pixels_are_normal_about_the_image(build: Build) -> None:
    model = build(sigma=0.3).model
    trace, scene = trace_of(model, videos=40, frames=2)
    for t in range(2):
        noise = trace.nodes[f"x_{t}"]["value"].squeeze(1) - scene.image[:, t]
        assert abs(noise.mean().item()) < 4 * 0.3 / math.sqrt(noise.numel())
        assert abs(noise.var().item() / 0.09 - 1) < 4 * math.sqrt(2 / noise.numel())


def test_the_program_does_not_see_the_video(build: Build) -> None:
    pair = build(background="vae")
    torch.manual_seed(1)
    one, _ = trace_of(pair.model, pair.video(2, 3, seed=1))
    torch.manual_seed(1)
    other, _ = trace_of(pair.model, pair.video(2, 3, seed=2))
    for name, value in values(one).items():
        assert torch.equal(value, values(other)[name]) != name.startswith("x_")


def test_deterministic_by_seed(build: Build) -> None:
    model = build(background="vae").model
    runs = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        runs.append(values(trace_of(model, videos=2, frames=3)[0]))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not any(torch.equal(runs[0][name], runs[2][name]) for name in runs[0])


# ---------------------------------------------------------------- sites as the docstring says


def documented() -> dict[str, list[str]]:
    """The table of the module docstring: site to symbols of its shape."""
    rows = re.findall(r"^``(\w+(?:\{t\})?)``\s+`*\[([^\]]*)\]`*", program.__doc__ or "", re.M)
    return {name: [symbol.strip() for symbol in shape.split(",")] for name, shape in rows}


def test_the_table_can_be_read() -> None:
    assert len(documented()) == 10


@pytest.mark.parametrize("background", ["none", "vae"])
@pytest.mark.parametrize("kind", KINDS)
def test_sites_are_those_of_the_table(build: Build, background: str, kind: str) -> None:
    model = build(
        background=background, presence=kind, height=24, width=32, grid=(2, 3), capacity=5
    ).model
    frames = 3
    sizes = {"B": 2, "K": 5, "N": 6, "D": 3, "E": 2, "C": 3, "H": 24, "W": 32, "4": 4, "1": 1}
    expected = {
        name.replace("{t}", str(t)): tuple(sizes[symbol] for symbol in symbols)
        for name, symbols in documented().items()
        for t in range(1 if "prop" in name else 0, frames)
        if background == "vae" or "bg" not in name
    }
    trace, _ = trace_of(model, videos=2, frames=frames)
    found = {name: tuple(value.shape) for name, value in values(trace).items()}
    assert found == expected
    plates = {"prop": {"videos", "trackers"}, "disc": {"videos", "cells"}}
    for name, site in sites(trace).items():
        names = {frame.name for frame in site["cond_indep_stack"] if frame.vectorized}
        phase = name.split("_")[-2]
        assert names == plates.get(phase, {"videos"}), name
        assert (site["mask"] is not None) == (phase == "prop"), name


def test_trackers_that_are_empty_do_not_exist(build: Build) -> None:
    model = build().model
    trace, scene = trace_of(model, videos=20, frames=2)
    trace.compute_log_prob()
    alive = scene.trackers[0].alive
    assert alive.any()
    assert not alive.all()
    for kind in ("pres", "where", "depth", "what"):
        density = trace.nodes[f"z_{kind}_prop_1"]["log_prob"]
        assert (density[~alive] == 0).all()
        assert (density[alive] != 0).all()


# ---------------------------------------------------------------- scene


def test_scene_shapes(build: Build) -> None:
    model = build(background="vae", height=24, width=32).model
    _, scene = trace_of(model, videos=2, frames=3)
    assert scene.image.shape == (2, 3, 3, 24, 32)
    assert scene.mask.shape == (2, 3, 1, 24, 32)
    assert scene.foreground.shape == (2, 3, 3, 24, 32)
    assert scene.background is not None
    assert scene.background.shape == (2, 3, 3, 24, 32)
    assert len(scene.trackers) == 3
    for part in (scene.image, scene.mask, scene.foreground, scene.background):
        assert ((part >= 0) & (part <= 1 + 1e-5)).all()
    figures = model.diagnostics(scene)
    alive = torch.stack([each.alive for each in scene.trackers])
    assert figures["objects"] == pytest.approx(alive.sum().item() / 6)
    found = torch.stack([each.discovered for each in scene.trackers])
    assert figures["discoveries"] == pytest.approx(found.sum().item() / 2)


@pytest.mark.parametrize("background", ["none", "vae"])
@pytest.mark.parametrize("decoder", ["fc", "conv"])
def test_frames_are_rendered_as_the_reference_does(
    build: Build, background: str, decoder: str
) -> None:
    model = build(background=background, decoder=decoder, height=24, width=32).model
    trace, scene = trace_of(model, videos=2, frames=3)
    for t, trackers in enumerate(scene.trackers):
        o = trackers.objects
        glimpse = torch.sigmoid(model.decoder(o.what.flatten(0, 1))).unflatten(0, (2, 3))
        torch.testing.assert_close(o.glimpse, glimpse)
        behind = None
        if scene.background is not None:
            code = trace.nodes[f"z_bg_{t}"]["value"].squeeze(1)
            behind = torch.sigmoid(model.background_decoder(code))
            torch.testing.assert_close(scene.background[:, t], behind)
        frame = reference_renderer.composite(
            o.colour, o.mask, o.presence, o.depth, o.where, behind, model.size
        )
        torch.testing.assert_close(scene.image[:, t], frame.image, atol=1e-4, rtol=0)
        torch.testing.assert_close(scene.mask[:, t], frame.mask, atol=1e-4, rtol=0)
        torch.testing.assert_close(scene.foreground[:, t], frame.foreground, atol=1e-4, rtol=0)
        mean = trace.nodes[f"x_{t}"]["fn"].mean.squeeze(1)
        assert torch.equal(mean, scene.image[:, t])


def test_a_frame_without_any_object_is_its_background(build: Build) -> None:
    for kind in KINDS:
        model = build(background="vae", presence=kind).model
        _, scene = trace_of(model, videos=2, frames=2, discovery=[0, 0])
        assert not any(each.alive.any() for each in scene.trackers)
        assert scene.background is not None
        torch.testing.assert_close(scene.image, scene.background, atol=1e-6, rtol=0)
        assert scene.mask.max() < 1e-6
    black = build().model
    _, scene = trace_of(black, videos=2, frames=2, discovery=[0, 0])
    assert scene.image.max() < 1e-6
    assert scene.background is None


# ---------------------------------------------------------------- conditions and interventions


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("handler", [poutine.condition, poutine.do])
def test_given_values_decide_the_scene(build: Build, kind: str, handler: Any) -> None:
    pair = build(presence=kind, rules=False, grid=(2, 2), capacity=4)
    model = pair.model
    there = torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0]])
    raw = torch.randn(2, 4, 4)
    what = torch.randn(2, 4, 3)
    depth = torch.randn(2, 4)
    data = {
        "z_pres_disc_0": model.presence.value(there),
        "z_where_disc_0": raw,
        "z_depth_disc_0": depth,
        "z_what_disc_0": what,
    }
    trace, scene = trace_of(handler(model, data=data), videos=2, frames=1)
    trackers = scene.trackers[0]
    assert trackers.alive.sum(1).tolist() == [2, 1]
    cell = trackers.origin.reshape(2, 4) % 4
    for b in range(2):
        for slot in range(4):
            n = int(cell[b, slot])
            weight = trackers.objects.presence[b, slot].item()
            assert weight == pytest.approx(there[b, n].item(), abs=1e-5)
            assert torch.equal(trackers.objects.what[b, slot], what[b, n])
            assert torch.equal(trackers.objects.depth[b, slot], depth[b, n])
            where = trackers.objects.where[b, slot]
            # Centres of a 2 x 2 grid are at +-1/2, cells are 1 wide, sizes 3 to 8 of 16 pixels.
            centre = torch.tensor([n % 2 - 0.5, n // 2 - 0.5]) + torch.tanh(raw[b, n, :2])
            size = (3 + 5 * torch.sigmoid(raw[b, n, 2:])) / 16
            torch.testing.assert_close(where, torch.cat((centre, size)))
            # What was just found has not moved.
            still = torch.cat((torch.zeros(2), raw[b, n, 2:]))
            assert torch.equal(trackers.objects.raw[b, slot], still)
    if handler is poutine.condition:
        assert trace.nodes["z_what_disc_0"]["is_observed"]
        exact = torch.distributions.Normal(0.0, 1.0).log_prob(depth).sum()
        trace.compute_log_prob()
        torch.testing.assert_close(trace.nodes["z_depth_disc_0"]["log_prob_sum"], exact)


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_taken_away_stays_away(build: Build, kind: str) -> None:
    pair = build(presence=kind, rules=False, capacity=4)
    model = pair.model
    nothing_learned(model, 0.9999)
    absent = model.presence.value(torch.tensor([[0.0, 1, 1, 1]]).expand(30, 4))
    acted = poutine.do(model, data={"z_pres_prop_1": absent})
    first, *later = trace_of(acted, videos=30, frames=4, discovery=[0.999, 0.3, 0.3, 0.3])[
        1
    ].trackers
    full = first.alive.all(1)
    assert full.sum() > 20
    for t, trackers in enumerate(later):
        for b in range(30):
            gone = first.ids[b, 0].item()
            assert gone == -1 or gone not in trackers.ids[b].tolist()
            if t == 0:
                assert set(first.ids[b, 1:].tolist()) - {-1} <= set(trackers.ids[b].tolist())


def test_all_objects_taken_away(build: Build) -> None:
    model = build(rules=False).model
    nobody = model.presence.value(torch.zeros(5, 3))
    acted = poutine.do(model, data={"z_pres_prop_1": nobody})
    _, scene = trace_of(acted, videos=5, frames=4, discovery=[0.9, 0, 0, 0])
    assert scene.trackers[0].alive.any()
    assert not any(each.alive.any() for each in scene.trackers[1:])
    assert scene.mask[:, 0].max() > 0.1
    assert scene.mask[:, 1:].max() < 1e-4


def test_an_intervention_on_appearance_changes_the_pixels_from_then_on(build: Build) -> None:
    model = build(rules=False).model
    nothing_learned(model, 0.9999)
    what = torch.full((2, 3, 3), 4.0)
    options: dict[str, Any] = {"videos": 2, "frames": 3, "discovery": [0.9, 0, 0]}
    scenes = []
    for data in ({}, {"z_what_prop_1": what}):
        torch.manual_seed(7)
        scenes.append(trace_of(poutine.do(model, data=data), **options)[1])
    plain, acted = scenes
    torch.testing.assert_close(plain.image[:, 0], acted.image[:, 0])
    assert (plain.image[:, 1] - acted.image[:, 1]).abs().max() > 0.01
    # Appearance persists: the next frame begins from what was put there.
    later = acted.trackers[2].objects.what[acted.trackers[2].alive]
    assert (later.mean() - 4.0).abs() < 0.5


def test_an_intervention_on_the_background(build: Build) -> None:
    model = build(background="vae").model
    code = torch.randn(2, 1, 2)
    trace, scene = trace_of(poutine.do(model, data={"z_bg_1": code}), videos=2, frames=3)
    assert scene.background is not None
    torch.testing.assert_close(
        scene.background[:, 1], torch.sigmoid(model.background_decoder(code.squeeze(1)))
    )
    # The transition starts from the value that was put there.
    prior: Any = model.background
    nn.init.zeros_(prior.head[-1].weight)
    trace, _ = trace_of(poutine.do(model, data={"z_bg_1": code}), videos=2, frames=3)
    torch.testing.assert_close(trace.nodes["z_bg_2"]["fn"].mean, code)


# ---------------------------------------------------------------- observed and free frames


def test_frames_beyond_the_observed_ones_are_sampled(build: Build) -> None:
    pair = build(background="vae")
    video = pair.video(2, 2)
    trace, scene = trace_of(pair.model, video, frames=5)
    assert len(scene.trackers) == 5
    assert scene.image.shape == (2, 5, 3, 16, 16)
    for t in range(5):
        site = trace.nodes[f"x_{t}"]
        assert site["is_observed"] == (t < 2)
        if t < 2:
            assert torch.equal(site["value"].squeeze(1), video[:, t])
        else:
            assert site["value"].shape == (2, 1, 3, 16, 16)


def test_the_likelihood_is_that_of_the_pixels(build: Build) -> None:
    pair = build(sigma=0.2)
    video = pair.video(3, 2)
    trace, scene = trace_of(pair.model, video)
    trace.compute_log_prob()
    normal = torch.distributions.Normal(scene.image, 0.2).log_prob(video).sum((2, 3, 4))
    for t in range(2):
        ours = trace.nodes[f"x_{t}"]["log_prob"]
        torch.testing.assert_close(ours, normal[:, t, None], rtol=1e-5, atol=1e-3)


# ---------------------------------------------------------------- unusual shapes

UNUSUAL: dict[str, dict[str, Any]] = {
    "one cell": {"grid": (1, 1)},
    "one slot": {"capacity": 1},
    "one of each": {"grid": (1, 1), "capacity": 1},
    "more slots than cells": {"grid": (1, 2), "capacity": 7},
    "grey": {"channels": 1},
    "wide": {"height": 48, "width": 80, "grid": (3, 5)},
    "odd": {"height": 17, "width": 23, "grid": (2, 3), "glimpse": (5, 7)},
    "rules off": {"rules": NO_RULES},
}


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_shapes(build: Build, settings: dict[str, Any], kind: str, frames: int) -> None:
    model = build(**{"presence": kind, "background": "vae"} | settings).model
    trace, scene = trace_of(model, videos=2, frames=frames)
    assert torch.isfinite(trace.log_prob_sum())
    assert scene.image.shape == (2, frames, model.channels, *model.size)
    assert torch.isfinite(scene.image).all()
    assert trace.nodes["z_pres_disc_0"]["value"].shape == (2, model.cells)
    assert scene.trackers[0].ids.shape == (2, model.config.capacity)


def test_the_size_must_be_known() -> None:
    with pytest.raises(ValueError, match="height, width and channels"):
        program.build_model(ScalorConfig(model=ModelConfig()))


def test_the_loader_builds_the_shipped_program(build: Build) -> None:
    config: ScalorConfig = build().config
    model = load_model(config)
    guide = load_guide(config, model)
    # The canonical classes, not copies of them.
    assert type(model) is Scalor
    assert guide.model is model
    pair = Pair(config, model, guide)
    assert guide(pair.video(1, 2)).trackers[1].ids.shape == (1, 3)


# ---------------------------------------------------------------- cost


def test_no_value_travels_to_the_host(build: Build) -> None:
    # Fake tensors have no values: an .item() or a shape that depends on one fails.
    pair = build(background="vae")
    torch.distributions.Distribution.set_default_validate_args(False)
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with pyro.validation_enabled(False), use_backend("torch"), fake:
        video = torch.rand(2, 3, 3, 16, 16)
        trace = poutine.trace(pair.guide).get_trace(video)
        scene = poutine.replay(pair.model, trace=trace)(video)
        assert scene.image.shape == (2, 3, 3, 16, 16)


def test_the_remembered_results_do_not_outlive_a_pass(build: Build) -> None:
    model = build().model
    trace_of(model, videos=1, frames=2)
    assert not model.once._results


def test_only_the_strongest_proposals_can_enter(build: Build) -> None:
    kwargs = {"grid": (3, 3), "capacity": 4, "discovery_rate": 0.9, "rules": False}
    free, limited = build(**kwargs), build(proposals=2, **kwargs)
    torch.manual_seed(1)
    every = free.model(videos=20, frames=1).trackers[0]
    torch.manual_seed(1)
    two = limited.model(videos=20, frames=1).trackers[0]
    assert two.alive.sum(1).max() == 2
    assert every.alive.sum(1).max() == 4
    # Those that entered are the two strongest of all.
    strongest = every.objects.presence.sort(1, descending=True).values[:, :2]
    torch.testing.assert_close(
        two.objects.presence.sort(1, descending=True).values[:, :2], strongest
    )


def test_a_limit_beyond_the_cells_changes_nothing(build: Build) -> None:
    pairs = [build(), build(proposals=50)]
    losses = []
    for pair in pairs:
        torch.manual_seed(3)
        losses.append(Trace_ELBO().loss(pair.model, pair.guide, pair.video(2, 3)))
    assert losses[0] == losses[1]
