"""Real and sampled clips in rows, for the eye to judge."""

from pathlib import Path

import numpy as np

from scalor_ppl.files import written_whole
from scalor_ppl.results.sheets import contact_sheet

_ROWS, _COLUMNS = 4, 10
_SIDE = 96  # of a frame, about


def draw_rows(
    real: np.ndarray,
    samples: np.ndarray,
    path: Path,
    *,
    blind: int | None = None,
    key: Path | None = None,
) -> None:
    """Write a few clips of either side as rows of a PNG.

    Args:
        real: ``[N, T, H, W, C]`` uint8.
        samples: likewise.
        path: the PNG file.
        blind: shuffle the rows by this seed, and number them; by default they say what they are.
        key: text file that tells which row is what, where they do not.

    Raises:
        UserError: a file cannot be written.
    """
    clips = [("real", clip[:_COLUMNS]) for clip in real[:_ROWS]]
    clips += [("sampled", clip[:_COLUMNS]) for clip in samples[:_ROWS]]
    labels = [f"{name} {n % _ROWS + 1}" for n, (name, _) in enumerate(clips)]
    if blind is not None:
        order = np.random.default_rng(blind).permutation(len(clips))
        clips = [clips[n] for n in order]
        labels = [f"row {n + 1}" for n in range(len(clips))]
    rows = {label: clip for label, (_, clip) in zip(labels, clips, strict=True)}
    scale = max(1, round(_SIDE / max(real.shape[2:4])))
    contact_sheet(rows, path, scale=scale)
    if key is not None:
        lines = [f"{label}: {name}\n" for label, (name, _) in zip(labels, clips, strict=True)]
        with written_whole(key) as lent:
            lent.write_text("".join(lines))
