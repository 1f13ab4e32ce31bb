"""Reading, writing and composing, by both backends, against a plain renderer and by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import reference_renderer as reference
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from scalor_ppl.render import glimpses as rendering

CASES = {
    # frames, slots, channels, glimpse, image
    "square": (3, 6, 3, (12, 12), (64, 64)),
    "wide": (2, 5, 1, (9, 14), (48, 80)),
    "coarse": (2, 4, 3, (16, 16), (20, 12)),
    "single": (1, 1, 1, (5, 5), (16, 16)),
}


@pytest.fixture(params=["torch", "numba", "library"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param != "torch":
        pytest.importorskip("numba")
    with rendering.use_backend(request.param):
        yield request.param


def boxes(frames: int, slots: int, generator: torch.Generator) -> Tensor:
    """Boxes inside, across borders and beyond them, from a few pixels to more than the image."""
    centre = torch.rand(frames, slots, 2, generator=generator) * 2.8 - 1.4
    extent = 0.08 + 0.5 * torch.rand(frames, slots, 2, generator=generator) ** 2
    where = torch.cat((centre, extent), -1)
    where[0, 0] = torch.tensor([0.03, -0.07, 1.31, 1.17])
    if slots > 3:
        where[0, 1] = torch.tensor([-0.97, 0.953, 0.21, 0.17])
        where[0, 2] = torch.tensor([1.09, 0.13, 0.16, 0.33])
        where[0, 3] = torch.tensor([3.0, -4.0, 0.2, 0.2])
    return where


def uniform(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.rand(*shape, generator=generator)


def assert_same_gradients(ours: list[Tensor], theirs: list[Tensor], names: list[str]) -> None:
    for name, mine, other in zip(names, ours, theirs, strict=True):
        assert torch.isfinite(mine).all(), name
        # Relative to the largest: a sum of many terms rounds in proportion to the terms.
        scale = max(1.0, other.abs().max().item())
        torch.testing.assert_close(
            mine / scale, other / scale, rtol=1e-3, atol=1e-3 / scale, msg=f"gradient of {name}"
        )


def gradients(output: Tensor, weights: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad((output * weights).sum(), inputs))


@pytest.mark.parametrize("case", CASES)
def test_write_matches_reference(backend: str, case: str) -> None:
    frames, slots, channels, glimpse, size = CASES[case]
    g = torch.Generator().manual_seed(1)
    planes = uniform(frames, slots, channels + 2, *glimpse, generator=g).requires_grad_()
    where = boxes(frames, slots, g).requires_grad_()
    out = rendering.write_glimpses(planes, where, size)
    expected = reference.write(planes, where, size)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-4)
    weights = torch.randn(out.shape, generator=g)
    inputs = [planes, where]
    assert_same_gradients(
        gradients(out, weights, inputs), gradients(expected, weights, inputs), ["planes", "where"]
    )


@pytest.mark.parametrize("case", CASES)
def test_read_matches_reference(backend: str, case: str) -> None:
    frames, slots, channels, glimpse, size = CASES[case]
    g = torch.Generator().manual_seed(2)
    images = uniform(frames, channels, *size, generator=g).requires_grad_()
    where = boxes(frames, slots, g).requires_grad_()
    out = rendering.read_glimpses(images, where, glimpse)
    expected = reference.read(images, where, glimpse)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-4)
    weights = torch.randn(out.shape, generator=g)
    inputs = [images, where]
    assert_same_gradients(
        gradients(out, weights, inputs), gradients(expected, weights, inputs), ["images", "where"]
    )


def test_read_of_features_matches_reference(backend: str) -> None:
    g = torch.Generator().manual_seed(3)
    features = torch.randn(2, 48, 8, 8, generator=g).requires_grad_()
    where = boxes(2, 7, g)
    where[..., 2:] = 0.5
    where.requires_grad_()
    out = rendering.read_glimpses(features, where, (4, 4))
    expected = reference.read(features, where, (4, 4))
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-4)
    weights = torch.randn(out.shape, generator=g)
    inputs = [features, where]
    assert_same_gradients(
        gradients(out, weights, inputs), gradients(expected, weights, inputs), ["images", "where"]
    )


@pytest.mark.parametrize("occlusion", [None, 2.0])
@pytest.mark.parametrize("with_background", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_composite_matches_reference(
    backend: str, case: str, with_background: bool, occlusion: float | None
) -> None:
    frames, slots, channels, glimpse, size = CASES[case]
    g = torch.Generator().manual_seed(4)
    inputs = {
        "colour": uniform(frames, slots, channels, *glimpse, generator=g),
        # At least a little mask, or colour at its edge depends on the last digit of a position.
        "mask": 0.1 + 0.5 * uniform(frames, slots, 1, *glimpse, generator=g),
        "presence": 0.3 + 0.7 * uniform(frames, slots, generator=g),
        "depth": torch.randn(frames, slots, generator=g),
        "where": boxes(frames, slots, g),
    }
    if with_background:
        inputs["background"] = uniform(frames, channels, *size, generator=g)
    arguments = [tensor.requires_grad_() for tensor in inputs.values()]
    background = inputs.get("background")
    colour, mask, presence, depth, where = arguments[:5]
    objects = (colour, mask, presence, depth, where)
    ours = rendering.composite(*objects, background, size, occlusion=occlusion)
    theirs = reference.composite(*objects, background, size, occlusion)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-4)
    for field in ("image", "mask", "foreground"):
        wanted = [n for n in inputs if field == "image" or n in ("mask", "presence", "where")]
        tensors = [inputs[name] for name in wanted]
        mine, other = getattr(ours, field), getattr(theirs, field)
        weights = torch.randn(mine.shape, generator=g)
        graph = [
            torch.autograd.grad((x * weights).sum(), tensors, retain_graph=True)
            for x in (mine, other)
        ]
        assert_same_gradients(list(graph[0]), list(graph[1]), wanted)


def test_one_object_is_alpha_blended(backend: str) -> None:
    colour = torch.full((1, 1, 3, 8, 8), 0.8)
    mask = torch.full((1, 1, 1, 8, 8), 0.6)
    where = torch.tensor([[[0.0, 0.0, 0.5, 0.5]]])
    background = torch.full((1, 3, 32, 32), 0.2)
    one, depth = torch.ones(1, 1), torch.zeros(1, 1)
    frame = rendering.composite(colour, mask, one, depth, where, background, (32, 32))
    torch.testing.assert_close(
        frame.image[0, :, 16, 16], torch.full((3,), 0.6 * 0.8 + 0.4 * 0.2), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(frame.image[0, :, 0, 0], torch.full((3,), 0.2))
    # Nowhere is an edge darker than both the object and what lies behind it.
    assert frame.image.min() > 0.2 - 1e-5


def two_squares(depth: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A red and a blue one that share the middle of a frame, ``depth`` [1, 2]."""
    colour = torch.zeros(1, 2, 3, 4, 4)
    colour[:, 0, 0], colour[:, 1, 2] = 1.0, 1.0
    where = torch.tensor([[[-0.2, 0.0, 0.5, 0.5], [0.2, 0.0, 0.5, 0.5]]])
    return colour, torch.ones(1, 2, 1, 4, 4), torch.ones(1, 2), depth, where


