"""Whole images to codes and back, at any size."""

from __future__ import annotations

import pytest
import torch

from scalor_ppl.nn.layers import ImageDecoder, ImageEncoder, kept_in_scale, mlp

SIZES = [(64, 64), (48, 80), (17, 23), (5, 4), (7, 66)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_to_codes_and_back(size: tuple[int, int], channels: int) -> None:
    encoder = ImageEncoder(channels, size, out=6, width=8)
    decoder = ImageDecoder(6, channels, size, width=16, hidden=12)
    images = torch.rand(4, channels, *size)
    codes = encoder(images)
    assert codes.shape == (4, 6)
    again = decoder(codes)
    assert again.shape == images.shape
    # Every pixel depends on the code, and every parameter on every pixel's error.
    assert (decoder(codes + 1) != again).all()
    (again * torch.randn_like(again)).sum().backward()
    for module in (encoder, decoder):
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_a_code_depends_on_all_of_the_image() -> None:
    encoder = ImageEncoder(1, (16, 24), out=5, width=4)
    image = torch.rand(1, 1, 16, 24, requires_grad=True)
    encoder(image).square().sum().backward()
    assert image.grad is not None
    assert (image.grad != 0).all()


def test_width_of_the_detail() -> None:
    def count(width: int, hidden: int) -> int:
        return sum(p.numel() for p in ImageDecoder(8, 3, (64, 64), width, hidden).parameters())

    # The layer that opens out to 4 x 4 pixels of all channels is most of it.
    assert count(64, 128) - count(32, 128) > 129 * 32 * 16
    assert count(64, 128) < 160_000 < count(128, 256)


def test_signals_keep_their_scale() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(500, 64)
    kept, shrunk = (mlp(64, 64, 64, 64, 64) for _ in range(2))
    kept_in_scale(kept)
    assert kept(inputs).std() > 0.5
    assert shrunk(inputs).std() < 0.2
