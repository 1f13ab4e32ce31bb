"""z_where is an object's centre: what is decoded does not move it, and glimpses put it right."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conftest import NO_RULES, Build
from pyro import poutine

from scalor_ppl.nn.modes import MostLikely
from scalor_ppl.render.boxes import where_from_boxes
from scalor_ppl.render.glimpses import mass_centre, write_glimpses
from scalor_ppl.scalor.correction import corrected
from scalor_ppl.scalor.posterior_networks import Normals
from scalor_ppl.scalor.readout import WholeSize, mass_centres, spread, tracks_of
from scalor_ppl.scalor.slots import Objects, update_trackers

SIZE = (48, 64)


def glimpse(videos: int, count: int) -> torch.Tensor:
    """Glimpses whose masks lie anywhere in them."""
    made = torch.zeros(videos, count, 4, 10, 10)
    for n in range(count):
        top, left = torch.randint(0, 6, (2,)).tolist()
        made[:, n, -1, top : top + 4, left : left + 3] = torch.rand(4, 3) * 0.5 + 0.5
    return made


def test_the_painted_mask_has_its_centre_of_mass_at_z_where(build: Build) -> None:
    torch.manual_seed(1)
    model = build(centred=True, glimpse=(10, 10)).model
    where = torch.tensor([[[0.2, -0.1, 0.3, 0.4], [-0.3, 0.3, 0.25, 0.25]]])
    looks = glimpse(1, 2)
    box = model.painted(where, looks[:, :, -1:])
    assert torch.equal(box[..., 2:], where[..., 2:])
    for n in range(2):
        canvas = write_glimpses(
            looks[:, n : n + 1, -1:].square(), box[:, n : n + 1], SIZE, torch.ones(1, 1).bool()
        )[0, 0]
        x = (torch.arange(SIZE[1]) * 2 + 1) / SIZE[1] - 1
        y = (torch.arange(SIZE[0]) * 2 + 1) / SIZE[0] - 1
        centre = torch.stack((canvas.sum(0) @ x, canvas.sum(1) @ y)) / canvas.sum()
        # To a hundredth of a box: what is painted is interpolated between pixels.
        torch.testing.assert_close(centre, where[0, n, :2], atol=0.01, rtol=0)


def test_the_papers_box_is_z_where(build: Build) -> None:
    where, looks = torch.rand(2, 3, 4), glimpse(2, 3)
    assert build().model.painted(where, looks[:, :, -1:]) is where


def test_tracks_tell_the_centre_of_mass(build: Build) -> None:
    torch.manual_seed(2)
    where, looks = torch.rand(1, 3, 4) * 0.5, glimpse(1, 3)
    number = torch.zeros(1, 3)
    for centred in (True, False):
        box = build(centred=centred, glimpse=(10, 10)).model.painted(where, looks[:, :, -1:])
        objects = Objects(number, where, where, number, number[..., None], looks, box)
        centre = mass_centres(objects, SIZE)
        expected = box[..., :2] + mass_centre(looks[:, :, -1]) * box[..., 2:]
        expected = (expected + 1) * torch.tensor([SIZE[1] / 2, SIZE[0] / 2])
        torch.testing.assert_close(centre, expected)
        if centred:
            pixels = (where[..., :2] + 1) * torch.tensor([SIZE[1] / 2, SIZE[0] / 2])
            torch.testing.assert_close(centre, pixels, atol=1e-4, rtol=0)


def test_what_is_seen_puts_the_guess_right() -> None:
    posterior = Normals(torch.zeros(1, 1, 4), torch.ones(1, 1, 4))
    guess = torch.tensor([[[0.0, 0.0, 0.2, 0.1]]])
    correction = torch.tensor([[[0.5, -1.0, 0.3, 0.4, 0.1, 0.0, -0.1, 9.0]]])
    right = corrected(posterior, correction, guess, torch.tensor([0.4, 0.2]))
    # Half of half a box of 0.2, of a reach of 0.4; and so on.
    torch.testing.assert_close(right.loc[0, 0], torch.tensor([0.25, -0.5, 0.3, 0.4]))
    assert right.scale[0, 0, 0] == pytest.approx(1.105, abs=1e-3)
    assert right.scale[0, 0, 3] < 20.1  # e^3, and no more


@pytest.mark.parametrize("mask", ["presence", "everywhere"])
def test_before_training_a_correction_says_nothing(build: Build, mask: str) -> None:
    video = build().video(2, 3)
    found: list[Any] = []
    for correct in (False, True):
        pair = build(seed=3, guide={"mask": mask, "correct": correct})
        pair.guide.load_state_dict(
            build(seed=3, guide={"mask": mask}).guide.state_dict(), strict=False
        )
        with torch.no_grad(), MostLikely(), poutine.trace() as run:
            pair.guide(video)
        found.append(run.trace)
    for t in range(3):
        first, second = (each.nodes[f"z_where_disc_{t}"]["fn"] for each in found)
        if t == 0:
            torch.testing.assert_close(first.mean, second.mean)
            torch.testing.assert_close(first.stddev, second.stddev)


@pytest.mark.parametrize("mask", ["presence", "everywhere"])
def test_the_correction_moves_where_and_learns(build: Build, mask: str) -> None:
    pair = build(seed=4, centred=True, guide={"mask": mask, "correct": True})
    video = pair.video(2, 2)
    torch.manual_seed(5)
    trace = poutine.trace(pair.guide).get_trace(video)
    model = poutine.trace(poutine.replay(pair.model, trace=trace)).get_trace(video)
    (trace.log_prob_sum() - model.log_prob_sum()).backward()
    for part in (pair.guide.proposal, pair.guide.propagation):
        gradient = part.correction.weight.grad
        assert torch.isfinite(gradient).all()
        assert gradient.abs().sum() > 0


def test_spread_is_that_of_the_posterior(build: Build) -> None:
    # Against draws of the site, moved as the program moves them.
    pair = build(seed=6, centred=True, guide={"correct": True})
    video = pair.video(1, 2)
    with torch.no_grad(), MostLikely():
        trace = poutine.trace(pair.guide).get_trace(video)
        scene = poutine.replay(pair.model, trace=trace)(video)
    said = spread(pair.model, trace, scene)
    tracks = tracks_of(scene.trackers, pair.model.size)[0]
    assert said.shape == (1, *tracks.ids.shape, 2)
    site = trace.nodes["z_where_disc_0"]
    with torch.no_grad():
        draws = site["fn"].mean + 1e-3 * site["fn"].stddev * torch.randn(
            20_000, *site["value"].shape
        )
        places = pair.model.proposed_where(draws)[..., :2] * 8  # half of 16 pixels
        deviation = places.std(0).squeeze(0) * 1e3
    origin = scene.trackers[0].origin
    torch.testing.assert_close(said[0, 0], deviation[origin], rtol=0.03, atol=1e-4)


def test_boxes_lie_about_masks_as_far_as_these_are_in_view() -> None:
    looks = torch.zeros(1, 2, 4, 8, 8)
    looks[:, :, -1, 2:6, 2:6] = 1.0
    # Glimpses of 8 pixels, masks of 4 in their middle: in view, and out of it on the left.
    boxes = torch.tensor([[[4.0, 4.0, 8.0, 8.0], [-4.0, 4.0, 8.0, 8.0]]])
    where = where_from_boxes(boxes, (16, 16))
    number = torch.ones(1, 2)
    objects = Objects(number, where, where, number, number[..., None], looks, where)
    trackers = update_trackers(None, None, objects, 2, NO_RULES, (16, 16))
    (tracks,) = tracks_of([trackers], (16, 16), tight="in view")
    found = sorted(tracks.boxes[0].tolist())
    assert found[0] == pytest.approx((-4, 6, 6, 4))
    assert found[1] == pytest.approx((6, 6, 4, 4))


@pytest.mark.parametrize(("perspective", "height"), [(0.0, 12), (0.5, 18)])
def test_what_reaches_out_of_view_is_as_large_as_objects_are(
    perspective: float, height: int
) -> None:
    looks = torch.zeros(1, 3, 4, 8, 8)
    looks[:, :, -1, 2:6, 2:6] = 1.0
    # Out of view on the left, where the glimpse goes further than that; in view; out of it below.
    boxes = torch.tensor([[[-4.0, 4.0, 8.0, 8.0], [1.0, 4.0, 8.0, 8.0], [6.0, 10.0, 8.0, 12.0]]])
    where = where_from_boxes(boxes, (16, 16))
    number = torch.ones(1, 3)
    objects = Objects(number, where, where, number, number[..., None], looks, where)
    trackers = update_trackers(None, None, objects, 3, NO_RULES, (16, 16))
    whole = WholeSize(5.0, 12.0, perspective)
    (tracks,) = tracks_of([trackers], (16, 16), tight="in view", whole=whole)
    found = sorted(tracks.boxes[0].tolist())
    assert found[0] == pytest.approx((-4, 6, 6, 4))
    assert found[1] == pytest.approx((3, 6, 4, 4))
    assert found[2] == pytest.approx((8, 13, 4, height))  # the glimpse makes 9