@pytest.mark.parametrize("shift", [0.0, 50.0, -5000.0])
@pytest.mark.parametrize("occlusion", [1.0, 4.0])
def test_what_is_nearer_hides_what_is_farther(backend: str, occlusion: float, shift: float) -> None:
    """By the difference of depth alone, also where the sigmoid has no difference any more."""
    apart = 8.0 / occlusion
    depth = torch.tensor([[0.0, apart]]) + shift
    for nearer, farther, order in ((0, 2, depth), (2, 0, depth.flip(1))):
        frame = rendering.composite(*two_squares(order), None, (20, 20), occlusion=occlusion)
        middle = frame.image[0, :, 10, 10]
        assert middle[nearer] > 0.999
        assert middle[farther] < 0.001
        # Where each lies alone it is painted whole, however far it is.
        assert frame.image[0, 0, 10, 4] > 0.999
        assert frame.image[0, 2, 10, 15] > 0.999
    if shift < 0:
        blended = rendering.composite(*two_squares(depth), None, (20, 20)).image[0, :, 10, 10]
        torch.testing.assert_close(blended[::2], torch.full((2,), 0.5), rtol=0, atol=1e-4)


def test_depth_is_pulled_to_the_order_that_is_seen(backend: str) -> None:
    """Gradients of a frame are finite, and show the way, from either order."""
    for guess in ([[0.0, 0.0]], [[0.0, 2.0]], [[2.0, 0.0]]):
        depth = torch.tensor(guess).requires_grad_()
        image = rendering.composite(*two_squares(depth), None, (20, 20), occlusion=2.0).image
        (slope,) = torch.autograd.grad(
            (image[0, :, 10, 10] * torch.tensor([-1.0, 0, 1])), depth, torch.ones(3)
        )
        assert slope[0, 0] > 0 > slope[0, 1]
        torch.testing.assert_close(slope[0, 0], -slope[0, 1])


