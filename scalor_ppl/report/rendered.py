"""Sections of what the program renders: its background, and what it expects to happen next."""

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

from scalor_ppl.inference.generation import continue_clip
from scalor_ppl.nn.pixels import to_frames
from scalor_ppl.report.embed import beside, clip, halved, image
from scalor_ppl.report.material import IMAGINED, OBSERVED, Material
from scalor_ppl.report.page import Figure, PageSection
from scalor_ppl.results.pixels import as_rgb, enlarge

_WIDE = 320  # on the page


def background_section(material: Material) -> PageSection:
    """The model's background beside the median of the input."""
    learned = material.background
    if learned is None:
        return PageSection(
            "background",
            "Background",
            note="This program draws nothing behind its objects.",
        )
    middle = np.median(material.clip, axis=0).round().astype(np.uint8)
    pair = {"model": learned, "median of the input": middle}
    parts = [
        Markup('<div class="panel"><h3>{}</h3>{}</div>').format(
            title, image(pixels, title, width=max(_WIDE, pixels.shape[1]))
        )
        for title, pixels in pair.items()
    ]
    return PageSection(
        "background",
        "Background",
        (
            Figure(
                Markup('<div class="row">{}</div>').format(Markup("").join(parts)),
                f"The model's background, its mean over {len(material.clip)} frames, beside each "
                "pixel's median in the input: they should agree where the background stands still, "
                "and objects should be missing from the left one.",
            ),
        ),
    )


SAMPLES = 3
_REAL = "real"
_SIDE = 200  # of a panel of the clip, about
_SMALL = 64  # of a frame of the sheet, about
_SEEN, _DREAMT = (110, 115, 125), (230, 140, 30)  # rims of observed and of imagined frames


def continuation_section(material: Material) -> PageSection:
    """Three samples of what follows the first frames, beside what really followed."""
    real = material.longer[: OBSERVED + IMAGINED]
    if len(real) <= OBSERVED:
        return PageSection(
            "continuation",
            "Imagined continuations",
            note=f"{material.source} has {len(real)} frames: too few to observe {OBSERVED} and "
            "compare what is imagined with what follows.",
        )
    rows = {_REAL: np.concatenate([as_rgb(real), _nothing(real)])}
    for n in range(SAMPLES):
        scene = continue_clip(
            material.program,
            real,
            observe=OBSERVED,
            frames=OBSERVED + IMAGINED,
            seed=material.seed + n,
            rate=None,
        )
        rows[f"sample {n + 1}"] = as_rgb(to_frames(scene.image)[0])
    scale = max(1, round(_SIDE / max(real.shape[1:3])))
    large = {title: enlarge(row, scale) for title, row in rows.items()}
    small = {title: _small(row) for title, row in rows.items()}
    told = (
        f"the first {OBSERVED} frames (grey rim) were observed and are shown as the model renders "
        f"them, the next {IMAGINED} (orange rim) were drawn from the priors"
    )
    return PageSection(
        "continuation",
        "Imagined continuations",
        (
            Figure(
                clip(beside(_rimmed(large, 4)), "the real clip and three imagined continuations"),
                f"The real clip and {SAMPLES} samples of its continuation: {told}, objects that "
                "enter included; samples should differ, and each should look as if it were real.",
            ),
            Figure(
                _sheet(_rimmed(small, 2)),
                f"The same frame by frame: {told}.",
            ),
        ),
    )


def _small(frames: np.ndarray) -> np.ndarray:
    """Frames of about the size in which the sheet shows them, or twice that for fine screens."""
    while max(frames.shape[1:3]) > 2 * _SMALL:
        frames = halved(frames)
    return enlarge(frames, max(1, 2 * _SMALL // max(frames.shape[1:3])))


def _rimmed(rows: Mapping[str, np.ndarray], width: int) -> dict[str, np.ndarray]:
    """Clips in rims; those of imagined frames have another colour."""
    return {
        title: rimmed(row, width, len(row) if title == _REAL else OBSERVED)
        for title, row in rows.items()
    }


def rimmed(frames: np.ndarray, width: int, observed: int) -> np.ndarray:
    """Frames ``[T, H, W, 3]`` in rims ``width`` pixels wide: grey for the first, then orange."""
    framed = np.pad(frames, ((0, 0), (width, width), (width, width), (0, 0)))
    rim = np.ones(framed.shape[1:3], bool)
    rim[width:-width, width:-width] = False
    framed[:observed, rim] = _SEEN
    framed[observed:, rim] = _DREAMT
    return framed


def _nothing(real: np.ndarray) -> np.ndarray:
    """Grey frames in the place of those that the video does not have."""
    missing = OBSERVED + IMAGINED - len(real)
    return np.full((missing, *real.shape[1:3], 3), 128, np.uint8)


def _sheet(rows: Mapping[str, np.ndarray]) -> Markup:
    """A line of frames a clip, below their numbers."""
    numbers = [Markup("<span>{}</span>").format(n + 1) for n in range(OBSERVED + IMAGINED)]
    lines = [Markup("<span></span><div>{}</div>").format(Markup("").join(numbers))]
    for title, row in rows.items():
        strip = image(np.concatenate(list(row), 1), f"{title}, frame by frame")
        lines.append(Markup("<span>{}</span>{}").format(title, strip))
    return Markup('<div class="sheet">{}</div>').format(Markup("").join(lines))
