"""Steps of tracked objects: how long they are, how long they remember, and what each track tells.

White errors of positions make successive steps anticorrelated: a covariance of -s^2 in each
coordinate. An exposure of e frames adds D e / 3, and drift of an object's own, or a law of motion
with memory, adds what it adds at longer lags too. A positive covariance of successive steps alone
is the mark of positions that lag behind, as those of a smoothing filter do.
"""

from dataclasses import dataclass

import numpy as np

from scalor_ppl.evaluation.walks import Steps, Walks

_CORRELATED = 10  # lags of the autocorrelation
_BINS = 40
_RESAMPLES = 400
_FAR = 4  # steps apart, from which a lag of positions is over
_SURE = 3.0  # standard errors


@dataclass(frozen=True)
class StepStatistics:
    """Lengths and memory of the steps from one tracked frame to the next.

    Attributes:
        steps: how many there are.
        edges: float64 [H + 1], of the bins of lengths, in pixels.
        density: float64 [H], share of the steps in each bin, a pixel.
        gaussian: float64 [H], the same of a Gaussian of the same mean square (a Rayleigh law).
        median: length, in pixels; NaN without steps.
        non_gaussian: mean fourth power over twice the squared mean square, less 1: 0 of a
            Gaussian, above 0 where few steps are long (Rahman, Phys. Rev. 136, 1964).
        lags: int64 [K], from 0, in frames.
        correlation: float64 [K], velocity autocorrelation: mean product of steps so far apart, over
            the mean square.
        error: float64 [K], its standard error, of the bootstrap over tracks; NaN of one track.
        lag_excess: of the correlation of successive steps, over that of steps four to ten apart.
        lagging: whether that says that positions lag.
    """

    steps: int
    edges: np.ndarray
    density: np.ndarray
    gaussian: np.ndarray
    median: float
    non_gaussian: float
    lags: np.ndarray
    correlation: np.ndarray
    error: np.ndarray
    lag_excess: float
    lagging: bool


@dataclass(frozen=True)
class TrackDiffusion:
    """What each of N tracks tells by itself, of free diffusion, by successive steps.

    Attributes:
        labels: the ids, as in the file.
        first: int64 [N], number of the first frame.
        last: int64 [N], number of the last.
        rows: int64 [N], frames in which it was found.
        steps: int64 [N], between successive tracked frames.
        squared: float64 [N], mean squared step, in pixels squared; NaN without steps.
        diffusion: float64 [N], D in pixels squared a frame; NaN without two successive steps.
        deviation: float64 [N], its standard deviation.
        variance: float64 [N], static, of each coordinate, in pixels squared.
    """

    labels: tuple[int, ...]
    first: np.ndarray
    last: np.ndarray
    rows: np.ndarray
    steps: np.ndarray
    squared: np.ndarray
    diffusion: np.ndarray
    deviation: np.ndarray
    variance: np.ndarray


def step_statistics(
    walks: Walks, *, unit: int = 1, exposure: float = 0.0, seed: int = 0
) -> StepStatistics:
    """Measure steps.

    Args:
        walks: of one video.
        unit: frames from one tracked frame to the next.
        exposure: time in which the light of a frame is gathered, in frames, 0..1.
        seed: of the bootstrap.
    """
    steps = walks.steps(unit)
    lengths = np.linalg.norm(steps.moved, axis=1)
    mean = float(np.square(lengths).mean()) if len(lengths) else float("nan")
    edges = np.linspace(0, lengths.max() * 1.001, _BINS + 1) if len(lengths) else np.empty(0)
    density = np.histogram(lengths, edges, density=True)[0] if mean > 0 else np.empty(0)
    fallen = np.exp(-np.square(edges) / mean) if mean > 0 else np.empty(0)
    correlation, error, excess, sure = _memory(steps, seed)
    if len(correlation) > 1:  # an exposure adds D e / 3, and D is half the square and the product
        excess -= exposure / (3 * unit) * (0.5 + correlation[1])
    return StepStatistics(
        steps=len(lengths),
        edges=edges if mean > 0 else np.empty(0),
        density=density,
        gaussian=-np.diff(fallen) / np.diff(edges) if mean > 0 else np.empty(0),
        median=float(np.median(lengths)) if len(lengths) else float("nan"),
        non_gaussian=(float((lengths**4).mean() / (2 * mean**2) - 1) if mean > 0 else float("nan")),
        lags=np.arange(len(correlation)) * unit,
        correlation=correlation,
        error=error,
        lag_excess=excess,
        lagging=bool(len(correlation) > 1 and correlation[1] > 0 and excess > _SURE * sure),
    )


