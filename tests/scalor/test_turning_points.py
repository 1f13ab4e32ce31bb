"""Walls, and bodies, begin where objects have turned round."""

from __future__ import annotations

import pytest
import torch
from conftest import Build
from torch import Tensor

from scalor_ppl.nn.older import completed
from scalor_ppl.scalor.histories import drawn, stretches_of
from scalor_ppl.scalor.priors import DynamicsPropagation
from scalor_ppl.scalor.priors.bodies import LEEWAY, OFFSET, TOUCH, Bodies
from scalor_ppl.scalor.priors.contacts import Walls
from scalor_ppl.scalor.priors.turning_points import (
    TrackedStretches,
    deviations,
    outermost,
    turning_points,
)

EDGE = torch.tensor([4.0, 5.0])


def bounced(rows: int, inside: float, reach: float) -> TrackedStretches:
    """Objects that go right by .3 to .6 steps, and are turned by a wall near x = 4; and down."""
    size = 0.4 + 0.4 * torch.rand(rows, 2)
    speed = 0.3 + 0.3 * torch.rand(rows)
    wall = EDGE[0] - inside - reach * size[:, 0]
    # When within the middle step it turns.
    before = speed * torch.rand(rows)
    x = wall - before
    after = wall - (speed - before)
    xs = torch.stack((x - speed, x, after, after - speed))
    ys = 0.2 * torch.arange(4.0)[:, None].expand(4, rows)
    return stretches(torch.stack((xs, ys), -1), size)


def joined(*parts: TrackedStretches) -> TrackedStretches:
    """All of them."""
    return TrackedStretches(*(torch.cat(each, -2) for each in zip(*parts, strict=True)))


def stretches(places: Tensor, size: Tensor) -> TrackedStretches:
    """From lengths in steps."""
    return TrackedStretches(places / EDGE, size / EDGE, torch.zeros(len(size), 5))


@pytest.mark.parametrize(("inside", "reach"), [(0.5, 0.0), (0.0, 1.0), (0.3, 0.6)])
def test_a_wall_stands_where_objects_turn(inside: float, reach: float) -> None:
    torch.manual_seed(0)
    objects = bounced(400, inside, reach)
    turns = turning_points(objects, EDGE)
    assert (turns.axis == 0).all()
    assert (turns.side == 1).all()
    torch.testing.assert_close(turns.distance, inside + reach * turns.size)
    # Others turn anywhere, as they collide.
    other = bounced(200, 0.0, 0.0)
    other.places[..., 0] -= (1.5 + 4 * torch.rand(200)) / EDGE[0]
    walls = Walls(EDGE)
    before = walls.inside().clone()
    walls.begin(turning_points(joined(objects, other), EDGE))
    assert walls.inside()[1, 0].item() == pytest.approx(inside, abs=0.02)
    assert walls.reach()[1, 0].item() == pytest.approx(reach, abs=0.03)
    assert (walls.inside()[0] == before[0]).all()
    assert (walls.inside()[1, 1] == before[1, 1]).all()


def test_what_turns_too_seldom_or_slides_tells_of_no_wall() -> None:
    torch.manual_seed(0)
    few = bounced(5, 0.5, 0.0)
    assert outermost(turning_points(few, EDGE)) is None
    # It comes back three times as fast: hit, and not turned by a wall.
    places = few.places
    faster = places.clone()
    faster[3, :, 0] = places[2, :, 0] - 3 * (places[2, :, 0] - places[3, :, 0])
    assert len(turning_points(few._replace(places=faster), EDGE).axis) == 0
    assert len(turning_points(few._replace(places=places / 10), EDGE).axis) == 0
    anywhere = turning_points(bounced(40, 0.5, 0.0), EDGE)._replace(distance=4 * torch.rand(40))
    assert len(anywhere.axis) == 40
    assert outermost(anywhere) is None


def test_a_wall_gives_back_what_was_measured_and_the_likelihood_has_no_say() -> None:
    torch.manual_seed(0)
    objects = bounced(400, 0.5, 0.0)
    places = objects.places
    slower = places.clone()
    slower[3, :, 0] = places[2, :, 0] + 0.8 * (places[3, :, 0] - places[2, :, 0])
    walls = Walls(EDGE)
    place, velocity = torch.tensor([[[3.4, 0.0]]]), torch.tensor([[[0.3, 0.0]]])
    few = bounced(5, 0.5, 0.0)
    for turns, kept in ((objects._replace(places=slower), 0.8), (objects, 1.0), (few, 1.0)):
        walls.measure(turning_points(turns, EDGE))
        with torch.no_grad():
            walls.inside.put(torch.full((2, 2), 0.5))
            walls.reach.put(torch.zeros(2, 2))
        turned = walls(place, velocity, torch.ones(1, 1, 2)).bounce.velocity
        torch.testing.assert_close(
            turned[0, 0], torch.tensor([-0.3 * (1 + kept), 0]), atol=0.01, rtol=0
        )
    assert not turned.requires_grad


@torch.no_grad()
def test_stretches_are_four_frames_of_an_object(build: Build) -> None:
    pair = build(presence="hard", discovery_rate=0.3, proposals=3, grid=(2, 3))
    history = drawn(pair.model, pair.guide, pair.video(4, 6))
    places, sizes, rest = stretches_of(history)
    assert places.shape == (4, len(sizes), 2)
    ways: dict[tuple[int, int], list[Tensor]] = {}
    for moment in history:
        trackers = moment.trackers
        for video, slot in trackers.alive.nonzero().tolist():
            name = video, int(trackers.ids[video, slot])
            ways.setdefault(name, []).append(trackers.objects.where[video, slot])
    whole = 0
    for way in ways.values():
        for first in range(len(way) - 3):
            middle = torch.stack(way[first + 1 : first + 3])
            whole += bool((middle[:, :2].abs() + 0.9 * middle[:, 2:] <= 1).all())
    assert len(sizes) == len(rest) == whole


