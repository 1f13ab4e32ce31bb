"""What tracking writes: a file each, first beside its place, then in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scalor_ppl.tracking.stream import Tracked


@dataclass(frozen=True)
class About:
    """What a finished file says of itself.

    Attributes:
        source: name of the video.
        height: of its frames, in pixels.
        width: of its frames.
        fps: its frames a second; none where there is no such thing.
        start: number of the first frame that was tracked, from 0.
        stride: every so many frames one was tracked.
        frames: how many were tracked.
        configuration: digest of the run's configuration.
        weights: digest of the run's weights.
    """

    source: str
    height: int
    width: int
    fps: float | None
    start: int
    stride: int
    frames: int
    configuration: str
    weights: str

    def attributes(self) -> dict[str, Any]:
        """As attributes of a file: what is none is left out."""
        return {name: value for name, value in vars(self).items() if value is not None}


class Output(Protocol):
    """A file in the making.

    Attributes:
        target: where it will be.
    """

    target: Path

    def add(self, tracked: Tracked) -> None:
        """Write the next frames."""
        ...

    def sync(self) -> dict[str, Any]:
        """Bring everything to the disk; what is needed to go on from here, as a checkpoint's."""
        ...

    def close(self) -> None:
        """Let go of the file in the making."""
        ...

    def finish(self, about: About) -> None:
        """Turn the file in the making into the target; after an interruption here, once more."""
        ...


def part_of(target: Path) -> Path:
    """Where a file in the making lies."""
    return target.with_name(f"{target.name}.part")
