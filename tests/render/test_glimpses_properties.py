"""Rendering for any image, glimpse and number of objects: what holds whatever is drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from scalor_ppl.render.glimpses import (
    Backend,
    Frame,
    composite,
    mass_centre,
    overlap_share,
    read_glimpses,
    use_backend,
    visible_pixels,
    write_glimpses,
)
from scalor_ppl.render.kernel_calls import DEEP

SIZES = st.tuples(st.integers(1, 20), st.integers(1, 20))
GLIMPSES = st.tuples(st.integers(1, 9), st.integers(1, 9))
BACKENDS: tuple[Backend, ...] = ("torch", "numba", "library")
# Float32 sums of a few dozen products, in whatever order.
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


class Drawing(NamedTuple):
    """Objects and a background, in range, of any shape."""

    colour: Tensor
    mask: Tensor
    presence: Tensor
    depth: Tensor
    where: Tensor
    background: Tensor

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.background.shape[-2:]
        return height, width

    def composed(self, active: Tensor | None = None) -> Frame:
        """The frames."""
        return composite(*self, self.size, active)

    def of_slots(self, change: Callable[[Tensor], Tensor]) -> Drawing:
        """The same change to every object's part, the background left alone."""
        return Drawing._make([*map(change, self[:5]), self.background])


def places(frames: int, slots: int, random: torch.Generator) -> Tensor:
    """Boxes inside, across and outside the image, from a twentieth of it to twice it."""
    centre = torch.rand(frames, slots, 2, generator=random) * 3 - 1.5
    extent = 0.05 + 1.95 * torch.rand(frames, slots, 2, generator=random) ** 3
    return torch.cat((centre, extent), -1)


@st.composite
def drawings(draw: st.DrawFn, slots: tuple[int, int] = (1, 5)) -> Drawing:
    """Any number of frames, objects and channels; glimpses and images of any shape."""
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    frames, count = draw(st.integers(1, 3)), draw(st.integers(*slots))
    channels = draw(st.integers(1, 4))
    glimpse, size = draw(GLIMPSES), draw(SIZES)
    # Whole masks that are surely there, too: where they overlap they add up to more than one.
    least = draw(st.sampled_from((0.0, 1.0)))
    return Drawing(
        torch.rand(frames, count, channels, *glimpse, generator=random),
        torch.rand(frames, count, 1, *glimpse, generator=random).clamp(min=least),
        torch.rand(frames, count, generator=random).clamp(min=least),
        3 * torch.randn(frames, count, generator=random),
        places(frames, count, random),
        torch.rand(frames, channels, *size, generator=random),
    )


each_backend = pytest.mark.parametrize("backend", BACKENDS)


def noise_like(tensor: Tensor) -> Tensor:
    """Normal numbers, the same ones in every repetition of an example."""
    return torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1))


def by_all(run: Callable[[], tuple[Tensor, ...]]) -> None:
    """The same answers from all backends."""
    answers = []
    for name in BACKENDS:
        with use_backend(name):
            answers.append(run())
    for plain, *others in zip(*answers, strict=True):
        for compiled in others:
            assert_close(compiled, plain)


@given(
    seed=st.integers(0, 2**31),
    slots=st.integers(0, 5),
    channels=st.integers(1, 2 * DEEP),
    glimpse=GLIMPSES,
    size=SIZES,
)
@example(seed=0, slots=3, channels=DEEP - 1, glimpse=(4, 3), size=(7, 6))
@example(seed=0, slots=3, channels=DEEP, glimpse=(4, 3), size=(7, 6))
def test_backends_read_and_write_the_same(
    seed: int, slots: int, channels: int, glimpse: tuple[int, int], size: tuple[int, int]
) -> None:
    random = torch.Generator().manual_seed(seed)
    images = torch.rand(2, channels, *size, generator=random, requires_grad=True)
    planes = torch.rand(2, slots, channels, *glimpse, generator=random, requires_grad=True)
    where = places(2, slots, random)
    off = torch.rand(2, slots, generator=random) < 0.3
    to_image, to_planes = noise_like(images), noise_like(planes)

    def run() -> tuple[Tensor, ...]:
        read = read_glimpses(images, where, glimpse)
        written = write_glimpses(planes, where, size, ~off)
        loss = (read * to_planes).sum() + (written * to_image).sum()
        return (read, written, *torch.autograd.grad(loss, [images, planes]))

    by_all(run)


@given(drawing=drawings(), data=st.data())
def test_backends_compose_the_same(drawing: Drawing, data: st.DataObject) -> None:
    active = noise_like(drawing.presence) < data.draw(st.floats(-2, 2))
    # Masks that add up to less than one: where they pass it, the gradient jumps.
    drawing = drawing._replace(mask=drawing.mask / drawing.mask.shape[1])
    inputs = [each.clone().requires_grad_() for each in drawing]
    weights = noise_like(drawing.background)

    def run() -> tuple[Tensor, ...]:
        frame = Drawing(*inputs).composed(active)
        colour, _, _, depth, _, background = inputs
        loss = (frame.image * weights).sum()
        return (*frame, *torch.autograd.grad(loss, [colour, depth, background]))

    by_all(run)


