"""Boxes for any image, any number and any grid: round trips, bounds, order and gradients."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from scalor_ppl.render.boxes import (
    CellPositions,
    bounded,
    boxes_from_where,
    cell_centres,
    cell_size,
    moved,
    movement,
    unbounded,
    where_from_boxes,
)

SIZES = st.tuples(st.integers(1, 512), st.integers(1, 512))
GRIDS = st.tuples(st.integers(1, 12), st.integers(1, 12))


def numbers(low: float, high: float, *shape: int) -> st.SearchStrategy[Tensor]:
    """Float64 tensors: round trips are then exact enough to be told from mistakes."""
    drawn = arrays(np.float64, shape, elements=st.floats(low, high))
    return drawn.map(torch.from_numpy)


@st.composite
def wheres(draw: st.DrawFn, count: int = 4) -> Tensor:
    """Boxes within, across and beyond the image, from a thousandth of it to three times it."""
    return torch.cat((draw(numbers(-3, 3, count, 2)), draw(numbers(1e-3, 3, count, 2))), -1)


@given(where=wheres(), size=SIZES)
def test_pixels_and_back(where: Tensor, size: tuple[int, int]) -> None:
    boxes = boxes_from_where(where, size)
    torch.testing.assert_close(where_from_boxes(boxes, size), where, rtol=0, atol=1e-12)


@given(boxes=numbers(-600, 600, 4, 4), size=SIZES)
def test_image_coordinates_and_back(boxes: Tensor, size: tuple[int, int]) -> None:
    where = where_from_boxes(boxes, size)
    torch.testing.assert_close(boxes_from_where(where, size), boxes, rtol=0, atol=1e-9)


@given(where=wheres(), size=SIZES)
def test_edges_are_where_the_convention_says(where: Tensor, size: tuple[int, int]) -> None:
    """A box reaches from centre - extent to centre + extent; -1 and 1 are the image's edges."""
    image = torch.tensor([size[1], size[0]])
    start, extent = boxes_from_where(where, size).split(2, -1)
    for edge, in_pixels in (
        (where[:, :2] - where[:, 2:], start),
        (where[:, :2] + where[:, 2:], start + extent),
    ):
        torch.testing.assert_close(in_pixels, (edge + 1) / 2 * image, rtol=0, atol=1e-9)


@given(where=wheres(), size=SIZES, shift=numbers(-1, 1, 2), scale=st.floats(0.1, 4))
def test_boxes_move_and_grow_with_their_numbers(
    where: Tensor, size: tuple[int, int], shift: Tensor, scale: float
) -> None:
    image = torch.tensor([size[1], size[0]])
    before = boxes_from_where(where, size)
    after = boxes_from_where(torch.cat((where[:, :2] + shift, where[:, 2:]), -1), size)
    torch.testing.assert_close(
        after - before,
        torch.cat((shift * image / 2, torch.zeros(2))).expand(4, 4).double(),
        rtol=0,
        atol=1e-9,
    )
    grown = boxes_from_where(torch.cat((where[:, :2], where[:, 2:] * scale), -1), size)
    torch.testing.assert_close(grown[:, 2:], before[:, 2:] * scale, rtol=1e-12, atol=0)
    centre = (before[:, :2] + before[:, 2:] / 2, grown[:, :2] + grown[:, 2:] / 2)
    torch.testing.assert_close(*centre, rtol=0, atol=1e-9)


@given(raw=numbers(-9, 9, 6), low=st.floats(-2, 2), width=st.floats(1e-2, 5))
def test_bounded_and_back(raw: Tensor, low: float, width: float) -> None:
    high = low + width
    value = bounded(raw, low, high)
    assert ((value > low) & (value < high)).all()
    torch.testing.assert_close(unbounded(value, low, high), raw, rtol=1e-6, atol=1e-6)
    # One to one, and in order.
    order = raw.argsort()
    assert (value[order].diff() >= 0).all()
    torch.testing.assert_close(bounded(-raw, low, high), low + high - value, rtol=0, atol=1e-12)


