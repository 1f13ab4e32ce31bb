"""Mixtures, products and chains: densities against other ways to compute them, and samples."""

import itertools

import pyro.distributions as dist
import pytest
import torch
from conditioned import Mixture

from scalor_ppl.nn.chained import ChainedPresence
from scalor_ppl.nn.distributions import Presence
from scalor_ppl.nn.mixtures import Product, clusters, heaviest
from scalor_ppl.nn.modes import mode_of
from scalor_ppl.nn.tempered import FreeMixture, tempered
from scalor_ppl.scalor.noise import quantile
from scalor_ppl.scalor.priors.absence import PresentOrAbsent


def a_mixture(count: int = 3, n: int = 4) -> Mixture:
    torch.manual_seed(0)
    tril = (0.3 * torch.randn(count, n, n)).tril(-1) + torch.diag_embed(torch.rand(count, n) + 0.3)
    return Mixture(torch.randn(2, count), torch.randn(count, n), tril)


def test_the_chain_rule_of_a_mixture_gives_its_joint_density() -> None:
    mixture = a_mixture()
    value = torch.randn(2, 4)
    joint = mixture.first(4).log_prob(value)
    rest = mixture.given(value[:, :2])
    then = rest.given(value[:, 2:3])
    parts = (
        mixture.first(2).log_prob(value[:, :2])
        + rest.scalar().log_prob(value[:, 2])
        + then.first(1).log_prob(value[:, 3:])
    )
    torch.testing.assert_close(parts, joint)


def test_clusters_are_found() -> None:
    torch.manual_seed(0)
    centres = torch.tensor([[-3.0, 0.0], [3.0, 1.0]])
    draws = centres[torch.arange(200) % 2] + 0.1 * torch.randn(200, 2)
    found, own = clusters(draws, 2)
    assert torch.cdist(centres, found).amin(1).max() < 0.05
    assert (own[::2] == own[0]).all()
    assert (own[1::2] == own[1]).all()
    assert own[0] != own[1]


def test_a_product_is_its_parts_side_by_side() -> None:
    parts = (dist.Normal(torch.zeros(3, 2), 1.0).to_event(1), a_mixture().first(1))
    with pytest.raises(RuntimeError):  # batches of 3 and 2
        Product(parts)
    one = dist.Normal(torch.tensor([5.0, -5.0]), 0.1).to_event(1)
    both = Product((one, a_mixture().first(1)))
    assert both.batch_shape == (2,)
    assert both.event_shape == (3,)
    value = both.sample()
    assert (value[:, :2] - torch.tensor([5.0, -5.0])).abs().max() < 1
    expected = one.log_prob(value[:, :2]) + a_mixture().first(1).log_prob(value[:, 2:])
    torch.testing.assert_close(both.log_prob(value), expected)
    torch.testing.assert_close(both.mean[:, :2], torch.tensor([[5.0, -5.0], [5.0, -5.0]]))


def test_the_mode_of_a_mixture_is_the_mean_of_its_heaviest_component() -> None:
    weights = dist.Categorical(logits=torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    means = torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])
    mixture = dist.MixtureSameFamily(weights, dist.Normal(means, 0.1).to_event(1))
    torch.testing.assert_close(heaviest(mixture), torch.tensor([[2.0], [3.0]]))
    product = Product((mixture, dist.Normal(torch.zeros(2, 1), 1.0).to_event(1)))
    mode = mode_of(product)
    assert mode is not None
    torch.testing.assert_close(mode, torch.tensor([[2.0, 0.0], [3.0, 0.0]]))


def test_quantiles_of_a_mixture_have_its_distribution() -> None:
    torch.manual_seed(0)
    weights = dist.Categorical(probs=torch.tensor([0.3, 0.7]))
    normal = dist.Normal(torch.tensor([[-2.0, 1.0], [3.0, -1.0]]), torch.tensor(0.5)).to_event(1)
    mixture = dist.MixtureSameFamily(weights, normal).expand((20000,))
    found = quantile(mixture, torch.rand(20000, 2))
    assert found is not None
    left = found[:, 0] < 0.5
    assert abs(left.float().mean().item() - 0.3) < 0.02
    for side, centre in ((left, [-2.0, 1.0]), (~left, [3.0, -1.0])):
        torch.testing.assert_close(found[side].mean(0), torch.tensor(centre), atol=0.03, rtol=0)
        torch.testing.assert_close(found[side].std(0), torch.tensor([0.5, 0.5]), atol=0.03, rtol=0)


def chain(kind: Presence, videos: int = 1, cells: int = 4) -> ChainedPresence:
    """Each cell wants to be as the one before is not."""

    def logits(weights: torch.Tensor, part: slice) -> torch.Tensor:
        before = torch.nn.functional.pad(weights[:, :-1], (1, 0), value=0.3)
        return 1.0 - 3.0 * before[:, part]

    return ChainedPresence(kind, logits, (videos, cells), torch.zeros(()))


def test_the_probabilities_of_a_chain_add_up_to_one() -> None:
    values = torch.tensor([*itertools.product((0.0, 1.0), repeat=4)])
    fn = chain(Presence("hard"), 16)
    assert abs(fn.log_prob(values).sum(-1).exp().sum().item() - 1) < 1e-5


