"""The video of a report, as a run reads it, and tracks of it from a file."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scalor_ppl.config.schema import DataConfig
from scalor_ppl.data import Clip, ClipSource, iterate_frames
from scalor_ppl.errors import UserError
from scalor_ppl.tracks.mot import by_frame
from scalor_ppl.tracks.mot_reader import read_rows
from scalor_ppl.tracks.table import EMPTY, Tracks
from scalor_ppl.training.sources import open_data


@dataclass(frozen=True)
class Footage:
    """A video, from its beginning.

    Attributes:
        name: the set's or the file's.
        shown: a clip of as many frames as were asked for, or all there are.
        longer: uint8 [T, H, W, C], the same and what follows, as far as it is needed.
        tracks: of a file, in frames and pixels of ``longer``, at least as long as ``shown``; or
            none.
    """

    name: str
    shown: Clip
    longer: np.ndarray
    tracks: Tracks | None


def read_footage(data: DataConfig, *, frames: int, ahead: int, tracks: Path | None) -> Footage:
    """Read a video, and the tracks of it.

    Args:
        data: which video, and how it is read.
        frames: length of the clip to show, at most.
        ahead: how many frames to read at least, where there are so many.
        tracks: MOTChallenge text as ``scalor-ppl track`` writes it, in frames and pixels of the
            video itself; or none.

    Raises:
        UserError: the video or the tracks cannot be read, or do not fit each other.
    """
    source = open_data(data, "test")
    length = _available(source, frames)
    found = None
    if tracks is not None:
        found = _read_tracks(tracks, data, source, length)
        ahead = max(ahead, found.frames)
    longer = source.clip(0, _available(source, max(frames, ahead))).video
    return Footage(source.name, source.clip(0, length), longer, found)


def _available(source: ClipSource, most: int) -> int:
    """The length of the longest clip of at most ``most`` frames, at least 1."""
    return next((n for n in range(most, 1, -1) if source.starts(n)), 1)


def _read_tracks(path: Path, data: DataConfig, source: ClipSource, least: int) -> Tracks:
    """Tracks of a file, of the frames that are read, in the size in which they are read."""
    if data.tiles is not None:
        raise UserError(
            f"{path} has tracks of whole frames, but the run reads tiles of them (data.tiles): "
            "leave --tracks out"
        )
    # Frames of a file are numbered as in the video, of which some are not read.
    rows = read_rows(path)
    last = int(rows.frames.max(initial=-1)) + 1
    stop = last if data.stop is None else min(last, data.stop)
    count = max(least, len(range(data.start, stop, data.stride)))
    if not source.starts(count):
        raise UserError(f"{path} has a row for frame {last}, but {source.name} ends before it")
    read = data.start + data.stride * np.arange(count)
    tracks = by_frame(rows.at(read), count)
    height, width = _original_size(data, source)
    factor = np.array([source.width / width, source.height / height])
    # Every row counts, whatever its confidence, as for tools that score.
    there = (tracks.ids != EMPTY).astype(np.float32)
    return replace(tracks.scaled(factor), presence=there)


def _original_size(data: DataConfig, source: ClipSource) -> tuple[int, int]:
    """Height and width of the frames before they are resized."""
    if data.resize is None:
        return source.height, source.width
    whole = dict.fromkeys(("resize", "tiles", "crop"))
    options = data.changed(**whole, stop=data.start + 1)
    height, width = next(iterate_frames(data.source, options=options)).shape[:2]
    return height, width
