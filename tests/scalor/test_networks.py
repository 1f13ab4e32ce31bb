"""Networks: shapes for any size, carried state, gradients to every parameter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalor_ppl.errors import UserError
from scalor_ppl.nn.layers import ConvLSTM, GridEncoder, SubPixelDecoder, mlp, positive
from scalor_ppl.scalor.networks import (
    ConvGlimpseEncoder,
    FcGlimpseDecoder,
    FcGlimpseEncoder,
    Template,
    WideGlimpseDecoder,
    glimpse_decoder,
    glimpse_encoder,
    run_mixed,
)

Size = tuple[int, int]
SIZES: list[tuple[Size, Size]] = [
    ((48, 80), (3, 5)),
    ((17, 23), (3, 5)),
    ((17, 23), (1, 1)),
    ((64, 64), (8, 8)),
    ((16, 16), (1, 1)),
    ((5, 4), (5, 4)),
    ((24, 32), (2, 8)),
]


def assert_all_learn(module: nn.Module, output: Tensor) -> None:
    (output * torch.randn_like(output)).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_mlp() -> None:
    net = mlp(3, 5, 7, 2)
    assert [type(layer).__name__ for layer in net] == [
        *["GatheredLinear", "CELU"] * 2,
        "GatheredLinear",
    ]
    output = net(torch.randn(4, 6, 3))
    assert output.shape == (4, 6, 2)
    assert_all_learn(net, output)
    assert [type(layer).__name__ for layer in mlp(3, 2)] == ["GatheredLinear"]


def test_positive() -> None:
    raw = torch.tensor([-100.0, -1.0, 0.0, 0.5413, 50.0])
    value = positive(raw)
    torch.testing.assert_close(value, F.softplus(raw) + 0.001)
    assert (value >= 0.001).all()
    torch.testing.assert_close(positive(raw, 2.0), F.softplus(raw + 2) + 0.001)


@pytest.mark.parametrize(("size", "grid"), SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_grid_encoder(size: Size, grid: Size, channels: int) -> None:
    net = GridEncoder(channels, 7, size, grid, width=4)
    output = net(torch.rand(2, channels, *size))
    assert output.shape == (2, 7, *grid)
    assert_all_learn(net, output)


def test_features_of_a_cell_come_from_its_place() -> None:
    net = GridEncoder(1, 6, (32, 48), (8, 12))
    image = torch.zeros(1, 1, 32, 48)
    blank = net(image)
    image[..., 4:8, 36:40] = 1
    change = (net(image) - blank).abs().sum(1)[0]
    # The pixels of the cell in row 1, column 9, reach its neighbours and nobody else.
    assert change[1, 9] > 0
    assert (change[4:] == 0).all()
    assert (change[:, :6] == 0).all()


@pytest.mark.parametrize("size", [(3, 5), (1, 1)])
def test_conv_lstm_carries_its_state(size: Size) -> None:
    net = ConvLSTM(4, 6)
    features = torch.randn(2, 7, 4, *size)
    whole, (hidden, cell) = net(features)
    assert whole.shape == (2, 7, 6, *size)
    assert torch.equal(whole[:, -1], hidden)
    state = None
    parts = []
    for chunk in features.split((3, 1, 3), 1):
        part, state = net(chunk, state)
        parts.append(part)
    assert state is not None
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    torch.testing.assert_close(state[0], hidden)
    torch.testing.assert_close(state[1], cell)
    assert_all_learn(net, whole)


def test_conv_lstm_starts_at_zero_and_looks_back_only() -> None:
    net = ConvLSTM(2, 3)
    features = torch.randn(1, 4, 2, 3, 3)
    zero = torch.zeros(1, 3, 3, 3)
    torch.testing.assert_close(net(features, (zero, zero))[0], net(features)[0])
    changed = features.clone()
    changed[:, 2] += 1
    early, late = net(features)[0], net(changed)[0]
    assert torch.equal(early[:, :2], late[:, :2])
    assert (early[:, 2:] != late[:, 2:]).any()


def test_conv_lstm_is_an_lstm() -> None:
    # On a map of one pixel the 3 x 3 kernels act by their centres alone, as torch's LSTMCell does;
    # its gates come in another order and the forget gate has no offset of one.
    net, cell = ConvLSTM(4, 5), nn.LSTMCell(4, 5)
    with torch.no_grad():
        order = torch.cat([torch.arange(5) + 5 * k for k in (0, 1, 3, 2)])
        cell.weight_ih.copy_(net.from_input.weight[order, :, 1, 1])
        cell.weight_hh.copy_(net.from_state.weight[order, :, 1, 1])
        assert net.from_input.bias is not None
        cell.bias_ih.copy_(net.from_input.bias[order])
        cell.bias_ih[5:10] += 1
        cell.bias_hh.zero_()
    features = torch.randn(3, 6, 4, 1, 1)
    ours, _ = net(features)
    state = (torch.zeros(3, 5), torch.zeros(3, 5))
    for t in range(6):
        state = cell(features[:, t, :, 0, 0], state)
        torch.testing.assert_close(ours[:, t, :, 0, 0], state[0])


@pytest.mark.parametrize("glimpse", [(12, 12), (6, 9), (3, 2), (32, 32)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["fc", "conv"])
def test_glimpse_networks(kind: str, channels: int, glimpse: Size) -> None:
    encoder = glimpse_encoder(kind, channels, glimpse, 10)
    output = encoder(torch.rand(3, channels, *glimpse))
    assert output.shape == (3, 10)
    assert_all_learn(encoder, output)
    decoder = glimpse_decoder(kind, 5, channels, glimpse)
    # Enough codes that no part of the cropped border is untouched by chance.
    logits = decoder(torch.randn(4, 5))
    assert logits.shape == (4, channels + 1, *glimpse)
    assert_all_learn(decoder, logits)


def test_a_wide_decoder() -> None:
    decoder = glimpse_decoder("wide", 5, 3, (6, 9))
    assert isinstance(decoder, WideGlimpseDecoder)
    logits = decoder(torch.randn(4, 5))
    assert logits.shape == (4, 4, 6, 9)
    assert_all_learn(decoder, logits)
    assert [layer.out_features for layer in decoder.layers if isinstance(layer, nn.Linear)] == [
        *WideGlimpseDecoder.widths,
        4 * 6 * 9,
    ]


@pytest.mark.parametrize("kind", ["fc", "conv"])
def test_an_outlined_mask_knows_the_first_dimensions_only(kind: str) -> None:
    decoder = glimpse_decoder(kind, 5, 3, (6, 9), outline=2)
    code = torch.randn(4, 5)
    logits = decoder(code)
    assert logits.shape == (4, 4, 6, 9)
    assert_all_learn(decoder, logits)
    for dimension in range(5):
        other = code.clone()
        other[:, dimension] += 1
        changed = (decoder(other) - logits).abs().amax((0, 2, 3)) > 0
        assert changed.tolist() == [True, True, True, dimension < 2]


def test_kinds_of_glimpse_networks() -> None:
    for kind, encoder, decoder in (
        ("fc", FcGlimpseEncoder, FcGlimpseDecoder),
        ("conv", ConvGlimpseEncoder, SubPixelDecoder),
    ):
        read = glimpse_encoder(kind, 3, (8, 6), 4)
        drawn = glimpse_decoder(kind, 4, 3, (8, 6))
        assert (type(read), type(drawn)) == (encoder, decoder)
        glimpses = torch.rand(5, 3, 8, 6)
        codes = read(glimpses)
        assert codes.shape == (5, 4)
        logits = drawn(codes)
        assert logits.shape == (5, 3 + 1, 8, 6)  # colour and mask
        # A glimpse is coded and drawn by itself.
        torch.testing.assert_close(drawn(read(glimpses[2:3])), logits[2:3], rtol=1e-4, atol=1e-5)
        assert_all_learn(nn.ModuleList([read, drawn]), logits)
        # With an outline the mask hangs on the first dimensions of the code alone.
        outlined = glimpse_decoder(kind, 4, 3, (8, 6), outline=1)
        other = codes.clone()
        other[:, 1:] += 1
        before, after = outlined(codes), outlined(other)
        assert before.shape == logits.shape
        assert torch.equal(before[:, 3:], after[:, 3:])
        assert not torch.equal(before[:, :3], after[:, :3])
    with pytest.raises(UserError, match=r"guide\.encoder: there is no 'vit'; there are fc, conv"):
        glimpse_encoder("vit", 3, (8, 6), 4)


OWN = """
from torch import nn

