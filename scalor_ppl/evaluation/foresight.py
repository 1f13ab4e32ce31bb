"""How well positions are foreseen: a clip's first frames are tracked, the rest is imagined.

**Which objects.** Those of the ground truth that count in the last observed frame (a quarter of
their area in view) and that a tracker follows there: centres within half an object's size, matched
one to one. h frames ahead an object is asked for as long as it has counted in every frame until
then. A tracker that is not there any more in a draw has *died*: the draw says nothing of the
object's position and is left out, and the share of such draws is a figure of its own.

**What is measured**, with y the true centre and X the tracker's centre in a draw, in pixels:

=========  =====================================================================================
point      ``|E X - y|``, of the mean over draws: the forecast of a single point
likeliest  ``|M - y|``, where M is what the program takes for most likely, and nothing is sampled
draw       ``E |X - y|``, of a typical single draw
energy     ``E |X - y| - E |X - X'| / 2``, X and X' independent: the energy score
stays      distance of the baseline that the tracker stays where it was last seen
velocity   distance of the baseline that it goes straight on, at the mean velocity of the last two
           observed steps (or of those it has been followed for), walls or not
died       share of the draws in which the tracker has died, 0..1
=========  =====================================================================================

The expectation of the energy score is least for the true distribution of y, so that neither hedging
nor feigned certainty pays. A forecast of a single point scores its distance: the baselines compare
with ``energy`` as well as with ``point`` and ``likeliest``. More draws do not change what it is on
average.

**Groups.** An object has *collided* by a frame if since the last observed one its centre has come
within `CLOSE` object sizes of another's. Frames are all that is looked at, so that this works on
any ground truth: of the discs of ``moving-dsprites-colliding``, which touch between frames, it
finds 96 % of those that collide, and 10 % of those that it names have only come near.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalor_ppl.evaluation.assignment import match_within
from scalor_ppl.evaluation.boxes import centre_distances
from scalor_ppl.tracks.table import Tracks

if TYPE_CHECKING:
    from scalor_ppl.data.records import Truth

MEASURES = ("point", "likeliest", "draw", "energy", "stays", "velocity", "died")
"""Names of what is measured, as in the table above."""
GROUPS = ("all", "collided", "free")
"""All objects, those that have collided by the frame in question, and those that have not."""
GATE = 0.5
"""Largest distance of a tracker to its object in the last observed frame, in object sizes."""
CLOSE = 1.2
"""Distance of two centres below which objects are taken to collide, in object sizes."""

_VISIBLE = 0.25  # least visible share of an object that counts, as in the scores of tracks
_STEPS = 2  # observed steps that a velocity is taken from


@dataclass(frozen=True)
class ClipForesight:
    """What was foreseen of the n matched objects of one clip, in each of H imagined frames.

    Attributes:
        objects: how many count in the last observed frame, matched or not.
        values: float64 [n, H] by measure; NaN where the object does not count any more, or where
            too few draws say where it is.
        collided: bool [n, H], since the last observed frame.
    """

    objects: int
    values: Mapping[str, np.ndarray]
    collided: np.ndarray


@dataclass(frozen=True)
class Figures:
    """One measure of one group, a number for each of H frames ahead; NaN of no objects.

    Attributes:
        mean: over objects.
        error: standard error of the mean; objects of one clip are not independent, clips are.
        median: over objects.
        objects: how many.
    """

    mean: tuple[float, ...]
    error: tuple[float, ...]
    median: tuple[float, ...]
    objects: tuple[int, ...]

    def to_dict(self) -> dict[str, list[float | int | None]]:
        """The figures by name, fit for JSON: None where one is not a number."""
        return {
            name: [None if np.isnan(value) else value for value in values]
            for name, values in asdict(self).items()
        }


@dataclass(frozen=True)
class Foresight:
    """What was foreseen in a set of clips.

    Attributes:
        clips: how many.
        objects: how many count in the last observed frame.
        matched: how many of them a tracker follows.
        figures: by group and measure.
    """

    clips: int
    objects: int
    matched: int
    figures: Mapping[str, Mapping[str, Figures]]

    def to_dict(self) -> dict[str, object]:
        """All figures, fit for JSON."""
        groups = {
            group: {name: each.to_dict() for name, each in by_measure.items()}
            for group, by_measure in self.figures.items()
        }
        counts = {"clips": self.clips, "objects": self.objects, "matched": self.matched}
        return counts | {"figures": groups}


def clip_foresight(
    draws: Sequence[Tracks], likeliest: Tracks, truth: "Truth", *, observe: int
) -> ClipForesight:
    """Measure what draws of one clip foresee.

    Args:
        draws: S at least 1, of T frames each. In the first `observe` frames they agree.
        likeliest: what is most likely, likewise.
        truth: of the T frames.
        observe: how many frames were seen, 1..T-1.

    Raises:
        ValueError: no draws, different numbers of frames, or nothing that was imagined.
    """
    frames = len(truth.boxes)
    if not draws or any(each.frames != frames for each in (*draws, likeliest)):
        raise ValueError(f"give draws of {frames} frames each, as many as the truth has")
    if not 1 <= observe < frames:
        raise ValueError(f"of {frames} frames 1 to {frames - 1} can be observed, not {observe}")
    last = observe - 1
    tracked = draws[0].present()[last]
    counted = np.flatnonzero(truth.counted(_VISIBLE)[last])
    apart = centre_distances(truth.boxes[last, counted], draws[0].boxes[last, tracked])
    rows, columns = np.indices(apart.shape).reshape(2, -1)
    pairs = match_within(rows, columns, apart.ravel(), GATE * float(truth.object_size))
    objects, ids = counted[rows[pairs]], draws[0].ids[last, tracked][columns[pairs]]

    seen = _places(draws[0], ids)[:observe]
    foreseen = np.stack([_places(each, ids)[observe:] for each in draws])
    steps = np.clip(np.isfinite(seen[..., 0]).sum(0) - 1, 0, _STEPS)
    before = seen[last - steps, np.arange(len(ids))]
    velocity = (seen[last] - before) / np.maximum(steps, 1)[:, None]
    ahead = np.arange(1, frames - observe + 1)[:, None, None]
    true = truth.middles()[observe:, objects]
    values = {
        "point": _distance(_mean(foreseen), true),
        "likeliest": _distance(_places(likeliest, ids)[observe:], true),
        "draw": _mean(_distance(foreseen, true)),
        "energy": energy_score(foreseen, true),
        "stays": _distance(seen[last], true),
        "velocity": _distance(seen[last] + ahead * velocity, true),
        "died": np.isnan(foreseen[..., 0]).mean(0),
    }
    there = np.logical_and.accumulate(truth.counted(_VISIBLE)[observe:, objects])
    return ClipForesight(
        objects=len(counted),
        values={name: np.where(there, each, np.nan).T for name, each in values.items()},
        collided=collided(truth, observe)[:, objects].T,
    )


def energy_score(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The energy score of sampled positions, less is better.

    Args:
        draws: [S, ..., 2]; NaN where a draw says nothing.
        truth: [..., 2].

    Returns:
        [...], NaN where fewer than two draws say something. Its mean over draws is the score of
        the distribution that they are from, however many they are.
    """
    between = _distance(draws[:, None], draws[None])
    said = np.isfinite(draws[..., 0]).sum(0)
    # A draw is no second draw: the zeros of the diagonal do not count.
    pairs = np.where(said > 1, said * (said - 1), np.nan)
    return _mean(_distance(draws, truth)) - np.nansum(between, (0, 1)) / pairs / 2