@each_backend
@given(drawing=drawings())
def test_values_stay_in_range(backend: Backend, drawing: Drawing) -> None:
    with use_backend(backend):
        frame = drawing.composed()
    for values in frame:
        assert values.min() >= -1e-6
        assert values.max() <= 1 + 1e-5
    # Black shows through where the mask lets it, and what is behind shows for the rest.
    assert (frame.foreground <= frame.mask + 1e-5).all()
    assert_close(frame.image, frame.foreground + (1 - frame.mask) * drawing.background)


@each_backend
@given(drawing=drawings(slots=(2, 5)), data=st.data())
def test_the_order_of_objects_does_not_matter(
    backend: Backend, drawing: Drawing, data: st.DataObject
) -> None:
    order = torch.tensor(data.draw(st.permutations(range(drawing.presence.shape[1]))))
    with use_backend(backend):
        frame, other = drawing.composed(), drawing.of_slots(lambda x: x[:, order]).composed()
        for mine, theirs in zip(frame, other, strict=True):
            assert_close(mine, theirs)
        # What is asked of each object goes with the object.
        canvas = frame.mask
        for ask in (
            lambda mask, where: overlap_share(mask, where, canvas),
            lambda mask, where: visible_pixels(mask, where, drawing.size),
        ):
            mask = drawing.mask.squeeze(2)
            own, shuffled = ask(mask, drawing.where), ask(mask[:, order], drawing.where[:, order])
            torch.testing.assert_close(own[:, order], shuffled, rtol=0, atol=0)


@each_backend
@given(drawing=drawings(slots=(2, 5)), data=st.data())
def test_absent_objects_do_not_paint(
    backend: Backend, drawing: Drawing, data: st.DataObject
) -> None:
    slots = drawing.presence.shape[1]
    there = torch.tensor(data.draw(st.lists(st.booleans(), min_size=slots, max_size=slots)))
    silent = drawing._replace(presence=drawing.presence * there)
    with use_backend(backend):
        alone = drawing.of_slots(lambda x: x[:, there])
        frames = [silent.composed(), drawing.composed(there.expand_as(drawing.presence))]
        if there.any():
            frames.append(alone.composed())
        for frame in frames[1:]:
            for mine, theirs in zip(frames[0], frame, strict=True):
                assert_close(mine, theirs)
        if not there.any():
            assert all(torch.equal(frame.image, drawing.background) for frame in frames)
            assert all((frame.mask == 0).all() for frame in frames)


@each_backend
@given(drawing=drawings(slots=(2, 5)), data=st.data())
def test_what_inactive_slots_hold_reaches_nothing(
    backend: Backend, drawing: Drawing, data: st.DataObject
) -> None:
    slots = drawing.presence.shape[1]
    there = torch.tensor(data.draw(st.lists(st.booleans(), min_size=slots, max_size=slots)))
    active = there.expand_as(drawing.presence)
    spoilt = drawing.of_slots(
        lambda x: x.clone().index_fill(1, (~there).nonzero()[:, 0], torch.nan)
    )
    inputs = [each.clone().requires_grad_() for each in spoilt]
    with use_backend(backend):
        clean = drawing.composed(active)
        frame = Drawing(*inputs).composed(active)
        gradients = torch.autograd.grad((frame.image * noise_like(frame.image)).sum(), inputs)
    assert torch.equal(frame.image, clean.image)
    for gradient in gradients:
        assert torch.isfinite(gradient).all()
    for gradient in gradients[:5]:
        assert (gradient[:, ~there] == 0).all()


@each_backend
@given(drawing=drawings(), factor=st.floats(-3, 3, width=32))
def test_writing_is_linear_and_has_its_adjoint(
    backend: Backend, drawing: Drawing, factor: float
) -> None:
    """<write(p), y> = <p, adjoint(y)>, where the adjoint is what the backward pass computes."""
    first, second = drawing.colour.clone().requires_grad_(), noise_like(drawing.colour)
    y = noise_like(drawing.background)
    with use_backend(backend):

        def write(planes: Tensor) -> Tensor:
            return write_glimpses(planes, drawing.where, drawing.size)

        assert_close(write(first + factor * second), write(first) + factor * write(second))
        inner = (write(first) * y).sum()
        (adjoint,) = torch.autograd.grad(inner, first)
        scale = first.detach().norm() * adjoint.norm() + 1
        assert abs(inner - (first * adjoint).sum()) < 1e-5 * scale
        # Linear: the adjoint is the same wherever it is taken, and so it is right for others.
        assert abs((write(second) * y).sum() - (second * adjoint).sum()) < 1e-4 * scale


