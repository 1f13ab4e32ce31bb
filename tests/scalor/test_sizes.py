"""Programs trained on crops and run on larger frames; templates; rules about tracked objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import Build
from torch import Tensor

from scalor_ppl.errors import UserError
from scalor_ppl.inference.posterior import infer
from scalor_ppl.programs import Program
from scalor_ppl.render.boxes import boxes_from_where, where_from_boxes
from scalor_ppl.scalor.networks import Template
from scalor_ppl.scalor.settings import ModelConfig, RulesConfig
from scalor_ppl.scalor.sizes import for_size
from scalor_ppl.scalor.slots import Objects, accept

ANYWHERE: dict[str, Any] = {"anywhere": True, "guide": {"window": (2, 2)}}


def program(build: Build, **settings: Any) -> Program:
    pair = build(**(ANYWHERE | settings))
    return pair.program


def test_larger_frames_keep_pixels_and_grow_slots() -> None:
    model = ModelConfig(
        height=16, width=16, grid=(4, 4), capacity=5, proposals=7, max_step=0.2, channels=1
    )
    larger = for_size(model, (32, 50))
    assert larger.grid == (8, 12)
    assert larger.capacity == 32
    assert larger.proposals == 44
    assert isinstance(larger.max_step, tuple)
    # A step of 0.2 half-widths of 16 pixels is 1.6 pixels in either frame.
    assert larger.max_step == pytest.approx((1.6 / 25, 1.6 / 16))


def test_a_glimpse_looks_the_same_in_a_larger_frame(build: Build) -> None:
    crop = program(build, capacity=4)
    frame = crop.for_size((48, 48))
    assert frame.model.size == (48, 48)
    video = torch.zeros(1, 3, 3, 48, 48)
    video[..., 20:28, 20:28] = torch.rand(8, 8)
    seen = infer(frame.model, frame.guide, video)
    assert seen.image.shape == video.shape
    assert torch.isfinite(seen.image).all()
    small = crop.guide.glimpses(video[:, 0, :, 16:32, 16:32], box(24 - 16, 24 - 16, 6, 16))
    large = frame.guide.glimpses(video[:, 0], box(24, 24, 6, 48))
    assert all(torch.allclose(*pair, atol=1e-5) for pair in zip(small, large, strict=True))
    # Features move with what is seen: by a cell, where the edge is far.
    features = frame.guide.features.encoder
    moved = features(video[0].roll(8, -1))[..., 2:-2, 3:-2]
    assert torch.allclose(features(video[0])[..., 2:-2, 2:-3], moved, atol=1e-4)


def box(x: float, y: float, side: float, size: int) -> Tensor:
    """One square box about a centre, ``[1, 1, 4]`` in image coordinates."""
    pixels = torch.tensor([[[x - side / 2, y - side / 2, side, side]]])
    return where_from_boxes(pixels, (size, size))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"anywhere": False}, "train on crops"),
        ({"guide": {}}, "guide.window"),
        ({"background": "vae"}, "draws whole frames"),
        ({"background": "template"}, "another size"),
    ],
)
def test_a_program_that_knows_its_size_says_so(
    build: Build, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        program(build, **settings).for_size((32, 32))


def test_the_same_size_is_the_same_program(build: Build) -> None:
    own = program(build)
    assert own.for_size((16, 16)) is own


def test_networks_are_not_told_where_an_object_is(build: Build) -> None:
    pair = build(**ANYWHERE)
    trackers = infer(pair.model, pair.guide, pair.video(1, 1)).trackers[0]
    objects = trackers.objects
    elsewhere = objects._replace(where=objects.where + 0.3)
    assert torch.equal(objects.code(anywhere=True), elsewhere.code(anywhere=True))
    assert not torch.equal(objects.code(), elsewhere.code())


def test_a_template_shows_each_crop_its_part() -> None:
    template = Template(3, 2, (6, 8))
    image = torch.rand(2, 6, 8) * 0.9 + 0.05
    template.begin(image)
    with torch.no_grad():
        template.light.weight.zero_()
    corner = torch.tensor([[0, 0], [2, 4]])
    shown = template(torch.zeros(2, 3, 3), corner, (4, 4))
    assert shown.shape == (2, 3, 2, 4, 4)
    assert torch.allclose(shown[0, 1], image[:, :4, :4], atol=1e-5)
    assert torch.allclose(shown[1, 2], image[:, 2:6, 4:8], atol=1e-5)
    whole = template(torch.zeros(1, 1, 3), None, (6, 8))
    assert torch.allclose(whole[0, 0], image, atol=1e-5)


def test_a_template_is_lit_and_learned(build: Build) -> None:
    pair = build(background="template", frame=(20, 24), guide={"difference": True})
    video, corner = pair.video(2, 2), torch.tensor([[0, 0], [4, 8]])
    pair.guide(video, corner)
    scene = pair.model(video, corner)
    assert scene.background.shape == video.shape
    scene.background[1].sum().backward()
    gradient = pair.model.template.image.grad
    assert gradient is not None
    assert (gradient[:, 4:, 8:] != 0).all()
    assert (gradient[:, :4] == 0).all()
    assert pair.model.template.light.weight.grad is not None


def at(*places: tuple[float, float], presence: float = 0.9) -> Objects:
    """Objects of 6 x 4 pixels about these centres in 16 x 16."""
    count = len(places)
    boxes = torch.tensor([[[x - 3, y - 2, 6.0, 4.0] for x, y in places]])
    glimpse = torch.zeros(1, count, 4, 2, 2)
    where = where_from_boxes(boxes, (16, 16))
    return Objects(
        torch.full((1, count), presence),
        where,
        torch.zeros(1, count, 4),
        torch.zeros(1, count),
        torch.zeros(1, count, 2),
        glimpse,
        where,
    )


def test_proposals_near_tracked_objects_are_rejected() -> None:
    rules = RulesConfig(rejection=False, duplicate_rejection=False, near_tracked=0.5)
    # Half a box is 3 pixels across and 2 down.
    proposals = at((8.0, 8.0), (10.9, 8.0), (11.1, 8.0), (8.0, 9.9), (8.0, 10.1))
    found = accept(proposals, None, rules, (16, 16), at((8.0, 8.0)))
    assert found.tolist() == [[False, False, True, False, True]]
    gone = accept(proposals, None, rules, (16, 16), at((8.0, 8.0), presence=0.3))
    assert gone.all()
    assert accept(proposals, None, rules, (16, 16)).all()
    off = rules.model_copy(update={"near_tracked": None})
    assert accept(proposals, None, off, (16, 16), at((8.0, 8.0))).all()


def test_boxes_survive_the_round_trip() -> None:
    where = at((5.0, 6.0)).where
    assert np.allclose(boxes_from_where(where, (16, 16))[0, 0], [2, 4, 6, 4])
