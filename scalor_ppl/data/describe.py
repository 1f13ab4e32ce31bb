"""What a set is like, measured on its clips: the check of the toy sets against the paper."""

from dataclasses import dataclass

import numpy as np

from scalor_ppl.data.records import ClipSource
from scalor_ppl.data.specs import TOY_SETS, VISIBLE_SHARE
from scalor_ppl.errors import UserError


@dataclass(frozen=True)
class Description:
    """Measurements on some clips; None where there is no ground truth to measure.

    Attributes:
        name: the set.
        clips: how many clips were measured.
        frames: their length.
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        channels: 1 or 3.
        objects: fewest, mean and most objects in the world, per clip.
        visible: mean number of objects a frame that are visible by at least a quarter.
        paper: the paper's (min, average visible, max); None where it gives none.
        deviation: of `visible` from the paper's average, in percent.
        size: mean side of a box, in pixels.
        speed: mean way of a box's centre, in pixels a frame.
        changes: share of the frames (from the second on) in which an object enters or leaves.
    """

    name: str
    clips: int
    frames: int
    height: int
    width: int
    channels: int
    objects: tuple[int, float, int] | None
    visible: float | None
    paper: tuple[int, float, int] | None
    deviation: float | None
    size: float | None
    speed: float | None
    changes: float | None

    def rows(self) -> list[tuple[str, str]]:
        """Label and value of each line of a table for people."""
        lines = [
            ("set", self.name),
            ("frames", f"{self.height} x {self.width} pixels, {self.channels} channels"),
            ("measured", f"{self.clips} clips of {self.frames} frames"),
        ]
        if self.objects is not None:
            least, mean, most = self.objects
            lines.append(("objects in the world", f"{least} to {most}, {mean:.2f} on average"))
        if self.visible is not None:
            lines.append(("visible a frame", f"{self.visible:.2f} (at least a quarter of it)"))
        if self.paper is not None and self.deviation is not None:
            lines.append(("paper (min, visible, max)", ", ".join(f"{n:g}" for n in self.paper)))
            lines.append(("deviation of visible", f"{self.deviation:+.1f} %"))
        if self.size is not None:
            lines.append(("object size", f"{self.size:.1f} pixels"))
        if self.speed is not None:
            lines.append(("speed", f"{self.speed:.2f} pixels a frame"))
        if self.changes is not None:
            lines.append(("frames with arrivals or departures", f"{100 * self.changes:.0f} %"))
        return lines


def describe(source: ClipSource, clips: int = 500, frames: int = 10) -> Description:
    """Measure the first clips of a source.

    Args:
        source: what to measure.
        clips: how many clips, at least 1; all there are if there are fewer.
        frames: their length.

    Raises:
        UserError: no clips were asked for, or the source is shorter than `frames`.
    """
    if clips < 1:
        raise UserError(f"clips={clips}: give at least 1 clip to measure")
    available = source.starts(frames)
    if available < 1:
        source.clip(0, frames)  # says what is wrong
    used = min(clips, available)
    truths = [source.clip(index, frames).truth for index in range(used)]
    known = [truth.without_ignored() for truth in truths if truth is not None]
    spec = TOY_SETS.get(source.name)
    paper = None
    if spec is not None and spec.visible is not None:
        paper = (spec.count[0], spec.visible, spec.count[1])

    objects = visible = deviation = size = speed = changes = None
    if known:
        counts = [len(truth.ids) for truth in known]
        objects = (min(counts), float(np.mean(counts)), max(counts))
        seen = [truth.visible >= VISIBLE_SHARE for truth in known]
        visible = float(np.mean([one.sum(axis=1).mean() for one in seen]))
        sides = np.concatenate([truth.boxes[..., 2:].ravel() for truth in known])
        size = _mean(sides)
        steps = [np.diff(t.boxes[..., :2] + t.boxes[..., 2:] / 2, axis=0) for t in known]
        speed = _mean(np.concatenate([np.linalg.norm(step, axis=-1).ravel() for step in steps]))
        if frames > 1:
            changes = float(np.mean([(one[1:] != one[:-1]).any(axis=1).mean() for one in seen]))
    if paper is not None and visible is not None:
        deviation = 100 * (visible / paper[1] - 1)
    return Description(
        source.name,
        used,
        frames,
        source.height,
        source.width,
        source.channels,
        objects,
        visible,
        paper,
        deviation,
        size,
        speed,
        changes,
    )


def _mean(values: np.ndarray) -> float | None:
    """The mean of what is not NaN, or None."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
