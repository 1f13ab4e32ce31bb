"""What a recording is like, found out without decoding it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class VideoInfo:
    """What a recording says of itself, and its first frame.

    Attributes:
        name: the file's or folder's.
        height: rows of a frame in pixels, after rotation.
        width: columns of a frame in pixels, after rotation.
        channels: 1 (grey) or 3 (RGB).
        frames: how many the container announces; None where it does not. A few may be missing: a
            video that begins in the middle of another, or with frames dropped by the camera.
        fps: frames a second, on average; None for images, and where it is not known.
        variable_rate: whether frames are unevenly spaced in time, as far as the first ones show.
            They are read as they come, without regard to time.
        seconds: how long it lasts; None where it is not known.
    """

    name: str
    height: int
    width: int
    channels: int
    frames: int | None
    fps: float | None
    variable_rate: bool
    seconds: float | None = None

    @property
    def expected_frames(self) -> int | None:
        """The number of frames, estimated from duration and rate where it is not announced."""
        if self.frames is None and self.seconds is not None and self.fps is not None:
            return round(self.seconds * self.fps)
        return self.frames


def probe(path: str | Path) -> VideoInfo:
    """What a recording is like; a video's first frame is decoded, the rest only looked at.

    Args:
        path: a video file, an image, a folder of images, or a MOTChallenge sequence folder.

    Raises:
        UserError: it cannot be read, or is several sequences.
    """
    # Imported when needed: the decoders take long to load.
    from scalor_ppl.data.frames import find_sequence, look_at

    return look_at(find_sequence(Path(path)))
