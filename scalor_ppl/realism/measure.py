"""All figures of realism of a run, each beside its floor and its controls."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalor_ppl.data import ClipSource
from scalor_ppl.programs import FindsObjects, Program
from scalor_ppl.realism.classifier import Sample, two_sample_test
from scalor_ppl.realism.extraction import Crops, Extracted, extract
from scalor_ppl.realism.features import (
    density_and_coverage,
    kernel_distance,
    nearer_to_training,
    random_features,
    standardised,
)
from scalor_ppl.realism.motion import (
    MotionSamples,
    look_persistence,
    mean,
    motion_samples,
    wasserstein,
)
from scalor_ppl.realism.reading import CropReader, read_all
from scalor_ppl.realism.sides import RealismQuestion, real_clips, sampled_clips, shuffled_in_time

WINDOW = 10
"""Frames of the clips that a classifier is given."""
_DRAWS = 8  # of a frame of each clip, for distances of features
_CROPS = 2000  # of a side, at most

SIDES = ("sampled", "real", "reconstructed", "shuffled")
"""What is compared with the reference, real clips: other real ones are the floor; those as the
program reconstructs them tell what is due to the decoder; those with frames shuffled in time must
be told apart by whatever looks at time."""

PRIORS = "priors"
"""A fifth column, of the areas only: sampled videos against the reconstructed ones. Both are as the
decoder paints, so that what tells them apart is the priors' doing."""

UNITS = {
    "frame_auc": "",
    "clip_auc": "",
    "crop_auc": "",
    "objects": "a frame",
    "step_cosine": "",
    "look_persistence": "",
    "count_distance": "objects",
    "x_distance": "px",
    "y_distance": "px",
    "size_distance": "px",
    "speed_distance": "px a frame",
    "lifetime_distance": "frames",
    "turning_distance": "degrees",
    "kernel_distance": "",
    "density": "",
    "coverage": "",
    "nearer_to_training": "share",
}
"""Every figure, and its unit. From ``count_distance`` to ``turning_distance`` they are distances to
the reference (1-Wasserstein)."""