def test_where_bodies_lie_is_measured_at_walls() -> None:
    """Objects of two kinds turn farther in, or farther out, than their centres would."""
    torch.manual_seed(0)
    kind = 2.0 * (torch.rand(600) < 0.5) - 1
    objects = bounced(600, 0.5, 0.0)
    places = objects.places.clone()
    places[..., 0] -= 0.1 * kind / EDGE[0]
    rest = torch.cat((kind[:, None], torch.randn(600, 4)), 1)
    turns = turning_points(TrackedStretches(places, objects.sizes, rest), EDGE)
    bodies = Bodies(5)
    size = torch.full((2, 2), 0.6)
    looks = torch.tensor([[1.0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0]])
    assert (bodies(looks, size).offset == 0).all()
    bodies.measure(*deviations(turns, Walls(EDGE).begin(turns)))
    offset = bodies(looks, size).offset[:, 0]
    torch.testing.assert_close(offset, torch.tensor([0.1, -0.1]), atol=0.02, rtol=0)
    # Looks that do not tell where it turns, or none at all: bodies stay about their centres.
    some = turning_points(TrackedStretches(places, objects.sizes, torch.randn(600, 5)), EDGE)
    none = turning_points(TrackedStretches(places[:, :0], objects.sizes[:0], rest[:0]), EDGE)
    for each, walls in ((some, Walls(EDGE).begin(some)), (none, {})):
        other = Bodies(5)
        other.measure(*deviations(each, walls))
        assert (other(looks, size).offset == 0).all()


@torch.no_grad()
def test_walls_and_collisions_go_by_the_middles_of_bodies(build: Build) -> None:
    torch.manual_seed(0)
    prior = DynamicsPropagation(build(presence="hard").model.config)
    rest, size = torch.zeros(1, 2, prior.rest), torch.full((1, 2, 2), 0.5)
    *_, bias = prior.bodies.middle.parameters()
    bias[0] = torch.atanh(torch.tensor(0.4 / OFFSET))
    body = prior.bodies(rest, size)
    torch.testing.assert_close(body.offset, torch.tensor([0.2, 0.0]).expand(1, 2, 2))
    # Two of a kind touch as before; one whose body lies towards the other touches earlier.
    place = torch.tensor([[[0.0, 0.0], [1.5, 0.0]]])
    velocity = torch.tensor([[[0.4, 0.0], [-0.4, 0.0]]])
    alive = torch.ones(1, 2, dtype=torch.bool)

    def when(offset: Tensor) -> float:
        found = prior.pairs(place, velocity, body._replace(offset=offset), rest, alive).contact
        push = found.bounce
        return float(1 - (push.position / push.velocity)[0, 0, 0])

    alike, none = when(body.offset), when(torch.zeros(1, 2, 2))
    assert alike == pytest.approx(none, abs=1e-4)
    nearer = body.offset.clone()
    nearer[0, 1] = 0
    assert none - when(nearer) == pytest.approx(0.2 / 0.8, abs=1e-3)
    # Walls are told where the middles are.
    pair = build(presence="hard", discovery_rate=0.3, proposals=3, grid=(2, 3))
    trackers = drawn(pair.model, pair.guide, pair.video(4, 1))[0].trackers
    told: list[Tensor] = []
    prior.walls.register_forward_pre_hook(lambda _, given: told.append(given[0]))
    videos, slots = trackers.alive.shape
    prior.update(prior.initial((videos, slots)), trackers)
    where = trackers.objects.where * prior.unit.repeat(2)
    where[..., 0] += 0.4 * where[..., 2]
    torch.testing.assert_close(told, [where[..., :2]])


@torch.no_grad()
def test_a_run_from_before_objects_had_bodies_is_read(build: Build) -> None:
    torch.manual_seed(0)
    config = build(presence="hard").model.config
    prior, other = DynamicsPropagation(config), DynamicsPropagation(config)
    new = ("rough.change", "bodies.")
    kept = {name: value for name, value in prior.state_dict().items() if not name.startswith(new)}
    breadth = torch.randn(1, prior.rest)
    kept["pairs.collisions.nearness"] = torch.tensor(0.3)
    rest, size = torch.randn(2, 3, prior.rest), torch.rand(2, 3, 2)
    for weight, known in (
        (breadth, {"pairs.collisions.breadth.weight": breadth}),
        (0 * breadth, {}),
    ):
        whole = completed(other, kept | known)
        other.load_state_dict(whole)
        body = other.bodies(rest, size)
        assert (body.offset == 0).all()
        reach = TOUCH * torch.exp(LEEWAY * torch.tanh(0.3 + rest @ weight.T))
        torch.testing.assert_close(body.radius, reach * size.mean(-1, keepdim=True))
    # They can be learned from there.
    with torch.enable_grad():
        other.bodies(rest, size).offset.sum().backward()
    gradients = [p.grad for p in other.bodies.middle.parameters() if p.grad is not None]
    assert any(g.abs().sum() > 0 for g in gradients)
    assert torch.nn.functional.softplus(other.rough()).max() < 0.01
    # What has all is as it is.
    assert completed(other, prior.state_dict()).keys() == prior.state_dict().keys()
    with pytest.raises(RuntimeError, match="Missing"):
        other.load_state_dict(completed(other, {}))
