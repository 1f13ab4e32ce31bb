"""Frames out of video files: upright, and none missing without a word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data.readers.base import SAMPLES, Found, VideoInfo, no_slices, one_of_three
from scalor_ppl.data.readers.conversion import Turn, bits_of, is_grey, orientation, to_pixels
from scalor_ppl.data.readers.timing import StreamClock, evenly_spaced, lacks_end, slow_rate
from scalor_ppl.errors import UserError

# A title in another encoding than UTF-8 is no reason to refuse a video; PyAV 19 takes any.
_TITLES: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
_HOPELESS = 300  # packets without a single frame, after which there is none to be hoped for
_GLANCE = 300  # packets whose times are looked at
_GLANCE_BYTES = 2**26  # ... or so many bytes of them
_FIRST = SAMPLES // 2  # frames of the sample from the beginning; as many over the whole


class VideoReader:
    """A video file, in the order of showing; what a phone recorded sideways is turned upright.

    Grey and RGB video of 16 bits keeps its values: see `levels`.

    Args:
        path: of the file.
        options: how it is read.

    Raises:
        UserError: while reading: not a video; broken in the middle; ends before the end that it
            announces.
    """

    def __init__(self, path: Path, options: SourceOptions) -> None:
        no_slices(options, path.name)
        self.path = path
        self.options = options

    def frames(self, *, exact: bool = False) -> Iterator[Found]:
        """See `Reader`."""
        path, options = self.path, self.options
        # One of three channels cannot be chosen from grey.
        channels = options.channels if options.channel is None else None
        count = 0
        try:
            with opened(path) as (container, stream):
                turn: Turn | None = None
                for frame in _shown(container, stream):
                    if options.taken(count):
                        if turn is None:
                            turn = orientation(frame)
                        pixels = to_pixels(frame, turn, channels, exact=exact)
                        pixels = one_of_three(pixels, options, path.name)
                        yield Found(count, f"frame {count}", pixels)
                    count += 1
                    # Before the next frame is decoded: it may be the broken one.
                    if count == options.stop:
                        return
        except (FFmpegError, OSError, ValueError) as error:
            if count == 0:
                raise _undecodable(path, error) from error
            raise UserError(
                f"{path} breaks off at frame {count} ({_reason(error)}): repair it or read it with "
                f"stop={count}"
            ) from error

    def look(self) -> VideoInfo:
        """What the container says, the first frame's size, and the first packets' times."""
        path = self.path
        try:
            with opened(path) as (container, stream):
                clock = StreamClock(container, stream)
                first: VideoFrame | None = None
                times: list[int] = []
                seen = size = 0
                for packet in container.demux(stream):
                    seen, size = seen + 1, size + packet.size
                    if packet.dts is not None:
                        times.append(packet.dts)
                    if first is None:
                        first = next(iter(_decoded(packet, lenient=True)), None)
                    elif size > _GLANCE_BYTES:
                        break
                    if seen >= _GLANCE:
                        break
                if first is None:
                    raise ValueError("no frame of it can be decoded")
                height, width = first.height, first.width
                if orientation(first)[0]:
                    height, width = width, height
                rate = slow_rate(times, stream) or stream.average_rate or stream.guessed_rate
                return VideoInfo(
                    name=path.name,
                    height=height,
                    width=width,
                    channels=1 if is_grey(first.format) else 3,
                    frames=clock.frames,
                    fps=float(rate) if rate else None,
                    variable_rate=not evenly_spaced(times),
                    seconds=clock.seconds,
                    bits=bits_of(first.format),
                )
        except (FFmpegError, OSError, ValueError) as error:
            raise _undecodable(path, error) from error

    def sample(self) -> Iterator[np.ndarray]:
        """See `Reader`: the first frames, and some over the whole length."""
        turn: Turn = (False, False, False)
        try:
            with opened(self.path) as (container, stream):
                for frame in _sampled(container, stream):
                    if bits_of(frame.format) < 16:
                        return
                    pixels = to_pixels(frame, turn, None, exact=False)
                    yield one_of_three(pixels, self.options, self.path.name)
        except (FFmpegError, OSError, ValueError):
            return  # reading it will tell


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _undecodable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} is not a video that can be decoded ({_reason(error)}): check it in a player"
    )


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its moving picture.

    Raises:
        UserError: there is none.
        FFmpegError, ValueError: it is nothing that can be opened or decoded.
    """
    # An absolute path: ffmpeg would take the beginning of `12:30.mp4` for a protocol.
    with av.open(str(path.absolute()), **_TITLES) as container:
        # The cover of a piece of music is a stream of one picture.
        streams = [
            stream
            for stream in container.streams.video
            if not stream.disposition & Disposition.attached_pic
        ]
        # ffmpeg takes any text file for a terminal recording.
        if not streams or container.format.name == "tty":
            raise UserError(f"{path} is not a video: it has no video stream")
        if streams[0].codec_context is None:
            raise ValueError("there is no decoder for it")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def _shown(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """The frames in the order of showing.

    Raises:
        FFmpegError: a packet cannot be decoded.
        ValueError: the file is cut short.
    """
    clock = StreamClock(container, stream)
    shown = 0
    cut = False  # what was cut out of a longer video begins with frames that want those before
    for seen, packet in enumerate(container.demux(stream)):
        if clock.is_cut(packet):
            yield from stream.decode(None)
            raise ValueError("the file is cut off within the frame")
        clock.tick(packet)
        cut = cut or (seen == 0 and not packet.is_keyframe)
        for frame in _decoded(packet, lenient=cut and not shown and seen < _HOPELESS):
            yield frame
            shown += 1
    if not shown:
        raise ValueError("no frame of it can be decoded")
    if clock.missing:
        raise ValueError(f"{clock.missing:.2f} s of what it announces are missing")
    if container.format.name == "gif" and lacks_end(Path(container.name)):
        raise ValueError("the file is cut off")


def _decoded(packet: Packet[VideoStream], *, lenient: bool) -> list[VideoFrame]:
    """The frames that a packet completes; none, if lenient, where it cannot be decoded."""
    try:
        return packet.decode()
    except FFmpegError:
        if not lenient:
            raise
        return []


def _sampled(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """The first frames, and some spread over the length where the file allows for jumps."""
    try:
        yield from islice(container.decode(stream), _FIRST)
        begin, length = container.start_time or 0, container.duration or 0
        for part in range(1, _FIRST if length else 1):
            container.seek(begin + length * part // _FIRST)
            yield from islice(container.decode(stream), 1)
    except FFmpegError:
        return  # broken or without an index: reading it will tell, or the first frames do