def test_samples_of_a_chain_follow_its_probabilities() -> None:
    torch.manual_seed(0)
    fn = chain(Presence("hard"), 20000)
    drawn = fn.sample()
    for value in ([0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]):
        wanted = chain(Presence("hard")).log_prob(torch.tensor([value])).sum().exp().item()
        share = (drawn == torch.tensor(value)).all(-1).float().mean().item()
        assert abs(share - wanted) < 0.015


@pytest.mark.parametrize("kind", ["hard", "relaxed"])
def test_the_mode_of_a_chain_takes_the_likelier_side_cell_by_cell(kind: str) -> None:
    presence = Presence(kind, 0.5)  # type: ignore[arg-type]
    mode = mode_of(chain(presence))
    assert mode is not None
    assert (presence.weight(mode) > 0.5).tolist() == [[True, False, True, False]]


def test_noise_is_tempered_and_what_is_chosen_is_not() -> None:
    torch.manual_seed(0)
    normal = dist.Normal(torch.full((4000, 2), 3.0), 2.0).to_event(1)
    weights = dist.Categorical(probs=torch.tensor([0.3, 0.7]).expand(4000, 2))
    parts = dist.Normal(torch.tensor([[-9.0], [9.0]]).expand(4000, 2, 1), 1.0).to_event(1)
    product = Product((normal, dist.MixtureSameFamily(weights, parts)))
    drawn = tempered(product, 0.25)
    assert drawn.shape == (4000, 3)
    torch.testing.assert_close(drawn[:, :2].std(0), torch.full((2,), 0.5), atol=0.03, rtol=0)
    torch.testing.assert_close(drawn[:, :2].mean(0), torch.full((2,), 3.0), atol=0.05, rtol=0)
    left = drawn[:, 2] < 0
    assert abs(left.float().mean().item() - 0.3) < 0.03
    assert drawn[left, 2].std().item() == pytest.approx(0.25, abs=0.03)
    free = torch.arange(4000) % 2 == 0
    mixed = FreeMixture(weights, parts, free[:, None].expand(4000, 2)).expand((4000,))
    drawn = tempered(mixed, 0.25)[:, 0]
    for where, width in ((free, 1.0), (~free, 0.25)):
        assert drawn[where & (drawn > 0)].std().item() == pytest.approx(width, abs=0.05)
    # An outlier is drawn to what it lies off.
    about = torch.full((4000, 2, 1), 9.0)
    drawn = tempered(FreeMixture(weights, parts, torch.zeros(4000, 2).bool(), about), 0.25)[:, 0]
    assert drawn[drawn < 7].mean().item() == pytest.approx(9 - 0.25 * 18, abs=0.05)
    assert drawn[drawn < 7].std().item() == pytest.approx(0.25, abs=0.03)
    # What is noise itself is drawn as seldom as the noise is scaled.
    rare = torch.tensor([True, False]).expand(4000, 2)
    mixed = FreeMixture(weights, parts, torch.zeros(4000, 2).bool(), seldom=rare).expand((4000,))
    for temperature, share in ((1.0, 0.3), (0.25, 0.075 / 0.775), (0.0, 0.0)):
        left = tempered(mixed, temperature)[:, 0] < 0
        assert left.float().mean().item() == pytest.approx(share, abs=0.025)
    mode = mode_of(FreeMixture(weights, parts, ~rare, seldom=~rare))
    assert mode is not None
    assert (mode == -9).all()
    # What enters is sampled as it is.
    there = PresentOrAbsent(torch.full((4000,), 20.0), dist.Normal(torch.zeros(4000), 3.0))
    assert tempered(there, 0.1).std().item() == pytest.approx(3.0, abs=0.15)
    bernoulli = dist.Bernoulli(torch.full((4000,), 0.3))
    assert abs(tempered(bernoulli, 0.0).mean().item() - 0.3) < 0.03


def test_the_mode_of_what_may_be_there_is_of_the_likelier_side() -> None:
    present = dist.Normal(torch.tensor([2.0, 3.0]), 1.0)
    mode = mode_of(PresentOrAbsent(torch.tensor([5.0, -5.0]), present))
    assert mode is not None
    assert mode.tolist() == [2.0, 0.0]


def test_odds_and_density_of_one_draw_ask_its_distribution_once() -> None:
    class Counted(dist.Normal):
        asked = 0

        def log_prob(self, value: torch.Tensor) -> torch.Tensor:
            Counted.asked += 1
            return super().log_prob(value)

    fn = PresentOrAbsent(torch.tensor([1.0, -1.0]), Counted(torch.tensor([2.0, 3.0]), 0.5))
    value, other = torch.tensor([1.5, 0.5]), torch.tensor([0.5, 2.5])
    fn.odds_given(value)
    kept = fn.expand((2,)).log_prob(value)
    assert Counted.asked == 1
    torch.testing.assert_close(fn.log_prob(value.clone()), kept)
    assert (fn.log_prob(other) - kept).abs().min() > 0.1
    torch.testing.assert_close(fn.log_prob(value), kept)
