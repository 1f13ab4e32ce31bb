"""Whether a video file holds all that it announces, by the times of its packets."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

_SLOW = Fraction(1, 1000)  # frames a second
_STREAMED = ("mpegts", "mpeg")  # broadcasts: announce nothing, and begin and end anywhere


class StreamClock:
    """How far the packets of a stream have come, against what its container announces.

    Times are in ticks of the stream. Only containers that keep a length of their own are believed:
    ffmpeg takes those of others from the packets that are there.

    Args:
        container: just opened.
        stream: of that container.

    Attributes:
        frames: how many frames are announced; None where they are not.
        seconds: how long the video lasts; None where that is not known.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._kinds = container.format.name.split(",")
        self._tick = float(stream.time_base or 0)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        self._frame = 1 / (rate * self._tick) if rate and self._tick else None
        self._announced = self._end_announced(container, stream)
        self._end: float | None = None
        self._last: int | None = None
        self._longest = 0

        self.seconds: float | None = None
        if self._announced is not None:
            self.seconds = (self._announced - (stream.start_time or 0)) * self._tick
        elif container.duration is not None:
            self.seconds = container.duration / 1e6
        self.frames: int | None = stream.frames or None
        if self.frames is not None and self.seconds is not None and rate:
            # Phones cut a video by hiding frames, which the container goes on counting.
            self.frames = min(self.frames, max(1, round(self.seconds * rate)))

    def _end_announced(self, container: InputContainer, stream: VideoStream) -> float | None:
        """When the last frame ends, as the container says."""
        if "mov" in self._kinds and stream.duration is not None:
            return (stream.start_time or 0) + stream.duration
        if "avi" in self._kinds:  # a tick is a frame; ffmpeg shortens the duration of a cut file
            return stream.frames or None
        if "matroska" in self._kinds and container.duration is not None and self._tick:
            whole = container.duration / 1e6
            own = _seconds(stream.metadata.get("DURATION", ""))
            if own is not None:
                return min(own, whole) / self._tick
            return whole / self._tick if len(container.streams) == 1 else None
        return None

    def is_cut(self, packet: Packet[VideoStream]) -> bool:
        """Whether the file ends within a packet that is to be shown."""
        broadcast = any(kind in _STREAMED for kind in self._kinds)
        return packet.is_corrupt and not packet.is_discard and not broadcast

    def tick(self, packet: Packet[VideoStream]) -> None:
        """Take note of the next packet."""
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is None:
            return
        end = stamp + (packet.duration or 0)
        self._end = end if self._end is None else max(self._end, end)
        # By the time of decoding, which unlike that of showing never steps back.
        if packet.dts is not None:
            if self._last is not None:
                self._longest = max(self._longest, packet.dts - self._last)
            self._last = packet.dts

    @property
    def missing(self) -> float:
        """Seconds between the last packet and the announced end; 0 where that is within bounds.

        The bound is one frame and a half, as long as the longest so far: the last may be long too.
        """
        if self._announced is None or self._end is None or self._frame is None:
            return 0.0
        short = self._announced - self._end
        return short * self._tick if short > 1.5 * max(self._longest, self._frame) else 0.0


def evenly_spaced(times: list[int]) -> bool:
    """Whether frames follow one another at one distance, but for rounding and a rare slip.

    Args:
        times: at which frames are decoded, in ticks.
    """
    steps = [late - early for early, late in pairwise(sorted(set(times)))]
    if not steps:
        return True
    usual = median(steps)
    # A quarter is jitter, not a frame left out; and whole ticks are rounded, except where each
    # frame is one, as in AVI.
    bound = max(usual / 4, float(usual > 1))
    odd = sum(abs(step - usual) > bound for step in steps)
    return odd <= max(1, len(steps) // 50)


def slow_rate(times: list[int], stream: VideoStream) -> Fraction | None:
    """Frames a second by the times of the packets, where they are hours apart; else None.

    ffmpeg reads no rate below 1/30000 out of a Matroska file, but another, or one from nowhere.

    Args:
        times: at which frames are decoded, in ticks.
        stream: whose they are.
    """
    span = max(times, default=0) - min(times, default=0)
    if not span or not stream.time_base:
        return None
    rate = (len(set(times)) - 1) / (span * stream.time_base)
    return rate if rate < _SLOW else None


def lacks_end(path: Path) -> bool:
    """Whether a GIF does not end with the mark that ends GIFs."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64))
        return not file.read().rstrip(b"\0\r\n").endswith(b";")


def _seconds(text: str) -> float | None:
    """`00:01:02.5` in seconds, or None where it is not of that form."""
    parts = text.split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + seconds
