"""Classifier two-sample test: can a small network tell one side from the other?

Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017; with the area under the
ROC curve in place of the accuracy, which needs no threshold. Clips are split in halves: one trains
the network, the other is judged, so that nothing is told by having been seen.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional as F

from scalor_ppl.realism.features import averaged

STEPS, BATCH = 240, 32
_RATE, _DECAY = 3e-3, 1e-2
_PERMUTATIONS = 999
_WIDTHS = (12, 24, 48)


class Sample(NamedTuple):
    """Pictures of one side.

    Attributes:
        pictures: ``[n, C, H, W]`` uint8.
        clip: ``[n]`` which clip each is of.
    """

    pictures: np.ndarray
    clip: np.ndarray


@dataclass(frozen=True)
class TwoSampleTest:
    """The outcome.

    Attributes:
        auc: mean over seeds of the area under the ROC curve on held-out clips, 0..1; .5 is chance.
        by_seed: of each seed.
        p: that a value as high comes about where there is no difference: twice the median of the
            seeds' permutation p, at most 1, which holds whatever the seeds have in common
            (Rueger 1978).
    """

    auc: float
    by_seed: tuple[float, ...]
    p: float


def two_sample_test(first: Sample, second: Sample, seeds: int, seed: int) -> TwoSampleTest | None:
    """Train networks to tell two sides apart, and judge them on clips held out.

    Args:
        first: pictures of one side, of at least 4 clips.
        second: of the other.
        seeds: how many networks, each with a split of its own.
        seed: of splits, weights and permutations.

    Returns:
        None where a side has pictures of fewer than 4 clips.
    """
    if min(len(np.unique(side.clip)) for side in (first, second)) < 4:
        return None
    found = [_one_seed(first, second, seed * 1000 + n) for n in range(seeds)]
    aucs = tuple(auc for auc, _ in found)
    p = min(1.0, 2 * float(np.median([p for _, p in found])))
    return TwoSampleTest(float(np.mean(aucs)), aucs, p)


def _one_seed(first: Sample, second: Sample, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    halves = [_halves(side, rng) for side in (first, second)]
    scorer = _trained(halves[0][0].pictures, halves[1][0].pictures, seed)
    scores = [_scores(scorer, test.pictures) for _, test in halves]
    return auc_and_p(
        np.concatenate(scores),
        np.repeat([False, True], [len(each) for each in scores]),
        np.concatenate([halves[0][1].clip, halves[1][1].clip + 1 + halves[0][1].clip.max()]),
        rng,
    )


def _halves(side: Sample, rng: np.random.Generator) -> tuple[Sample, Sample]:
    """Pictures of one half of the clips, and of the other."""
    clips = rng.permutation(np.unique(side.clip))
    train = np.isin(side.clip, clips[: len(clips) // 2])
    return (
        Sample(side.pictures[train], side.clip[train]),
        Sample(side.pictures[~train], side.clip[~train]),
    )


def auc_and_p(
    scores: np.ndarray, second: np.ndarray, clip: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """Area under the ROC curve, and its p under permutations of whole clips.

    Args:
        scores: ``[n]``, higher for the second side.
        second: ``[n]`` bool, of which side.
        clip: ``[n]`` which clip, different for the two sides.
        rng: of the permutations.
    """
    clips, row, each = np.unique(clip, return_inverse=True, return_counts=True)
    ranks = np.bincount(row, rankdata(scores))
    label = np.zeros(len(clips), bool)
    label[row[second]] = True

    def area(chosen: np.ndarray) -> np.ndarray:
        """Mann-Whitney's statistic of clips ``[..., n]``."""
        own, rank = chosen @ each, chosen @ ranks
        return (rank - own * (own + 1) / 2) / (own * (len(scores) - own))

    auc = float(area(label))
    drawn = rng.permuted(np.tile(label, (_PERMUTATIONS, 1)), axis=1)
    # Clips differ in their number of pictures, so that areas are compared, not ranks.
    above = int((area(drawn) >= auc - 1e-12).sum())
    return auc, (1 + above) / (1 + _PERMUTATIONS)


class _Scorer(nn.Module):
    """Three convolutions, and a linear map of the means and maxima of their maps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for width in _WIDTHS:
            self.layers.extend(
                [
                    nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
            )
            channels = width
        self.last = nn.Linear(2 * channels, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Log-odds ``[n]`` that pictures ``[n, C, H, W]`` are of the second side."""
        maps = self.layers(pictures)
        return self.last(torch.cat((maps.mean((-2, -1)), maps.amax((-2, -1))), 1)).squeeze(1)


def _trained(first: np.ndarray, second: np.ndarray, seed: int) -> _Scorer:
    """A network trained on both, as many pictures of each in a batch."""
    rng = np.random.default_rng([seed, 1])
    half = BATCH // 2
    label = torch.arange(2 * half) >= half
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        scorer = _Scorer(first.shape[1])
        optimizer = torch.optim.AdamW(scorer.parameters(), _RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, STEPS)
        for _ in range(STEPS):
            rows = [side[rng.integers(0, len(side), half)] for side in (first, second)]
            loss = F.binary_cross_entropy_with_logits(
                scorer(averaged(np.concatenate(rows))), label.float()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return scorer.eval()


@torch.no_grad()
def _scores(scorer: _Scorer, pictures: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [scorer(averaged(pictures[n : n + 256])).numpy() for n in range(0, len(pictures), 256)]
    )
