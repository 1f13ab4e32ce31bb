"""What may become of an object, and how the next frame judges it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from scalor_ppl.scalor.priors.futures import (
    BENDS,
    STRAIGHT,
    TURNS,
    WIDTH,
    Bending,
    Futures,
    Turning,
    combined,
    log_chances,
)

STEP, NOISE = 0.1, 0.02
FUTURES = STRAIGHT + BENDS + TURNS
NEVER = torch.full((1, 1, 1), -torch.inf)


def last(network: nn.Sequential) -> nn.Linear:
    layer = network[-1]
    assert isinstance(layer, nn.Linear)
    return layer


def coming(wall: float = 0.0, hit: float = 0.0) -> tuple[Futures, torch.Tensor]:
    """Of an object in the middle that goes right by .4 steps a frame; and widths."""
    centre, velocity = torch.zeros(1, 1, 2), torch.tensor([[[0.4, 0.0]]])
    back = torch.tensor([[[-0.6, 0.3]]])
    ways = velocity[..., None, :] + combined(torch.zeros_like(back), back)
    chances = log_chances(torch.full((1, 1, 1), wall), torch.full((1, 1, 1), hit))
    straight = Futures(STEP * ways, ways, torch.zeros_like(ways), chances)
    turning = Turning(6, 8, forks=True)
    with torch.no_grad():
        assert turning.bending is not None
        for network, value in ((turning.network, -1.0), (turning.bending.network, 0.0)):
            for parameter in last(network).parameters():
                parameter.fill_(value)
        last(turning.bending.network).bias[-BENDS:] = -9.0  # sure of where it comes to
    meets = torch.zeros(1, 1, 1, dtype=torch.bool)
    scale = torch.full((2,), STEP), torch.ones(2)
    found = turning(torch.zeros(1, 1, 6), meets, centre, velocity, straight, *scale)
    return found, STEP * (NOISE + found.spread)


def test_chances_are_those_of_all_that_may_come() -> None:
    found, _ = coming(wall=0.25, hit=0.5)
    torch.testing.assert_close(found.log_chance.exp().sum(-1), torch.ones(1, 1))
    straight = found.log_chance[0, 0, :STRAIGHT].softmax(-1)
    torch.testing.assert_close(straight, torch.tensor([0.375, 0.375, 0.125, 0.125]))
    assert found.flat().shape == (1, 1, WIDTH * FUTURES)
    for mine, other in zip(found, Futures.of(found.flat()), strict=True):
        torch.testing.assert_close(mine, other)


def test_the_next_frame_tells_what_has_come() -> None:
    found, width = coming(hit=0.3)

    def judged(x: float, y: float) -> int:
        which = found.judged(torch.tensor([[[x, y]]]), width, NEVER)
        torch.testing.assert_close(which.sum(-1), torch.ones(1, 1))
        return int(which.argmax())

    assert judged(0.04, 0.001) == 0  # goes on
    assert judged(-0.02, 0.03) == 1  # has collided
    assert judged(0.001, 0.04) == STRAIGHT  # has bent, downwards
    assert judged(0.001, -0.04) == STRAIGHT + 1
    assert judged(-0.005, 0.0) == STRAIGHT + BENDS  # has turned round along x
    velocity = found.velocity[0, 0, STRAIGHT:]
    expected = torch.tensor([[0.0, 0.4], [0.0, -0.4], [-0.4, 0.0], [0.4, 0.0]])
    torch.testing.assert_close(velocity, expected)


def test_what_nothing_explains_has_not_turned() -> None:
    """A turn lies nearest, as it may lie anywhere; an outlier is likelier."""
    found, width = coming()
    seen = torch.tensor([[[-0.01, 0.02]]])
    assert found.judged(seen, width, NEVER)[..., STRAIGHT:].sum() == 1
    which = found.judged(seen, width, torch.full((1, 1, 1), 6.0))
    torch.testing.assert_close(which[..., :STRAIGHT].sum(-1), torch.ones(1, 1))


def test_what_cannot_be_told_apart_is_judged_all_the_same() -> None:
    # An object at rest: turned round it is the same.
    zero = torch.zeros(1, FUTURES, 2)
    nothing = Futures(zero, zero, zero, torch.zeros(1, FUTURES))
    which = nothing.judged(torch.zeros(1, 2), torch.ones(FUTURES, 2), NEVER[0])
    others = [0.0] * (BENDS + TURNS)
    torch.testing.assert_close(which, torch.tensor([[1 / STRAIGHT] * STRAIGHT + others]))
    likely = nothing._replace(log_chance=torch.tensor([[-9.0] * STRAIGHT + others]))
    assert likely.judged(torch.zeros(1, 2), torch.ones(FUTURES, 2), NEVER[0]).sum() == 1


def test_what_meets_another_does_not_turn() -> None:
    torch.manual_seed(0)
    turning = Turning(6, 8, forks=True)
    zero = torch.zeros(2, 1, STRAIGHT, 2)
    straight = Futures(zero, zero, zero, torch.zeros(2, 1, STRAIGHT))
    meets = torch.tensor([[[True]], [[False]]])
    place, scale = torch.zeros(2, 1, 2), torch.ones(2)
    found = turning(torch.randn(2, 1, 6), meets, place, place, straight, scale, scale)
    chances = found.log_chance[..., STRAIGHT:]
    assert chances[0].max() < -19
    assert chances[1].min() > -7


def test_bends_turn_a_velocity_and_keep_or_change_its_pace() -> None:
    bending = Bending(6, 8)
    with torch.no_grad():
        for parameter in last(bending.network).parameters():
            parameter.zero_()
        last(bending.network).bias[2 * BENDS : 3 * BENDS] = torch.tensor([0.0, 0.5])
        velocity = torch.tensor([[0.3, 0.4]])
        _, bent, spread = bending(torch.zeros(1, 6), velocity)
    assert bent[0, 0] @ velocity[0] == pytest.approx(0, abs=1e-6)
    expected = torch.tensor([0.5, 0.5 * math.exp(math.tanh(0.5))])
    torch.testing.assert_close(bent[0].norm(dim=-1), expected)
    torch.testing.assert_close(spread, torch.full((1, BENDS, 2), 0.25))
    # To either side.
    cross = bent[0, :, 1] * velocity[0, 0] - bent[0, :, 0] * velocity[0, 1]
    assert cross[0] > 0 > cross[1]


def test_a_fork_is_learned_as_two_ways() -> None:
    """What falls goes on until it comes to 0, and there to the left or to the right."""
    torch.manual_seed(0)
    height = torch.arange(-4.0, 4.0).repeat(8)
    side = torch.tensor([1.0, -1.0]).repeat_interleave(8).repeat(4)
    fork = height == 0
    after = torch.stack((torch.where(fork, side, 0.0), torch.ones(64)), -1)
    velocity = torch.tensor([0.0, 1.0]).expand(64, 1, 2)
    moving = torch.zeros(64, 1, 6)
    moving[:, 0, 1] = height
    ways = velocity[..., None, :].expand(64, 1, STRAIGHT, 2)
    straight = Futures(
        ways, ways, 0 * ways, torch.tensor([0.0, -20.0, -20.0, -20.0]).expand(64, 1, 4)
    )
    meets, unit = torch.zeros(64, 1, 1, dtype=torch.bool), torch.ones(2)
    turning = Turning(6, 16, forks=True)
    optimizer = torch.optim.Adam(turning.parameters(), 0.03)
    for step in range(300):
        found = turning(
            moving, meets, 0 * velocity, velocity, straight, unit, unit, often=step < 75
        )
        near = Normal(found.centre, 0.05 + found.spread).log_prob(after[:, None, None]).sum(-1)
        loss = -(found.log_chance + near).logsumexp(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    bends = slice(STRAIGHT, STRAIGHT + BENDS)
    chance = found.log_chance[:, 0, bends].exp()
    torch.testing.assert_close(chance[fork].mean(0), torch.full((2,), 0.5), atol=0.1, rtol=0)
    assert chance[~fork].sum(-1).max() < 0.1
    ends = found.centre[fork, 0, bends].mean(0)
    assert ends[:, 0].sort().values.tolist() == pytest.approx([-1, 1], abs=0.1)
    assert ends[:, 1].tolist() == pytest.approx([1, 1], abs=0.1)