@given(raw=numbers(-9, 9, 6), low=st.floats(-2, 2), width=st.floats(1e-2, 5))
def test_the_slope_of_bounded(raw: Tensor, low: float, width: float) -> None:
    raw.requires_grad_()
    value = bounded(raw, low, low + width)
    (slope,) = torch.autograd.grad(value.sum(), raw)
    share = (value.detach() - low) / width
    torch.testing.assert_close(slope, width * share * (1 - share), rtol=1e-6, atol=1e-9)
    assert (slope > 0).all()
    # The inverse has the inverse slope.
    value = value.detach().requires_grad_()
    (back,) = torch.autograd.grad(unbounded(value, low, low + width).sum(), value)
    torch.testing.assert_close(back * slope, torch.ones_like(slope), rtol=1e-4, atol=0)


@given(value=numbers(-1e30, 1e30, 6), low=st.floats(-2, 2), width=st.floats(1e-2, 5))
def test_inverses_are_finite_for_any_number(value: Tensor, low: float, width: float) -> None:
    for kind in (torch.float32, torch.float64):
        wild = value.to(kind).requires_grad_()
        raw = unbounded(wild, low, low + width)
        step = movement(torch.zeros_like(wild), wild, width)
        (slope,) = torch.autograd.grad((raw + step).sum(), wild)
        for tensor in (raw, step, slope):
            assert torch.isfinite(tensor).all()
        assert raw.abs().max() < 20
        assert step.abs().max() < 10


@given(previous=numbers(-2, 2, 5, 2), raw=numbers(-5, 5, 5, 2), limit=numbers(1e-2, 2, 2))
def test_moves_are_bounded_even_and_undone(previous: Tensor, raw: Tensor, limit: Tensor) -> None:
    raw.requires_grad_()
    position = moved(previous, raw, limit)
    step = position - previous
    assert (step.abs() <= limit + 1e-12).all()
    assert (step * raw >= 0).all()
    torch.testing.assert_close(moved(previous, -raw, limit) - previous, -step, rtol=0, atol=1e-12)
    torch.testing.assert_close(movement(previous, position, limit), raw, rtol=1e-5, atol=1e-6)
    # The slope is that of tanh: never more than the limit, and never against the movement.
    (slope,) = torch.autograd.grad(step.sum(), raw)
    torch.testing.assert_close(
        slope, limit * (1 - (step.detach() / limit) ** 2), rtol=1e-6, atol=1e-9
    )
    assert (slope > 0).all()


@given(grid=GRIDS)
def test_cells_tile_the_image(grid: tuple[int, int]) -> None:
    rows, columns = grid
    centres, cell = cell_centres(grid), cell_size(grid)
    assert centres.shape == (rows * columns, 2)
    lattice = centres.unflatten(0, grid)
    for axis, lines in ((0, lattice[0, :, 0]), (1, lattice[:, 0, 1])):
        edges = torch.cat((lines - cell[axis] / 2, lines[-1:] + cell[axis] / 2))
        torch.testing.assert_close(edges, torch.linspace(-1, 1, len(lines) + 1), rtol=0, atol=1e-6)
    # Row by row: x does not change down a column, nor y along a row.
    assert (lattice[..., 0] == lattice[:1, :, 0]).all()
    assert (lattice[..., 1] == lattice[:, :1, 1]).all()


@given(data=st.data(), grid=GRIDS, reach=st.floats(0.1, 2))
def test_positions_stay_within_reach_of_their_cell(
    data: st.DataObject, grid: tuple[int, int], reach: float
) -> None:
    cells = CellPositions.on_grid(grid, reach, like=torch.zeros(1, dtype=torch.float64))
    raw = data.draw(numbers(-5, 5, grid[0] * grid[1], 2))
    position = cells.position(raw)
    assert ((position - cells.centres).abs() <= reach * cells.cell + 1e-12).all()
    torch.testing.assert_close(cells.raw(position), raw, rtol=1e-5, atol=1e-6)
    if reach <= 0.5:
        # No cell proposes what another could: the nearest centre is its own.
        offset = (position[:, None] - cells.centres[None]) / cells.cell
        assert torch.equal(offset.abs().amax(-1).argmin(1), torch.arange(len(raw)))
