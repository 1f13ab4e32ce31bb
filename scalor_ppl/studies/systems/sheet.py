"""Side by side on one sheet: what each program sees in a clip, and how it imagines it goes on."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.inference.generation import continue_clip
from scalor_ppl.inference.posterior import infer
from scalor_ppl.nn.pixels import to_frames, to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import FindsObjects, Program
from scalor_ppl.results.drawing import draw_tracks
from scalor_ppl.results.pixels import as_rgb, enlarge
from scalor_ppl.results.sheets import contact_sheet

_SIDE = 112  # of a frame on the sheet, about


def check_observed(observed: int, frames: int) -> None:
    """Complain about a clip of which nothing is left to imagine.

    Raises:
        UserError: it is too short.
    """
    if not 1 <= observed < frames:
        raise UserError(
            f"--observe {observed}: clips have {frames} frames; see 1 to {frames - 1} of them"
        )


def side_by_side(
    programs: Mapping[str, Program],
    clip: np.ndarray,
    path: Path,
    *,
    observed: int,
    seed: int = 0,
) -> None:
    """Write one sheet: the clip, and two or three rows for each program.

    *finds* are the boxes of a program that finds objects. *sees* is its reconstruction of the whole
    clip, most likely latents taken. *imagines* begins with the reconstruction of the first frames;
    the rest is drawn from its priors, under the frames that really came.

    Args:
        programs: trained, by the label of their rows; all of the clip's size.
        clip: ``[T, H, W, C]`` uint8.
        path: PNG file to write.
        observed: frames that are seen before the rest is imagined, fewer than T.
        seed: of the imagined frames.

    Raises:
        UserError: a program is of another size, or nothing is left to imagine.
    """
    frames = len(clip)
    check_observed(observed, frames)
    for program in programs.values():
        program.check_fits("the clip", *clip.shape[1:])
    scale = max(1, round(_SIDE / max(clip.shape[1:3])))
    rows = {"the clip": enlarge(as_rgb(clip), scale)}
    for label, program in programs.items():
        with fast_pyro():
            scene = infer(program.model, program.guide, to_video(clip[None], program.device))
        if isinstance(program, FindsObjects):
            tracks = program.tracks(scene)[0]
            found = (tracks.boxes, tracks.ids, tracks.presence, tracks.discovered)
            rows[f"{label}\nfinds"] = draw_tracks(clip, *found, scale=scale)
        rows[f"{label}\nsees"] = enlarge(as_rgb(to_frames(scene.image)[0]), scale)
        further = continue_clip(program, clip, observe=observed, frames=frames, seed=seed)
        imagined = as_rgb(to_frames(further.image)[0])
        rows[f"{label}\nimagines {observed + 1} on"] = enlarge(imagined, scale)
    contact_sheet(rows, path)
