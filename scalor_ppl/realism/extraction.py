"""What a run's own tracking finds in clips: the one extractor that is applied to every side."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from scalor_ppl.inference.posterior import infer
from scalor_ppl.inference.scoring import recognised_in
from scalor_ppl.nn.pixels import to_frames, to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import FindsObjects, Program
from scalor_ppl.realism.sides import FRAMES_AT_ONCE
from scalor_ppl.render.boxes import where_from_boxes
from scalor_ppl.render.glimpses import read_glimpses
from scalor_ppl.tracks.table import Tracks

CROP = 16
"""Height and width of a crop, in its own pixels."""
_MARGIN = 1.25  # of a crop about the box


@dataclass(frozen=True)
class Crops:
    """Square pictures of M tracked objects, each a little larger than its box.

    Attributes:
        pixels: ``[M, C, CROP, CROP]`` uint8.
        clip: ``[M]`` which clip it is of.
        frame: ``[M]`` which frame of it.
        identity: ``[M]`` of the object, unique within the clip.
        alone: ``[M]`` bool: wholly in view, and no other box reaches into its own.
    """

    pixels: np.ndarray
    clip: np.ndarray
    frame: np.ndarray
    identity: np.ndarray
    alone: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)

    def where(self, kept: np.ndarray) -> "Crops":
        """Some of them, by a mask or by indices."""
        return Crops(*(values[kept] for values in vars(self).values()))


@dataclass(frozen=True)
class Extracted:
    """What is known of the clips of a side.

    Attributes:
        explained: ``[N, T, H, W, C]`` uint8, the clips as the program reconstructs them.
        tracks: of each clip; none where the program finds no objects.
        crops: of all tracked objects; likewise.
    """

    explained: np.ndarray
    tracks: list[Tracks] | None
    crops: Crops | None


@torch.no_grad()
def extract(program: Program, clips: np.ndarray, tell: Callable[[str], None]) -> Extracted:
    """Track clips ``[N, T, H, W, C]`` uint8, most likely latents taken, identities by looks."""
    explained, tracks, crops = [], [], []
    size = max(1, FRAMES_AT_ONCE // clips.shape[1])
    for begin in range(0, len(clips), size):
        tell(f"clip {begin} of {len(clips)}")
        video = to_video(clips[begin : begin + size], program.device)
        with fast_pyro():
            scene = infer(program.model, program.guide, video)
        explained.append(to_frames(scene.image))
        if not isinstance(program, FindsObjects):
            continue
        found = recognised_in(program, video, scene)
        for number, (each, frames) in enumerate(zip(found, video.cpu(), strict=True)):
            crops.append(_crops_of(each, frames, begin + number))
        tracks += found
    together = np.concatenate(explained)
    if not isinstance(program, FindsObjects):
        return Extracted(together, None, None)
    fields = ([vars(each)[name] for each in crops] for name in vars(crops[0]))
    return Extracted(together, tracks, Crops(*map(np.concatenate, fields)))


def _crops_of(tracks: Tracks, frames: torch.Tensor, clip: int) -> Crops:
    """The crops of one clip, whose frames are ``[T, C, H, W]`` in [0, 1]."""
    size = frames.shape[-2], frames.shape[-1]
    present = (
        tracks.present() & np.isfinite(tracks.boxes).all(-1) & (tracks.boxes[..., 2:] > 0).all(-1)
    )
    time, slot = np.nonzero(present)
    crops = cut_out(frames, np.where(present[..., None], tracks.boxes, 1).astype(np.float32))
    return Crops(
        crops[time, slot],
        np.full(len(time), clip),
        time,
        tracks.ids[time, slot],
        _alone(tracks.boxes, present, size)[time, slot],
    )


def cut_out(frames: torch.Tensor, boxes: np.ndarray) -> np.ndarray:
    """Squares a little larger than boxes ``[T, K, 4]``, ``[T, K, C, CROP, CROP]`` uint8.

    Args:
        frames: ``[T, C, H, W]`` in [0, 1]; what is beyond them is black.
        boxes: left, top, width, height in pixels, finite.
    """
    side = _MARGIN * boxes[..., 2:].max(-1, keepdims=True)
    corner = boxes[..., :2] + (boxes[..., 2:] - side) / 2
    squares = torch.from_numpy(np.concatenate((corner, side, side), -1)).float()
    size = frames.shape[-2], frames.shape[-1]
    pixels = read_glimpses(frames, where_from_boxes(squares, size), (CROP, CROP))
    return pixels.clamp(0, 1).mul(255).round().byte().numpy()


def _alone(boxes: np.ndarray, present: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bool ``[T, K]``: boxes wholly in view that no other present one reaches into."""
    low, high = boxes[..., :2], boxes[..., :2] + boxes[..., 2:]
    inside = (low >= 0).all(-1) & (high <= np.array(size[::-1])).all(-1)
    apart = (low[:, :, None] >= high[:, None]) | (high[:, :, None] <= low[:, None])
    touching = ~apart.any(-1) & present[:, None]
    touching[:, np.arange(boxes.shape[1]), np.arange(boxes.shape[1])] = False
    return present & inside & ~touching.any(-1)
