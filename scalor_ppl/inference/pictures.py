"""Pictures of what a program makes of a clip: contact sheets and videos."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scalor_ppl.data import ClipSource
from scalor_ppl.inference.posterior import infer
from scalor_ppl.nn.pixels import to_frames, to_video
from scalor_ppl.programs import FindsObjects, Program
from scalor_ppl.results.drawing import draw_tracks
from scalor_ppl.results.glimpses import object_row
from scalor_ppl.results.pixels import as_rgb, enlarge
from scalor_ppl.results.sheets import contact_sheet
from scalor_ppl.results.video import write_gif, write_mp4
from scalor_ppl.tracks.table import Tracks

SHEET_ROWS = 12
"""Videos on the sheet of a grid, at most."""


@dataclass(frozen=True)
class ScenePictures:
    """One video of a scene, as arrays for drawing.

    Attributes:
        video: ``[T, H, W, C]`` uint8: what was observed, or the rendered frames where nothing was.
        boxed: ``[T, s H, s W, 3]`` uint8: the video, enlarged, with boxes in id colours.
        rendered: ``[T, H, W, C]`` uint8.
        objects: ``[T, h, w, 3]`` uint8: decoded glimpses of the live objects; none where the
            program finds none.
        background: ``[T, H, W, C]`` uint8, or none.
        scale: s.
        tracks: the tracks; none where the program finds no objects.
    """

    video: np.ndarray
    boxed: np.ndarray
    rendered: np.ndarray
    objects: np.ndarray | None
    background: np.ndarray | None
    scale: int
    tracks: Tracks | None


def picture(
    program: Program,
    scene: Any,
    number: int = 0,
    observed: np.ndarray | None = None,
    *,
    labels: bool = False,
) -> ScenePictures:
    """Pictures of one video of a scene.

    Args:
        program: that made it.
        scene: what the model returned.
        number: which video of the batch.
        observed: its frames ``[T', H, W, C]`` uint8; frames beyond T' show what was rendered.
        labels: write identities into the boxes.
    """
    height, width = scene.image.shape[-2:]
    scale = max(1, round(192 / max(height, width)))
    rendered = to_frames(scene.image[number : number + 1])[0]
    video = rendered.copy()
    if observed is not None:
        video[: len(observed)] = observed
    if not isinstance(program, FindsObjects):
        plain = enlarge(as_rgb(video), scale)
        return ScenePictures(video, plain, rendered, None, None, scale, None)
    tracks = program.tracks(scene)[number]
    boxed = draw_tracks(
        video,
        tracks.boxes,
        tracks.ids,
        tracks.presence,
        tracks.discovered,
        scale=scale,
        labels=labels,
    )
    behind = program.background(scene)
    background = None if behind is None else to_frames(behind[number : number + 1])[0]
    glimpse = program.objects(scene).glimpse[number]
    return ScenePictures(
        video, boxed, rendered, _gallery(glimpse, tracks), background, scale, tracks
    )


def write_sheet(
    pictures: ScenePictures, path: Path, observed: str = "input", *, sampled: bool = False
) -> None:
    """Write a contact sheet: input with boxes, reconstruction, objects, background if there is one.

    Args:
        pictures: of the video.
        path: the PNG file.
        observed: name of the first row.
        sampled: nothing was observed: the first row is what was rendered, without boxes.
    """
    rendered = enlarge(pictures.rendered, pictures.scale)
    rows = {observed: rendered} if sampled else {observed: pictures.boxed, "rendered": rendered}
    if pictures.objects is not None:
        rows["objects"] = pictures.objects
    if pictures.background is not None:
        rows["background"] = enlarge(pictures.background, pictures.scale)
    contact_sheet(rows, path)


def _gallery(glimpse: np.ndarray, tracks: Tracks) -> np.ndarray:
    """Glimpses ``[T, K, C + 1, h, w]`` of the live objects, in the order of their identities."""
    colour = np.moveaxis(glimpse[:, :, :-1], 2, -1)
    return enlarge(object_row(colour, glimpse[:, :, -1], tracks.ids, tracks.presence), 2)


def snapshot(program: Program, source: ClipSource, frames: int, path: Path) -> ScenePictures:
    """Track the first clip of a source and write its contact sheet."""
    clip = source.clip(0, frames)
    corner = None if clip.corner is None else torch.tensor([clip.corner], device=program.device)
    inputs = program.inputs(to_video(clip.video[None], program.device), corner)
    scene = infer(program.model, program.guide, *inputs)
    pictures = picture(program, scene, 0, clip.video)
    write_sheet(pictures, path)
    return pictures


def write_tracked(
    program: Program, source: ClipSource, frames: int, folder: Path, fps: float = 5.0
) -> list[Path]:
    """Track the first clip of a source; write a contact sheet and a gif with boxes.

    Returns:
        The files.
    """
    pictures = snapshot(program, source, frames, folder / "sheet.png")
    write_gif(folder / "tracked.gif", pictures.boxed, fps)
    return [folder / "sheet.png", folder / "tracked.gif"]


def write_generated(
    program: Program,
    scene: Any,
    folder: Path,
    *,
    observed: np.ndarray | None = None,
    boxes: bool = False,
    fps: float = 10.0,
) -> Iterator[Path]:
    """Write every video of a scene as mp4, gif and contact sheet.

    Args:
        program: that made it.
        scene: what the model returned.
        folder: for the files.
        observed: frames of the (only) video that were observed, ``[T', H, W, C]`` uint8.
        boxes: draw boxes in id colours into mp4 and gif.
        fps: frames a second.

    Yields:
        Each file when it is written.
    """
    for number in range(len(scene.image)):
        # An observed clip is what interventions are asked about, and they go by identity.
        pictures = picture(program, scene, number, observed, labels=observed is not None)
        frames = pictures.boxed if boxes else enlarge(pictures.video, pictures.scale)
        stem = folder / f"video_{number:03d}"
        write_mp4(stem.with_suffix(".mp4"), frames, fps)
        yield stem.with_suffix(".mp4")
        write_gif(stem.with_suffix(".gif"), frames, fps)
        yield stem.with_suffix(".gif")
        label = "sampled" if observed is None else f"{len(observed)} seen, then imagined"
        sampled = observed is None and not boxes
        write_sheet(pictures, stem.with_suffix(".png"), label, sampled=sampled)
        yield stem.with_suffix(".png")


def write_grid(scene: Any, folder: Path, *, fps: float = 10.0) -> Iterator[Path]:
    """Write all videos of a scene side by side, in about a square, as mp4, gif and sheet.

    Args:
        scene: what the model returned.
        folder: for the files.
        fps: frames a second.

    Yields:
        Each file when it is written.
    """
    videos = as_rgb(to_frames(scene.image))
    scale = max(1, round(128 / max(videos.shape[2:4])))
    large = np.pad(
        enlarge(videos, scale), ((0, 0), (0, 0), (2, 2), (2, 2), (0, 0)), constant_values=255
    )
    count, frames, height, width, _ = large.shape
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    page = np.full((frames, down * height, across * width, 3), 255, np.uint8)
    for n, video in enumerate(large):
        top, left = n // across * height, n % across * width
        page[:, top : top + height, left : left + width] = video
    stem = folder / "videos"
    write_mp4(stem.with_suffix(".mp4"), page, fps)
    yield stem.with_suffix(".mp4")
    write_gif(stem.with_suffix(".gif"), page, fps)
    yield stem.with_suffix(".gif")
    rows = {str(n + 1): enlarge(video, scale) for n, video in enumerate(videos[:SHEET_ROWS])}
    contact_sheet(rows, stem.with_suffix(".png"))
    yield stem.with_suffix(".png")


def write_compared(
    program: Program,
    before: Any,
    after: Any,
    label: str,
    observed: np.ndarray,
    folder: Path,
    *,
    fps: float = 10.0,
) -> list[Path]:
    """Write a continued clip without and with interventions: one above, or left of, the other.

    Args:
        program: that made both.
        before: the scene without.
        after: the scene with them.
        label: what was done, for the contact sheet.
        observed: frames that were seen ``[T', H, W, C]`` uint8.
        folder: for the files.
        fps: frames a second.

    Returns:
        The contact sheet and the gif.
    """
    left, right = (
        picture(program, scene, 0, observed, labels=True).boxed for scene in (before, after)
    )
    sheet, gif = folder / "whatif.png", folder / "whatif.gif"
    contact_sheet({f"{len(observed)} seen,\nthen imagined": left, label: right}, sheet)
    margin = np.full((*left.shape[:2], 4, 3), 255, np.uint8)
    write_gif(gif, np.concatenate((left, margin, right), 2), fps)
    return [sheet, gif]