@pytest.mark.parametrize("far", [1e2, 1e4, 3e38])
def test_what_is_very_far_is_still_seen_and_has_gradients(backend: str, far: float) -> None:
    objects = two_squares(torch.tensor([[0.0, far]]))
    for each in objects:
        each.requires_grad_()
    image = rendering.composite(*objects, None, (20, 20), occlusion=4.0).image
    assert image[0, 2, 10, 15] > 0.999
    for slope in torch.autograd.grad(image.square().sum(), objects):
        assert torch.isfinite(slope).all()


def test_slots_without_an_object_do_not_count_as_nearest(backend: str) -> None:
    colour, mask, presence, depth, where = two_squares(torch.tensor([[-1e6, 0.0]]))
    presence[0, 0] = 0.0
    frame = rendering.composite(colour, mask, presence, depth, where, None, (20, 20), occlusion=4.0)
    one = (colour[:, 1:], mask[:, 1:], presence[:, 1:], depth[:, 1:], where[:, 1:])
    alone = rendering.composite(*one, None, (20, 20), occlusion=4.0)
    torch.testing.assert_close(frame.image, alone.image)
    nobody = torch.zeros(1, 2)
    frame = rendering.composite(colour, mask, nobody, depth, where, None, (20, 20), occlusion=4.0)
    assert (frame.image == 0).all()


def test_float64_gradients_by_differences() -> None:
    g = torch.Generator().manual_seed(5)
    kind = torch.float64
    where = boxes(2, 3, g).to(kind).requires_grad_()
    planes = torch.rand(2, 3, 2, 4, 5, generator=g, dtype=kind).requires_grad_()
    images = torch.rand(2, 2, 7, 6, generator=g, dtype=kind).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p, w: rendering.write_glimpses(p, w, (7, 6)), (planes, where), eps=1e-7, atol=1e-5
    )
    assert torch.autograd.gradcheck(
        lambda i, w: rendering.read_glimpses(i, w, (4, 5)), (images, where), eps=1e-7, atol=1e-5
    )
    colour = torch.rand(2, 3, 1, 4, 5, generator=g, dtype=kind).requires_grad_()
    mask = (0.05 + 0.2 * torch.rand(2, 3, 1, 4, 5, generator=g, dtype=kind)).requires_grad_()
    presence = torch.rand(2, 3, generator=g, dtype=kind).requires_grad_()
    depth = torch.randn(2, 3, generator=g, dtype=kind).requires_grad_()
    behind = torch.rand(2, 1, 7, 6, generator=g, dtype=kind).requires_grad_()
    # Where a mask ends, colour changes fast: differences are less exact there.
    assert torch.autograd.gradcheck(
        lambda c, m, p, d, w, b: rendering.composite(c, m, p, d, w, b, (7, 6)).image,
        (colour, mask, presence, depth, where, behind),
        eps=1e-7,
        atol=1e-4,
        rtol=1e-2,
    )


def test_inactive_slots_add_nothing(backend: str) -> None:
    g = torch.Generator().manual_seed(6)
    planes, where = uniform(3, 6, 4, 7, 7, generator=g), boxes(3, 6, g)
    active = torch.rand(3, 6, generator=g) < 0.5
    active[1] = False
    # What a slot that is off holds must not matter, not even NaN.
    planes[~active], where[~active] = float("nan"), float("nan")
    planes.requires_grad_()
    where.requires_grad_()
    out = rendering.write_glimpses(planes, where, (20, 30), active)
    for f in range(3):
        kept = active[f]
        if not kept.any():
            assert (out[f] == 0).all()
            continue
        expected = reference.write(planes[f : f + 1, kept], where[f : f + 1, kept], (20, 30))
        torch.testing.assert_close(out[f : f + 1], expected, rtol=0, atol=1e-4)
    out.square().sum().backward()
    for grad in (planes.grad, where.grad):
        assert grad is not None
        assert torch.isfinite(grad).all()
        assert (grad[~active] == 0).all()
        assert (grad[active] != 0).any()