def _memory(steps: Steps, seed: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Autocorrelation [K] of steps, its errors [K], the excess of lag 1, and the error of that."""
    group = np.unique(steps.objects, return_inverse=True)[1]
    count = int(group.max(initial=-1)) + 1
    products, numbers = [], []
    for apart in range(_CORRELATED + 1):
        here, there = steps.apart(apart)
        if not len(here):
            break
        along = (steps.moved[here] * steps.moved[there]).sum(1)
        products.append(np.bincount(group[here], along, minlength=count))
        numbers.append(np.bincount(group[here], minlength=count))
    if not products:
        return np.empty(0), np.empty(0), float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    draws = np.concatenate(
        (np.ones((1, count)), rng.multinomial(count, np.full(count, 1 / count), _RESAMPLES))
    )
    with np.errstate(all="ignore"):
        means = (draws @ np.stack(products, 1)) / (draws @ np.stack(numbers, 1).astype(float))
        correlation = means / means[:, :1]
    if correlation.shape[1] < 2:
        return correlation[0], np.full(1, np.nan), float("nan"), float("nan")
    far = correlation[:, _FAR:]
    excess = correlation[:, 1] - (far.mean(1) if far.shape[1] else 0.0)
    error = np.nanstd(correlation[1:], axis=0) if count > 1 else np.full(len(means[0]), np.nan)
    sure = float(np.nanstd(excess[1:])) if count > 1 else float("nan")
    return correlation[0], error, float(excess[0]), sure


def track_diffusion(
    walks: Walks,
    labels: tuple[int, ...],
    *,
    unit: int = 1,
    exposure: float = 0.0,
    counted_from: int = 1,
) -> TrackDiffusion:
    """D and static variance of each track, by the covariance of its successive steps.

    Unbiased for free diffusion, and nearly as sharp as any estimate of a track can be (Vestergaard,
    Blainey and Flyvbjerg, Phys. Rev. E 89, 2014, eqs. 14 to 17).

    Args:
        walks: of one video.
        labels: of its objects.
        unit: frames from one tracked frame to the next.
        exposure: time in which the light of a frame is gathered, in frames, 0..1.
        counted_from: number that the file gives to frame 0.
    """
    steps = walks.steps(unit)
    found, begin, rows = np.unique(walks.objects, return_index=True, return_counts=True)
    frames = walks.frames[walks.index] + counted_from
    which = np.searchsorted(found, steps.objects)
    here, there = steps.apart(1)
    count = len(found)
    number = np.bincount(which, minlength=count)
    successive = np.bincount(which[here], minlength=count)
    squares = np.bincount(which, np.square(steps.moved).sum(1), minlength=count)
    along = (steps.moved[here] * steps.moved[there]).sum(1)
    products = np.bincount(which[here], along, minlength=count)
    blur = exposure / (6 * unit)
    with np.errstate(all="ignore"):
        mean, product = squares / number, products / successive
        diffusion = (mean / 4 + product / 2) / unit
        variance = blur * mean / 2 + (2 * blur - 1) * product / 2
        moved = diffusion * unit
        fixed = np.maximum(variance, 0) - 2 * blur * moved
        spread = (6 * moved**2 + 4 * moved * fixed + 2 * fixed**2) / number
        spread += 4 * np.square((moved + fixed) / number)
        deviation = np.sqrt(np.maximum(spread, 0) / 2) / unit
    return TrackDiffusion(
        labels=tuple(labels[n] for n in found),
        first=frames[begin] if count else frames,
        last=frames[begin + rows - 1] if count else frames,
        rows=rows,
        steps=number,
        squared=np.where(number > 0, mean, np.nan),
        diffusion=np.where(successive > 0, diffusion, np.nan),
        deviation=np.where(successive > 0, deviation, np.nan),
        variance=np.where(successive > 0, variance, np.nan),
    )
