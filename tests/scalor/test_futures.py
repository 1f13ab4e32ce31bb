"""What may become of an object, and how the next frame judges it."""

from __future__ import annotations

import torch

from scalor_ppl.scalor.priors.futures import (
    FUTURES,
    STRAIGHT,
    WIDTH,
    Futures,
    Turning,
    combined,
    log_chances,
    turned_widths,
)

STEP, NOISE = 0.1, 0.02


def coming(wall: float = 0.0, hit: float = 0.0) -> tuple[Futures, torch.Tensor]:
    """Of an object in the middle that goes right by .4 steps a frame; and widths."""
    centre, velocity = torch.zeros(1, 1, 2), torch.tensor([[[0.4, 0.0]]])
    back = torch.tensor([[[-0.6, 0.3]]])
    ways = velocity[..., None, :] + combined(torch.zeros_like(back), back)
    chances = log_chances(torch.full((1, 1, 1), wall), torch.full((1, 1, 1), hit))
    straight = Futures(STEP * ways, ways, chances)
    turning = Turning(6, 8)
    with torch.no_grad():
        for parameter in turning.network[-1].parameters():
            parameter.fill_(-1.0)
    meets = torch.zeros(1, 1, 1, dtype=torch.bool)
    found = turning(torch.zeros(1, 1, 6), meets, centre, velocity, straight)
    return found, STEP * turned_widths(torch.full((2,), NOISE), velocity)


def test_chances_are_those_of_all_that_may_come() -> None:
    found, _ = coming(wall=0.25, hit=0.5)
    torch.testing.assert_close(found.log_chance.exp().sum(-1), torch.ones(1, 1))
    straight = found.log_chance[0, 0, :STRAIGHT].softmax(-1)
    torch.testing.assert_close(straight, torch.tensor([0.375, 0.375, 0.125, 0.125]))
    assert found.flat().shape == (1, 1, WIDTH)
    for mine, other in zip(found, Futures.of(found.flat()), strict=True):
        torch.testing.assert_close(mine, other)


def test_the_next_frame_tells_what_has_come() -> None:
    found, width = coming(hit=0.3)

    def judged(x: float, y: float) -> int:
        which = found.judged(torch.tensor([[[x, y]]]), width)
        torch.testing.assert_close(which.sum(-1), torch.ones(1, 1))
        return int(which.argmax())

    assert judged(0.04, 0.001) == 0  # goes on
    assert judged(-0.02, 0.03) == 1  # has collided
    assert judged(0.005, 0.0) == STRAIGHT  # has turned round along x
    velocity = found.velocity[0, 0, STRAIGHT]
    torch.testing.assert_close(velocity, torch.tensor([-0.4, 0.0]))


def test_what_cannot_be_told_apart_is_judged_all_the_same() -> None:
    # An object at rest: turned round it is the same.
    nothing = Futures(
        torch.zeros(1, FUTURES, 2), torch.zeros(1, FUTURES, 2), torch.zeros(1, FUTURES)
    )
    which = nothing.judged(torch.zeros(1, 2), torch.ones(FUTURES, 2))
    torch.testing.assert_close(which, torch.tensor([[0.25, 0.25, 0.25, 0.25, 0.0, 0.0]]))
    likely = nothing._replace(log_chance=torch.tensor([[-9.0] * STRAIGHT + [0.0, 0.0]]))
    assert likely.judged(torch.zeros(1, 2), torch.ones(FUTURES, 2)).sum() == 1


def test_what_meets_another_does_not_turn() -> None:
    torch.manual_seed(0)
    turning = Turning(6, 8)
    straight = Futures(torch.zeros(2, 1, 4, 2), torch.zeros(2, 1, 4, 2), torch.zeros(2, 1, 4))
    meets = torch.tensor([[[True]], [[False]]])
    place = torch.zeros(2, 1, 2)
    chances = turning(torch.randn(2, 1, 6), meets, place, place, straight).log_chance[..., -2:]
    assert chances[0].max() < -19
    assert chances[1].min() > -7