def test_inactive_slots_in_composite(backend: str) -> None:
    g = torch.Generator().manual_seed(7)
    colour, mask = uniform(2, 5, 3, 6, 6, generator=g), uniform(2, 5, 1, 6, 6, generator=g)
    presence, depth = uniform(2, 5, generator=g), torch.randn(2, 5, generator=g)
    where = boxes(2, 5, g)
    where[1, 2:4] = float("nan")
    active = torch.tensor([[True, False, True, False, True], [False, True, True, False, True]])
    inputs = [x.requires_grad_() for x in (colour, mask, presence, depth, where)]
    frame = rendering.composite(colour, mask, presence, depth, where, None, (24, 24), active)
    frame.image.sum().backward()
    gone = ~active
    gone[1, 2:4] = True
    for tensor in inputs:
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()
        assert (tensor.grad[gone] == 0).all()
    silent = presence.detach().clone()
    silent[gone] = 0
    other = rendering.composite(colour, mask, silent, depth, where.nan_to_num(0.2), None, (24, 24))
    torch.testing.assert_close(frame.image, other.image, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "box",
    [
        (0.1, 0.1, 1e-3, 1e-3),
        (0.0, 0.0, 40.0, 55.0),
        (0.2, 0.1, 1e-3, 30.0),
        (500.0, -900.0, 0.1, 0.2),
        (1e5, 0.0, 2e-6, 0.2),
        (1e30, 0.0, 0.2, 0.2),
        (float("nan"), 0.0, 0.2, 0.2),
        (0.0, 0.0, float("nan"), 0.2),
        (float("inf"), 0.0, 0.2, float("-inf")),
        (0.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, -0.3, 0.2),
    ],
)
def test_degenerate_boxes(backend: str, box: tuple[float, ...]) -> None:
    where = torch.tensor(box).expand(2, 3, 4).clone().requires_grad_()
    planes = torch.rand(2, 3, 2, 6, 6).requires_grad_()
    images = torch.rand(2, 3, 18, 22).requires_grad_()
    written = rendering.write_glimpses(planes, where, (18, 22))
    glimpses = rendering.read_glimpses(images, where, (6, 6))
    assert torch.isfinite(written).all()
    assert torch.isfinite(glimpses).all()
    (written.sum() + glimpses.sum()).backward()
    for tensor in (where, planes, images):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()
    assert torch.isfinite(rendering.visible_pixels(planes[:, :, 0], where, (18, 22))).all()
    share = rendering.overlap_share(planes[:, :, 0], where, images[:, :1])
    assert ((share >= 0) & (share <= 1)).all()


def test_huge_and_tiny_boxes_match_reference(backend: str) -> None:
    where = torch.tensor([[[0.01, 0.02, 7.3, 5.9], [0.0, 0.3, 0.02, 0.03], [0.4, 0.1, 0.01, 2.0]]])
    planes, images = torch.rand(1, 3, 2, 10, 10), torch.rand(1, 2, 30, 40)
    torch.testing.assert_close(
        rendering.write_glimpses(planes, where, (30, 40)),
        reference.write(planes, where, (30, 40)),
        rtol=0,
        atol=1e-4,
    )
    torch.testing.assert_close(
        rendering.read_glimpses(images, where, (10, 10)),
        reference.read(images, where, (10, 10)),
        rtol=0,
        atol=1e-4,
    )


@pytest.mark.parametrize(("frames", "slots"), [(0, 3), (2, 0), (0, 0)])
def test_nothing_to_draw(backend: str, frames: int, slots: int) -> None:
    planes = torch.zeros(frames, slots, 3, 5, 5, requires_grad=True)
    where = torch.ones(frames, slots, 4, requires_grad=True)
    canvas = rendering.write_glimpses(planes, where, (8, 9))
    assert canvas.shape == (frames, 3, 8, 9)
    assert (canvas == 0).all()
    glimpses = rendering.read_glimpses(torch.zeros(frames, 3, 8, 9), where, (5, 5))
    assert glimpses.shape == planes.shape
    (canvas.sum() + glimpses.sum()).backward()
    none = torch.zeros(frames, slots)
    frame = rendering.composite(planes, planes[:, :, :1], none, none, where, canvas, (8, 9))
    assert frame.image.shape == (frames, 3, 8, 9)
    assert (frame.mask == 0).all()


