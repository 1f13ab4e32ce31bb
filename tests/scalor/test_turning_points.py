"""Walls begin where objects have turned round."""

from __future__ import annotations

import pytest
import torch
from conftest import Build
from torch import Tensor

from scalor_ppl.nn.older import completed
from scalor_ppl.scalor.histories import drawn, stretches_of
from scalor_ppl.scalor.priors import DynamicsPropagation
from scalor_ppl.scalor.priors.contacts import Walls
from scalor_ppl.scalor.priors.turning_points import outermost, turning_points

EDGE = torch.tensor([4.0, 5.0])


def bounced(rows: int, inside: float, reach: float) -> tuple[Tensor, Tensor]:
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
    return torch.stack((xs, ys), -1), size


@pytest.mark.parametrize(("inside", "reach"), [(0.5, 0.0), (0.0, 1.0), (0.3, 0.6)])
def test_a_wall_stands_where_objects_turn(inside: float, reach: float) -> None:
    torch.manual_seed(0)
    places, size = bounced(400, inside, reach)
    turns = turning_points(places, size, EDGE)
    assert (turns.axis == 0).all()
    assert (turns.side == 1).all()
    torch.testing.assert_close(turns.distance, inside + reach * size[:, 0])
    # Others turn anywhere, as they collide.
    other, own = bounced(200, 0.0, 0.0)
    other[..., 0] -= 1.5 + 4 * torch.rand(200)
    walls = Walls(EDGE)
    before = walls.inside().clone()
    both = torch.cat((places, other), 1), torch.cat((size, own))
    walls.begin(turning_points(*both, EDGE))
    assert walls.inside()[1, 0].item() == pytest.approx(inside, abs=0.02)
    assert walls.reach()[1, 0].item() == pytest.approx(reach, abs=0.03)
    assert (walls.inside()[0] == before[0]).all()
    assert (walls.inside()[1, 1] == before[1, 1]).all()


def test_what_turns_too_seldom_or_slides_tells_of_no_wall() -> None:
    torch.manual_seed(0)
    places, size = bounced(5, 0.5, 0.0)
    turns = turning_points(places, size, EDGE)
    assert outermost(turns) is None
    # It comes back three times as fast: hit, and not turned by a wall.
    faster = places.clone()
    faster[3, :, 0] = places[2, :, 0] - 3 * (places[2, :, 0] - places[3, :, 0])
    assert len(turning_points(faster, size, EDGE).axis) == 0
    assert len(turning_points(places / 10, size, EDGE).axis) == 0
    places, size = bounced(40, 0.5, 0.0)
    anywhere = turning_points(places, size, EDGE)._replace(distance=4 * torch.rand(40))
    assert len(anywhere.axis) == 40
    assert outermost(anywhere) is None


def test_a_wall_gives_back_what_was_measured_and_the_likelihood_has_no_say() -> None:
    torch.manual_seed(0)
    places, size = bounced(400, 0.5, 0.0)
    slower = places.clone()
    slower[3, :, 0] = places[2, :, 0] + 0.8 * (places[3, :, 0] - places[2, :, 0])
    walls = Walls(EDGE)
    place, velocity = torch.tensor([[[3.4, 0.0]]]), torch.tensor([[[0.3, 0.0]]])
    for turns, kept in ((slower, 0.8), (places, 1.0), (places[:, :5], 1.0)):
        walls.measure(turning_points(turns, size[: turns.shape[1]], EDGE))
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
    places, sizes = stretches_of(history)
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
    assert len(sizes) == whole


def test_a_run_from_before_contacts_had_widths_is_read(build: Build) -> None:
    torch.manual_seed(0)
    config = build(presence="hard").model.config
    prior, other = DynamicsPropagation(config), DynamicsPropagation(config)
    new = ("rough.change", "pairs.collisions.breadth.weight")
    kept = {name: value for name, value in prior.state_dict().items() if name not in new}
    assert len(kept) == len(prior.state_dict()) - 2
    whole = completed(other, kept)
    other.load_state_dict(whole)
    assert (other.pairs.collisions.breadth.weight == 0).all()
    assert torch.nn.functional.softplus(other.rough()).max() < 0.01
    # What has all is as it is.
    assert completed(other, prior.state_dict()).keys() == prior.state_dict().keys()
    with pytest.raises(RuntimeError, match="Missing"):
        other.load_state_dict(completed(other, {}))