@dataclass(frozen=True)
class Realism:
    """The figures of a run.

    Attributes:
        figures: by name, of each side of `SIDES`; none where there is no such.
        reference: of the reference itself, where a figure is of one side alone.
        p: by name, of each side: permutation p of the AUCs.
        missing: why figures are not there, by name or by ``name: side``.
        read: what the objects of each side, and of the reference, are; see `reading`. None without
            a reader.
        samples: sampled videos ``[N, T, H, W, C]`` uint8.
        real: the reference, likewise.
    """

    figures: dict[str, dict[str, float | None]]
    reference: dict[str, float | None]
    p: dict[str, dict[str, float | None]]
    missing: dict[str, str]
    read: dict[str, Any] | None
    samples: np.ndarray
    real: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, without the videos."""
        fields = ("figures", "reference", "p", "missing", "read")
        return {"units": UNITS} | {name: getattr(self, name) for name in fields}


def measure_realism(
    program: Program,
    source: ClipSource,
    question: RealismQuestion,
    *,
    training: np.ndarray | None = None,
    reader: CropReader | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Realism:
    """Compare videos sampled from the priors with real clips.

    Args:
        program: trained.
        source: of clips of the program's size, not trained on where there are such.
        question: how many, how long.
        training: clips that it was trained on ``[N, T, H, W, C]`` uint8, where they are known.
        reader: of what objects are, where there is one.
        tell: gets a line on how far the work is.

    Raises:
        UserError: the source has too few clips.
    """
    reference, floor = real_clips(source, question)
    clips = {
        "sampled": sampled_clips(program, question, tell),
        "real": floor,
        "shuffled": shuffled_in_time(floor, question.seed),
    }

    def extracted(name: str, of: np.ndarray) -> Extracted:
        return extract(program, of, lambda text: tell(f"tracking, {name}: {text}"))

    base = _Reference.of(reference, extracted("reference", reference), question)
    found = {name: extracted(name, of) for name, of in clips.items()}
    clips["reconstructed"] = found["real"].explained
    found["reconstructed"] = extracted("reconstructed", clips["reconstructed"])
    gathered = _Gathered({name: {} for name in UNITS}, base.values, {}, {})
    for side in SIDES:
        _compare_pixels(gathered, side, base, clips[side], question, tell)
        _compare_objects(gathered, side, base, found[side], question, tell)
    _compare_priors(gathered, clips, found, question, tell)
    if not isinstance(program, FindsObjects):
        for name in set(UNITS) - {"frame_auc", "clip_auc", *_OF_FEATURES}:
            gathered.missing[name] = f"{program.name} finds no objects"
    elif training is not None:
        _memorised(gathered, base.found, found, extracted("training", training))
    else:
        gathered.missing["nearer_to_training"] = "no clips are known to be trained on, or not to be"
    figures = {
        name: {side: values.get(side) for side in (*SIDES, PRIORS)}
        for name, values in gathered.figures.items()
    }
    read = None
    if reader is not None:
        crops = {"reference": base.found.crops} | {name: found[name].crops for name in SIDES}
        read = read_all(reader, crops)
    return Realism(
        figures, gathered.reference, gathered.p, gathered.missing, read, clips["sampled"], reference
    )


_OF_FEATURES = ("kernel_distance", "density", "coverage")


@dataclass(frozen=True)
class _Gathered:
    """What is found on the way; see `Realism`."""

    figures: dict[str, dict[str, float | None]]
    reference: dict[str, float | None]
    p: dict[str, dict[str, float | None]]
    missing: dict[str, str]

    def tested(
        self, name: str, side: str, first: Sample, second: Sample, question: RealismQuestion
    ) -> None:
        """Add an AUC and its p."""
        test = two_sample_test(first, second, question.seeds, question.seed)
        self.figures[name][side] = None if test is None else test.auc
        self.p.setdefault(name, {})[side] = None if test is None else test.p
        if test is None:
            self.missing[f"{name}: {side}"] = "fewer than 4 clips have any"


@dataclass(frozen=True)
class _Reference:
    """What every side is compared with.

    Attributes:
        found: what the tracking finds in it.
        frames, windows: its pictures; no windows where clips are too short.
        features: of a frame of each clip, drawn several times: those of one clip are no
            independent draws.
        others: the frames that are drawn of the clips of a side, each time.
        motion: of its tracks; none where the program finds no objects.
        values: figures that are of one side alone.
    """

    found: Extracted
    frames: Sample
    windows: Sample | None
    features: list[np.ndarray]
    others: list[np.ndarray]
    motion: MotionSamples | None
    values: dict[str, float | None]

    @classmethod
    def of(cls, clips: np.ndarray, found: Extracted, question: RealismQuestion) -> "_Reference":
        rng = np.random.default_rng(question.seed)
        count, length = clips.shape[:2]
        # Sides are as many clips, as long.
        own, others = zip(
            *(rng.integers(0, length, (2, count)) for _ in range(_DRAWS)), strict=True
        )
        motion = None if found.tracks is None else motion_samples(found.tracks)
        return cls(
            found,
            _frames(clips),
            _windows(clips) if length >= WINDOW else None,
            [random_features(_chosen(clips, frames)) for frames in own],
            list(others),
            motion,
            {} if motion is None else _values(motion, found.crops, question),
        )


def _compare_pixels(
    gathered: _Gathered,
    side: str,
    base: _Reference,
    clips: np.ndarray,
    question: RealismQuestion,
    tell: Callable[[str], None],
) -> None:
    """What needs no objects: frames, clips, features of frames."""
    tell(f"telling {side} from real: frames")
    gathered.tested("frame_auc", side, base.frames, _frames(clips), question)
    if base.windows is None:
        gathered.missing["clip_auc"] = f"clips are shorter than {WINDOW} frames"
    else:
        tell(f"telling {side} from real: clips")
        gathered.tested("clip_auc", side, base.windows, _windows(clips), question)
    found = []
    for one, frames in zip(base.features, base.others, strict=True):
        other = random_features(_chosen(clips, frames))
        pair = standardised(one, one), standardised(one, other)
        found.append((kernel_distance(*pair), *density_and_coverage(*pair)))
    for name, value in zip(_OF_FEATURES, np.mean(found, 0).tolist(), strict=True):
        gathered.figures[name][side] = value


def _compare_objects(
    gathered: _Gathered,
    side: str,
    base: _Reference,
    found: Extracted,
    question: RealismQuestion,
    tell: Callable[[str], None],
) -> None:
    """What is of tracked objects."""
    if base.motion is None or base.found.crops is None:
        return
    if found.tracks is None or found.crops is None:
        return
    if not len(found.crops):
        gathered.missing[f"objects: {side}"] = "no objects are tracked in these clips"
    tell(f"telling {side} from real: objects")
    pictures = _of_crops(base.found.crops), _of_crops(found.crops)
    gathered.tested("crop_auc", side, pictures[0], pictures[1], question)
    motion = motion_samples(found.tracks)
    for name in ("count", "x", "y", "size", "speed", "lifetime", "turning"):
        distance = wasserstein(getattr(base.motion, name), getattr(motion, name))
        gathered.figures[f"{name}_distance"][side] = distance
    for name, value in _values(motion, found.crops, question).items():
        gathered.figures[name][side] = value


def _compare_priors(
    gathered: _Gathered,
    clips: dict[str, np.ndarray],
    found: dict[str, Extracted],
    question: RealismQuestion,
    tell: Callable[[str], None],
) -> None:
    """What tells sampled videos from reconstructed ones."""
    tell("telling sampled from reconstructed")
    pair = [clips[side] for side in ("reconstructed", "sampled")]
    gathered.tested("frame_auc", PRIORS, _frames(pair[0]), _frames(pair[1]), question)
    if pair[0].shape[1] >= WINDOW:
        gathered.tested("clip_auc", PRIORS, _windows(pair[0]), _windows(pair[1]), question)
    crops = [found[side].crops for side in ("reconstructed", "sampled")]
    if crops[0] is not None and crops[1] is not None:
        gathered.tested("crop_auc", PRIORS, _of_crops(crops[0]), _of_crops(crops[1]), question)


def _values(
    motion: MotionSamples, crops: Crops | None, question: RealismQuestion
) -> dict[str, float | None]:
    """Figures of one side alone."""
    return {
        "objects": mean(motion.count),
        "step_cosine": mean(motion.cosine),
        "look_persistence": None if crops is None else look_persistence(crops, question.seed),
    }


def _memorised(
    gathered: _Gathered,
    base: Extracted,
    found: dict[str, Extracted],
    training: Extracted,
) -> None:
    """How many crops are nearer to training crops than to held-out ones."""
    assert base.crops is not None
    assert training.crops is not None
    for side in ("sampled", "real"):
        crops = found[side].crops
        if crops is None or not min(len(crops), len(base.crops), len(training.crops)):
            gathered.missing[f"nearer_to_training: {side}"] = "no objects are tracked"
            continue
        sets = (_of_crops(each).pictures for each in (crops, training.crops, base.crops))
        gathered.figures["nearer_to_training"][side] = nearer_to_training(*sets)


def _chosen(clips: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """A frame of each clip, ``[N, C, H, W]``."""
    return clips[np.arange(len(clips)), frames].transpose(0, 3, 1, 2)


def _frames(clips: np.ndarray) -> Sample:
    count, length = clips.shape[:2]
    pictures = clips.reshape(-1, *clips.shape[2:]).transpose(0, 3, 1, 2)
    return Sample(np.ascontiguousarray(pictures), np.repeat(np.arange(count), length))


def _windows(clips: np.ndarray) -> Sample:
    """Clips of `WINDOW` frames as channels, at half the resolution, beginning at every other."""
    count, length, height, width, channels = clips.shape
    halves = clips[:, :, : height // 2 * 2, : width // 2 * 2].reshape(
        count, length, height // 2, 2, width // 2, 2, channels
    )
    small = halves.mean((3, 5)).round().astype(np.uint8).transpose(0, 1, 4, 2, 3)
    starts = range(0, length - WINDOW + 1, 2)
    pictures = [small[:, n : n + WINDOW].reshape(count, -1, *small.shape[-2:]) for n in starts]
    return Sample(np.concatenate(pictures), np.tile(np.arange(count), len(starts)))


def _of_crops(crops: Crops) -> Sample:
    """Crops of a side, evenly chosen where there are many."""
    kept = np.unique(np.linspace(0, len(crops) - 1, min(len(crops), _CROPS)).astype(int))
    some = crops.where(kept) if len(crops) else crops
    return Sample(some.pixels, some.clip)