def test_all_absent_has_bounded_gradients(backend: str) -> None:
    colour = torch.rand(1, 4, 3, 6, 6, requires_grad=True)
    mask = torch.rand(1, 4, 1, 6, 6, requires_grad=True)
    where = torch.tensor([0.1, 0.2, 0.4, 0.4]).expand(1, 4, 4).clone().requires_grad_()
    for level in (0.0, 1e-12, 1e-6):
        presence = torch.full((1, 4), level, requires_grad=True)
        depth = torch.zeros(1, 4, requires_grad=True)
        behind = torch.rand(1, 3, 16, 16)
        frame = rendering.composite(colour, mask, presence, depth, where, behind, (16, 16))
        torch.testing.assert_close(frame.image, behind, rtol=0, atol=1e-4)
        inputs = [colour, mask, presence, depth, where]
        for grad in torch.autograd.grad(frame.image.sum(), inputs):
            assert torch.isfinite(grad).all()
            assert grad.abs().max() < 1e3


def test_half_precision_and_autocast_are_cast(backend: str) -> None:
    g = torch.Generator().manual_seed(8)
    planes, where = uniform(1, 3, 2, 6, 6, generator=g), boxes(1, 3, g)
    expected = rendering.write_glimpses(planes.bfloat16().float(), where, (16, 16))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = rendering.write_glimpses(planes.bfloat16(), where, (16, 16))
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, expected)


def test_non_contiguous_input(backend: str) -> None:
    g = torch.Generator().manual_seed(9)
    planes = uniform(2, 6, 6, 2, 4, generator=g).permute(0, 4, 3, 1, 2)
    where = boxes(2, 4, g).transpose(0, 1).contiguous().transpose(0, 1)
    torch.testing.assert_close(
        rendering.write_glimpses(planes, where, (16, 16)),
        reference.write(planes, where, (16, 16)),
        rtol=0,
        atol=1e-4,
    )


def test_threads_do_not_change_a_bit() -> None:
    pytest.importorskip("numba")
    g = torch.Generator().manual_seed(10)
    planes = uniform(40, 30, 5, 12, 12, generator=g).requires_grad_()
    where = boxes(40, 30, g).requires_grad_()
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            with rendering.use_backend("numba"):
                out = rendering.write_glimpses(planes, where, (32, 32))
                grads = torch.autograd.grad(out.square().sum(), [planes, where])
            results.append((out, *grads))
    finally:
        torch.set_num_threads(threads)
    for one, three in zip(*results, strict=True):
        assert torch.equal(one, three)


def test_overlap_share_by_hand(backend: str) -> None:
    canvas = torch.zeros(1, 1, 32, 32)
    canvas[..., :16] = 1.0  # the left half is taken
    mask = torch.zeros(1, 5, 8, 8)
    mask[0, :4] = 1.0
    where = torch.tensor(
        [
            [-0.5, 0.0, 0.25, 0.25],  # on the left: all covered
            [0.5, 0.0, 0.25, 0.25],  # on the right: none
            [0.0, 0.0, 0.25, 0.25],  # across the middle: half
            [-1.0, 0.0, 0.25, 0.25],  # half out of view: all that is seen of it is covered
            [-0.5, 0.0, 0.25, 0.25],  # empty mask
        ]
    )
    share = rendering.overlap_share(mask, where[None], canvas)
    torch.testing.assert_close(share, torch.tensor([[1.0, 0.0, 0.5, 1.0, 0.0]]))
    assert not share.requires_grad


def test_overlap_share_close_to_canvases(backend: str) -> None:
    g = torch.Generator().manual_seed(11)
    mask = (uniform(2, 6, 1, 16, 16, generator=g) > 0.5).float().cumsum(-1).clamp(max=1)
    where = boxes(2, 6, g)
    where[..., 2:] = where[..., 2:].clamp(0.2, 0.4)
    taken = torch.zeros(2, 1, 64, 64)
    taken[0, :, :40, :30], taken[1, :, 20:, 10:50] = 1.0, 1.0
    own = reference.canvases(mask, where, (64, 64))[:, :, 0] > 0.3
    both = (own & (taken > 0.1)).sum((-2, -1))
    expected = both / own.sum((-2, -1)).clamp(min=1)
    share = rendering.overlap_share(mask[:, :, 0], where, taken)
    seen = own.sum((-2, -1)) > 20
    assert (share - expected)[seen].abs().max() < 0.12