def collided(truth: "Truth", observe: int) -> np.ndarray:
    """Bool [H, N]: objects that have come near another one in the frames from `observe` on."""
    centres = truth.middles()[observe:]
    apart = _distance(centres[:, :, None], centres[:, None])
    count = apart.shape[1]
    apart[:, np.arange(count), np.arange(count)] = np.nan
    # Comparisons with NaN, of oneself or of what does not exist, are false.
    return np.logical_or.accumulate((apart < CLOSE * float(truth.object_size)).any(-1))


def foresight(clips: Sequence[ClipForesight]) -> Foresight:
    """Figures of a set of clips.

    Args:
        clips: at least 1, of equally many imagined frames.
    """
    matched = np.concatenate([np.full(len(clip.collided), n) for n, clip in enumerate(clips)])
    hit = np.concatenate([clip.collided for clip in clips])
    groups = {"all": np.ones_like(hit), "collided": hit, "free": ~hit}
    figures: dict[str, dict[str, Figures]] = {group: {} for group in groups}
    for name in MEASURES:
        values = np.concatenate([clip.values[name] for clip in clips])
        for group, chosen in groups.items():
            figures[group][name] = _figures(np.where(chosen, values, np.nan), matched, len(clips))
    return Foresight(len(clips), sum(clip.objects for clip in clips), len(matched), figures)


def _figures(values: np.ndarray, clip: np.ndarray, clips: int) -> Figures:
    """Figures of values [n, H] of objects that are of these clips [n]; NaN is left out."""
    known = np.isfinite(values)
    columns = [
        _of_one(column[k], clip[k], clips) for column, k in zip(values.T, known.T, strict=True)
    ]
    mean, error, median = (tuple(map(float, each)) for each in zip(*columns, strict=True))
    return Figures(mean, error, median, tuple(map(int, known.sum(0))))


def _of_one(values: np.ndarray, clip: np.ndarray, clips: int) -> tuple[float, float, float]:
    """Mean, its standard error and median of values [n] that are of these clips [n]."""
    if not len(values):
        return np.nan, np.nan, np.nan
    mean = values.mean()
    # Of a ratio of sums over clips, linearised: clips differ in their number of objects.
    excess = np.bincount(clip, values - mean, minlength=clips)
    variance = clips / (clips - 1) * np.square(excess).sum() if clips > 1 else np.nan
    return mean, np.sqrt(variance) / len(values), float(np.median(values))


def _places(tracks: Tracks, ids: np.ndarray) -> np.ndarray:
    """[T, n, 2] centres of the trackers of these ids [n]; NaN where they are not there."""
    same = (tracks.ids[:, None] == ids[:, None]) & tracks.present()[:, None]
    centres = np.take_along_axis(tracks.middles(), same.argmax(-1)[..., None], axis=1)
    return np.where(same.any(-1)[..., None], centres, np.nan)


def _distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(one - other, axis=-1)


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean over the first axis of what is not NaN; NaN of nothing."""
    said = np.isfinite(values).sum(0)
    return np.nansum(values, 0) / np.where(said > 0, said, np.nan)