class Linear(nn.Module):
    def __init__(self, width, channels, glimpse):
        super().__init__()
        self.shape = (channels, *glimpse)
        self.layer = nn.Linear(width, channels * glimpse[0] * glimpse[1])

    def forward(self, codes):
        return self.layer(codes).unflatten(-1, self.shape)

class Wrong(Linear):
    def forward(self, codes):
        return self.layer(codes)
"""


def test_a_decoder_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    decoder = glimpse_decoder(f"{file}:Linear", 5, 3, (6, 4))
    assert decoder(torch.zeros(7, 5)).shape == (7, 4, 6, 4)
    halves = glimpse_decoder(f"{file}:Linear", 5, 3, (6, 4), outline=2)
    assert halves(torch.zeros(7, 5)).shape == (7, 4, 6, 4)
    for name, said in (
        ("Wrong", r"makes \(2, 96\) of \(2, 5\), and \(2, 4, 6, 4\) is wanted"),
        ("nn", "has no class 'nn'"),
        ("Liner", "did you mean Linear"),
    ):
        with pytest.raises(UserError, match=said):
            glimpse_decoder(f"{file}:{name}", 5, 3, (6, 4))


def test_crops_of_a_template_are_cut_and_mirrored_where_they_lie() -> None:
    template = Template(2, 3, (9, 11))
    image = torch.rand(3, 9, 11)
    template.image.data.copy_(image)
    corner = torch.tensor([[0, 0, 0], [3, 2, 1], [5, 6, 0]])
    crops = template.logits(corner, (4, 5))
    assert torch.equal(crops[0], image[:, :4, :5])
    assert torch.equal(crops[1], image[:, 3:7, 2:7].flip(-1))
    assert torch.equal(crops[2], image[:, 5:9, 6:11])
    assert torch.equal(template.logits(corner[:, :2], (4, 5))[1], image[:, 3:7, 2:7])
    crops.sum().backward()
    assert template.image.grad is not None
    assert template.image.grad[0, 3, 3] == 2.0  # two crops show it
    assert template.image.grad[0, 8, 0] == 0.0


@pytest.mark.parametrize("size", [(13, 10), (48, 80), (17, 23), (64, 64), (4, 4), (2, 3), (5, 33)])
@pytest.mark.parametrize("channels", [1, 4])
def test_sub_pixel_decoder(size: Size, channels: int) -> None:
    net = SubPixelDecoder(6, channels, size)
    assert max(net.start) <= 4
    output = net(torch.randn(3, 6))
    assert output.shape == (3, channels, *size)
    # Every pixel depends on the code.
    assert (output[0] != output[1]).all()
    assert_all_learn(net, output)


def test_mixed_precision_of_a_network() -> None:
    net = FcGlimpseDecoder(6, 3, (8, 8))
    codes = torch.randn(5, 6)
    exact = net(codes)
    assert torch.equal(run_mixed(net, codes, False), exact)
    rough = run_mixed(net, codes, True)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    # bfloat16 has eight bits of mantissa.
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.02 * exact.abs().max().item())
    assert_all_learn(net, rough)


def test_the_papers_glimpse_networks_have_the_papers_size() -> None:
    encoder = glimpse_encoder("conv", 3, (32, 32), 128)
    decoder = glimpse_decoder("conv", 32, 3, (32, 32))
    widths = [m.out_channels for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [16, 32, 64, 128]
    assert isinstance(decoder, SubPixelDecoder)
    assert decoder.start == (4, 4)
