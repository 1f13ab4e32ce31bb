"""Boxes, pixels, and the real numbers behind them: each map and its inverse."""

from __future__ import annotations

import torch

from scalor_ppl.render import boxes as geometry


def test_boxes_by_hand() -> None:
    where = torch.tensor([[0.0, 0.0, 1.0, 1.0], [-1.0, 1.0, 0.5, 0.25], [0.5, -0.5, 0.1, 0.2]])
    expected = torch.tensor([[0.0, 0, 80, 48], [-20.0, 42, 40, 12], [56.0, 7.2, 8, 9.6]])
    torch.testing.assert_close(geometry.boxes_from_where(where, (48, 80)), expected)


def test_boxes_round_trip() -> None:
    where = torch.rand(5, 7, 4) * 3 - 1
    boxes = geometry.boxes_from_where(where, (48, 80))
    torch.testing.assert_close(geometry.where_from_boxes(boxes, (48, 80)), where, atol=1e-5, rtol=0)


def test_cells() -> None:
    centres = geometry.cell_centres((2, 4))
    assert centres.shape == (8, 2)
    torch.testing.assert_close(centres[:4, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    torch.testing.assert_close(centres[:, 1], torch.tensor([-0.5] * 4 + [0.5] * 4))
    torch.testing.assert_close(geometry.cell_size((2, 4)), torch.tensor([0.5, 1.0]))
    torch.testing.assert_close(geometry.cell_centres((1, 1)), torch.zeros(1, 2))


def test_bounded() -> None:
    raw = torch.linspace(-6, 6, 41)
    value = geometry.bounded(raw, 0.1, 0.4)
    assert ((value > 0.1) & (value < 0.4)).all()
    assert (value.diff() > 0).all()
    torch.testing.assert_close(geometry.bounded(torch.zeros(()), 0.1, 0.4), torch.tensor(0.25))
    torch.testing.assert_close(geometry.unbounded(value, 0.1, 0.4), raw, atol=1e-3, rtol=0)
    low, high = torch.tensor([0.1, 0.2]), torch.tensor([0.3, 0.9])
    both = geometry.bounded(torch.zeros(5, 2), low, high)
    torch.testing.assert_close(both, torch.tensor([[0.2, 0.55]]).expand(5, 2))


def test_inverses_are_finite_out_of_range() -> None:
    wild = torch.tensor([-1e9, -1.0, 0.1, 0.4, 7.0, 1e9], requires_grad=True)
    raw = geometry.unbounded(wild, 0.1, 0.4)
    step = geometry.movement(torch.zeros(6), wild, 0.3)
    (raw.sum() + step.sum()).backward()
    assert wild.grad is not None
    for tensor in (raw, step, wild.grad):
        assert torch.isfinite(tensor).all()


def test_cell_positions_round_trip_and_stay_near() -> None:
    cells = geometry.CellPositions.on_grid((4, 6), reach=0.7)
    raw = torch.randn(3, 24, 2)
    position = cells.position(raw)
    away = (position - cells.centres).abs() / cells.cell
    assert away.max() <= 0.7 + 1e-5
    torch.testing.assert_close(cells.raw(position), raw, atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(cells.position(torch.zeros(24, 2)), cells.centres)
    double = geometry.CellPositions.on_grid((4, 6), like=torch.zeros(1, dtype=torch.float64))
    assert double.position(raw.double()).dtype == torch.float64


def test_moves_round_trip_and_are_limited() -> None:
    previous = torch.rand(9, 2) * 2 - 1
    raw = torch.randn(9, 2)
    position = geometry.moved(previous, raw, 0.2)
    assert (position - previous).abs().max() <= 0.2 + 1e-6
    torch.testing.assert_close(
        geometry.movement(previous, position, 0.2), raw, atol=1e-2, rtol=1e-2
    )
