"""Sharpness of pictures: what smooth ones lack."""

import pytest
import torch

from scalor_ppl.nn.sharpness import contrast_error, edge_contrast, edges


def test_flat_pictures_have_no_edges() -> None:
    assert edges(torch.full((2, 3, 16, 20), 0.7)).abs().max() < 1e-6


def test_edges_of_one_bright_pixel_are_its_rest_and_its_neighbours_share() -> None:
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 4] = 1
    found = edges(image)[0, 0, 3:6, 3:6]
    corner, side = -1 / 16, -2 / 16
    expected = [[corner, side, corner], [side, 12 / 16, side], [corner, side, corner]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_fainter_edges_cost_the_square_of_what_they_lack() -> None:
    image = torch.rand(3, 2, 24, 32)
    energy = edge_contrast(image).square().flatten(1).mean(1) * 24 * 32
    found = contrast_error(0.6 * image, image)
    torch.testing.assert_close(found, 0.16 * energy, rtol=1e-2, atol=1e-2)
    assert contrast_error(image, image).abs().max() == 0


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (64, 64)])
def test_smooth_pictures_are_pulled_towards_contrast(size: tuple[int, int]) -> None:
    truth = torch.rand(2, 3, *size)
    smooth = (truth - 0.5 * edges(truth)).requires_grad_()
    contrast_error(smooth, truth).sum().backward()
    assert smooth.grad is not None
    assert torch.isfinite(smooth.grad).all()
    if min(size) > 1:
        sharper = smooth.detach() - 1e-2 * smooth.grad
        assert (contrast_error(sharper, truth) < contrast_error(smooth, truth)).all()
    dark = torch.zeros(2, 3, *size, requires_grad=True)
    contrast_error(dark, truth).sum().backward()
    assert dark.grad is not None
    assert torch.isfinite(dark.grad).all()