@each_backend
@given(drawing=drawings())
def test_reading_has_its_adjoint(backend: Backend, drawing: Drawing) -> None:
    image, other = drawing.background.clone().requires_grad_(), noise_like(drawing.background)
    y = noise_like(drawing.colour)
    with use_backend(backend):

        def read(images: Tensor) -> Tensor:
            return read_glimpses(images, drawing.where, (y.shape[-2], y.shape[-1]))

        (adjoint,) = torch.autograd.grad((read(image) * y).sum(), image)
        scale = other.norm() * adjoint.norm() + 1
        assert abs((read(other) * y).sum() - (other * adjoint).sum()) < 1e-4 * scale


@each_backend
@given(drawing=drawings(slots=(1, 1)))
def test_writing_is_reading_through_the_inverse_box(backend: Backend, drawing: Drawing) -> None:
    """An object's canvas is its glimpse, read by the image as if the image were a glimpse of it."""
    centre, extent = drawing.where.split(2, -1)
    inverse = torch.cat((-centre / extent, 1 / extent), -1)
    with use_backend(backend):
        written = write_glimpses(drawing.colour, drawing.where, drawing.size)
        read = read_glimpses(drawing.colour[:, 0], inverse, drawing.size)[:, 0]
    torch.testing.assert_close(written, read, rtol=1e-3, atol=1e-3)


@each_backend
@given(seed=st.integers(0, 2**31), size=SIZES, data=st.data())
def test_a_box_on_whole_pixels_cuts_and_pastes(
    backend: Backend, seed: int, size: tuple[int, int], data: st.DataObject
) -> None:
    height, width = size
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    high = data.draw(st.integers(1, height - top))
    wide = data.draw(st.integers(1, width - left))
    where = torch.tensor(
        [
            [
                [
                    (2 * left + wide) / width - 1,
                    (2 * top + high) / height - 1,
                    wide / width,
                    high / height,
                ]
            ]
        ]
    )
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))
    there = (..., slice(top, top + high), slice(left, left + wide))
    with use_backend(backend):
        glimpse = read_glimpses(image, where, (high, wide))
        pasted = write_glimpses(glimpse, where, size)
    assert_close(glimpse[:, 0], image[there])
    only = torch.zeros_like(image)
    only[there] = image[there]
    assert_close(pasted, only)


@each_backend
@given(drawing=drawings(), level=st.floats(0, 1, width=32))
def test_reading_invents_no_values(backend: Backend, drawing: Drawing, level: float) -> None:
    size = (drawing.colour.shape[-2], drawing.colour.shape[-1])
    with use_backend(backend):
        glimpses = read_glimpses(drawing.background, drawing.where, size)
        flat = read_glimpses(torch.full_like(drawing.background, level), drawing.where, size)
        # Boxes whose glimpse pixels all lie inside the outermost pixels' centres.
        inner = drawing.where * torch.tensor([0.2, 0.2, 0.1, 0.1])
        deep = read_glimpses(torch.full((len(inner), 1, 20, 20), level), inner, size)
    assert glimpses.min() >= 0
    assert glimpses.max() <= drawing.background.max() + 1e-5
    assert flat.min() >= 0
    assert flat.max() <= level + 1e-5
    assert_close(deep, torch.full_like(deep, level))


@each_backend
@given(drawing=drawings(), canvas=st.floats(0, 1, width=32))
def test_shares_and_areas_stay_in_bounds(backend: Backend, drawing: Drawing, canvas: float) -> None:
    mask, (height, width) = drawing.mask.squeeze(2), drawing.size
    with use_backend(backend):
        share = overlap_share(
            mask, drawing.where, torch.full_like(drawing.background, canvas)[:, :1]
        )
        pixels = visible_pixels(mask, drawing.where, drawing.size)
        whole = visible_pixels(torch.ones_like(mask), drawing.where, drawing.size)
    assert ((share >= 0) & (share <= 1)).all()
    if canvas <= 0.1:
        assert (share == 0).all()
    area = drawing.where[..., 2] * drawing.where[..., 3] * height * width
    assert (pixels >= 0).all()
    assert (pixels <= whole * (1 + 1e-5)).all()
    assert (whole <= area * (1 + 1e-5)).all()
    # All of it counts where the box lies inside the view.
    inside = (drawing.where[..., :2].abs() + drawing.where[..., 2:] <= 1).all(-1)
    assert_close(whole[inside], area[inside])


def test_mass_centre_of_a_known_mask() -> None:
    mask = torch.zeros(4, 4)
    mask[1, 3] = 1.0
    x, y = mass_centre(mask).tolist()
    # Middle of column 3 and row 1, but for what keeps empty masks finite.
    assert (x, y) == pytest.approx((0.75, -0.25), abs=0.02)
    assert mass_centre(torch.zeros(3, 5)).tolist() == [0.0, 0.0]


def test_mass_centre_has_the_right_gradient() -> None:
    mask = torch.rand(2, 3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mass_centre, mask)
