"""Clips of a recording that lie apart: neighbouring ones share all frames but one."""

from scalor_ppl.data.records import Clip, ClipSource
from scalor_ppl.errors import UserError


class SpreadClips:
    """Some clips of a source, evenly spread over it, none of which shares a frame with another.

    Args:
        source: of all clips.
        frames: length of a clip.
        count: how many there are.
        step: from one to the next, in clips of the source.
    """

    def __init__(self, source: ClipSource, frames: int, count: int, step: int) -> None:
        self.source = source
        self.frames = frames
        self.count = count
        self.step = step
        self.name = source.name
        self.height = source.height
        self.width = source.width
        self.channels = source.channels

    def __len__(self) -> int:
        return self.count

    def starts(self, frames: int) -> int:
        """How many clips there are; they have one length."""
        return self.count if frames == self.frames else 0

    def clip(self, index: int, frames: int) -> Clip:
        """The clip at `index`, 0 to `count` - 1.

        Raises:
            UserError: there is none of that index and length.
        """
        if frames != self.frames or not 0 <= index < self.count:
            raise UserError(
                f"{self.name} has no clip {index} of {frames} frames: there are {self.count} of "
                f"{self.frames} frames that lie apart"
            )
        return self.source.clip(index * self.step, frames)


def spread_clips(source: ClipSource, clips: int, frames: int) -> ClipSource:
    """At most so many clips that share no frame: of a recording they are evenly spread over it.

    Args:
        source: of clips; one whose clips do not overlap is given back as it is.
        clips: how many are wanted.
        frames: length of each.

    Raises:
        UserError: the source is shorter than one clip.
    """
    if not getattr(source, "overlapping", False):
        return source
    starts = source.starts(frames)
    if starts < 1:
        source.clip(0, frames)  # says what is wrong
    count = min(clips, (starts - 1) // frames + 1)
    step = (starts - 1) // (count - 1) if count > 1 else 1
    return SpreadClips(source, frames, count, step)