def test_visible_pixels(backend: str) -> None:
    size = (40, 60)
    mask = torch.ones(1, 4, 10, 10)
    where = torch.tensor(
        [
            [0.0, 0.0, 0.25, 0.5],  # 15 x 20 pixels inside
            [1.0, 0.0, 0.25, 0.5],  # the right half outside
            [1.0, -1.0, 0.25, 0.5],  # only a corner inside
            [3.0, 0.0, 0.25, 0.5],  # gone
        ]
    )
    pixels = rendering.visible_pixels(mask, where[None], size)
    torch.testing.assert_close(pixels, torch.tensor([[300.0, 150.0, 75.0, 0.0]]))
    half = rendering.visible_pixels(mask * 0.5, where[None], size)
    torch.testing.assert_close(half, pixels / 2)
    # Against the sum of the canvas of a soft mask.
    g = torch.Generator().manual_seed(12)
    soft, places = uniform(1, 8, 1, 12, 12, generator=g), boxes(1, 8, g)
    places[..., 2:] = places[..., 2:].clamp(0.2, 0.5)
    summed = reference.canvases(soft, places, (64, 64)).sum((2, 3, 4))
    ours = rendering.visible_pixels(soft[:, :, 0], places, (64, 64))
    assert (ours - summed).abs().max() < 0.1 * 64 * 64 * 0.25


def test_video_frames_need_no_gradient(backend: str) -> None:
    g = torch.Generator().manual_seed(13)
    where = boxes(2, 5, g).requires_grad_()
    for channels in (1, 3, 16):
        images = uniform(2, channels, 20, 26, generator=g)
        grads = [
            torch.autograd.grad(read(images, where, (6, 7)).square().sum(), where)[0]
            for read in (rendering.read_glimpses, reference.read)
        ]
        assert_same_gradients(grads[:1], grads[1:], ["where"])
        assert images.grad is None


def test_wrong_shapes_are_named(backend: str) -> None:
    planes, where = torch.rand(2, 3, 1, 4, 4), torch.rand(2, 3, 4)
    off = torch.rand(2, 4)
    with pytest.raises(ValueError, match="where"):
        rendering.write_glimpses(planes, where[:, :2], (8, 8))
    with pytest.raises(ValueError, match="active"):
        rendering.write_glimpses(planes, where, (8, 8), off > 0)
    with pytest.raises(ValueError, match="where"):
        rendering.read_glimpses(torch.rand(1, 1, 8, 8), where, (4, 4))
    with pytest.raises(ValueError, match="background"):
        rendering.composite(
            *(planes, planes, off[:, :3], off[:, :3], where),
            background=torch.rand(2, 1, 8, 9),
            size=(8, 8),
        )


def test_unknown_backend() -> None:
    with pytest.raises(ValueError, match="vulkan"):
        rendering.set_backend("vulkan")  # type: ignore[arg-type]
    with rendering.use_backend("numba"), pytest.raises(ValueError, match="float32"):
        rendering.read_glimpses(
            torch.zeros(1, 1, 4, 4).double(), torch.ones(1, 1, 4).double(), (2, 2)
        )


@pytest.mark.parametrize("channels", [3, 32])
def test_a_trace_knows_how_what_is_read_lies_in_memory(channels: int) -> None:
    images = torch.rand(2, channels, 8, 8, requires_grad=True)
    where = torch.tensor([[[0.1, 0.2, 0.5, 0.5]]]).expand(2, 1, 4).clone()
    with rendering.use_backend("library"):
        read = rendering.read_glimpses(images, where, (4, 5))
    slope = torch.rand_like(read)
    real = (read, *torch.ops.scalor_ppl.read_backward(images, where, slope, True))
    mode = FakeTensorMode()
    given = [mode.from_tensor(each.detach()) for each in (images, where, slope)]
    with mode:
        fake = torch.ops.scalor_ppl.read(*given[:2], [4, 5])
        traced = (fake, *torch.ops.scalor_ppl.read_backward(*given, True))
    for own, known in zip(real, traced, strict=True):
        assert (own.shape, own.stride()) == (known.shape, known.stride())
