"""Samples: many accounts of one clip, or of many videos, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scalor_ppl.tracks.table import EMPTY, Tracks
from scalor_ppl.tracks.visibility import share_in_view


@dataclass(frozen=True)
class Samples:
    """S draws of what a program says about T frames: K slots a frame, D numbers of appearance.

    Every draw has identities of its own: id 2 of one draw has nothing to do with id 2 of another.

    Attributes:
        tracks: one per draw.
        depth: float32 [S, T, K]; smaller is nearer.
        what: float32 [S, T, K, D].
        background: float32 [S, T, E]; none where the program has no background.
        video: uint8 [N, T, H, W, C], the rendered mean of the pixels in the first N <= S draws.
    """

    tracks: Sequence[Tracks]
    depth: np.ndarray
    what: np.ndarray
    background: np.ndarray | None
    video: np.ndarray

    def __len__(self) -> int:
        """The number of draws S."""
        return len(self.tracks)

    def counts(self) -> np.ndarray:
        """Objects that live in each draw and frame, int64 [S, T]."""
        return np.stack([(each.ids != EMPTY).sum(-1) for each in self.tracks])

    def counts_in_view(self, least: float) -> np.ndarray:
        """Of these, the ones of whose box a share of at least that is in view, int64 [S, T]."""
        height, width = self.video.shape[2:4]
        return np.stack(
            [
                (
                    (each.ids != EMPTY)
                    & (share_in_view(each.boxes.astype(np.float64), (height, width)) >= least)
                ).sum(-1)
                for each in self.tracks
            ]
        )


def joined(parts: Sequence[Samples]) -> Samples:
    """Samples one after the other."""
    backgrounds = [part.background for part in parts if part.background is not None]
    return Samples(
        [tracks for part in parts for tracks in part.tracks],
        np.concatenate([part.depth for part in parts]),
        np.concatenate([part.what for part in parts]),
        np.concatenate(backgrounds) if backgrounds else None,
        np.concatenate([part.video for part in parts]),
    )


@dataclass(frozen=True)
class Codes:
    """S draws of what a program without objects says about T frames.

    Attributes:
        latents: float32 [S, T, D] by the latent's name; D differs from one to the other.
        video: uint8 [N, T, H, W, C], as in :class:`Samples`.
    """

    latents: Mapping[str, np.ndarray]
    video: np.ndarray

    def __len__(self) -> int:
        """The number of draws S."""
        return len(next(iter(self.latents.values())))


def joined_codes(parts: Sequence[Codes]) -> Codes:
    """Codes one after the other."""
    return Codes(
        {name: np.concatenate([part.latents[name] for part in parts]) for name in parts[0].latents},
        np.concatenate([part.video for part in parts]),
    )


@dataclass(frozen=True)
class ByObject:
    """The objects of samples, sorted into O columns; NaN where a column's object is not there.

    Attributes:
        presence: float32 [S, T, O]: 0 where the object is not there.
        boxes: float32 [S, T, O, 4], left, top, width, height in pixels.
        centres: float32 [S, T, O, 2], x and y in pixels.
        depth: float32 [S, T, O].
        what: float32 [S, T, O, D].
        others: int64 [S, T]: objects that live in the frame and have no column.
    """

    presence: np.ndarray
    boxes: np.ndarray
    centres: np.ndarray
    depth: np.ndarray
    what: np.ndarray
    others: np.ndarray = field(repr=False)


def by_object(samples: Samples, identities: np.ndarray) -> ByObject:
    """Sort the slots of samples into columns.

    Args:
        samples: S draws.
        identities: int [S, O]: the id that each column's object has in each draw, -1 for none.
    """
    draws, frames = len(samples), samples.depth.shape[1]
    shape = (draws, frames, identities.shape[1])
    presence = np.zeros(shape, np.float32)
    boxes = np.full((*shape, 4), np.nan, np.float32)
    centres = np.full((*shape, 2), np.nan, np.float32)
    depth = np.full(shape, np.nan, np.float32)
    what = np.full((*shape, samples.what.shape[-1]), np.nan, np.float32)
    for s, tracks in enumerate(samples.tracks):
        wanted = identities[s]
        there = (tracks.ids[:, None] == wanted[:, None]) & (wanted != EMPTY)[:, None]  # [T, O, K]
        t, o, k = np.nonzero(there)
        presence[s, t, o] = tracks.presence[t, k]
        boxes[s, t, o] = tracks.boxes[t, k]
        centres[s, t, o] = tracks.middles()[t, k]
        depth[s, t, o] = samples.depth[s, t, k]
        what[s, t, o] = samples.what[s, t, k]
    others = samples.counts() - (presence > 0).sum(-1)
    return ByObject(presence, boxes, centres, depth, what, others)
