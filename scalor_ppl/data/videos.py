"""Frames out of video files: upright, in 8 bits, and none missing without a word."""

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

from scalor_ppl.data.conversion import Turn, is_deep, is_grey, orientation, to_pixels
from scalor_ppl.data.probing import VideoInfo
from scalor_ppl.data.reading import Found, taken, white
from scalor_ppl.data.records import SourceOptions
from scalor_ppl.data.timing import Clock, evenly_spaced, lacks_end, slow_rate
from scalor_ppl.errors import UserError

# A title in another encoding than UTF-8 is no reason to refuse a video; PyAV 19 takes any.
_TITLES: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
_HOPELESS = 300  # packets without a single frame, after which there is none to be hoped for
_GLANCE = 300  # packets whose times are looked at
_GLANCE_BYTES = 2**26  # ... or so many bytes of them
_SAMPLES = 8  # frames from the beginning, and again over the whole, that show the depth


def video_frames(path: Path, options: SourceOptions) -> Iterator[Found]:
    """Decode the frames that start, stop and stride choose, in the order of showing.

    What a phone recorded sideways is turned upright. Grey and RGB video of 16 bits is scaled by
    the depth that its values use: see `reading.white`; the sample are the first frames and some
    over the whole length, whatever the options, so that all parts of a file are scaled alike.

    Raises:
        UserError: not a video; broken in the middle; ends before the end that it announces.
    """
    count = 0
    try:
        with opened(path) as (container, stream):
            top: float | None = None
            turn: Turn | None = None
            for frame in _shown(container, stream):
                if taken(options, count):
                    if top is None and is_deep(frame.format):
                        top = _white(path)
                    if turn is None:
                        turn = orientation(frame)
                    pixels = to_pixels(frame, turn, options.channels, top)
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


def look_at_video(path: Path) -> VideoInfo:
    """What the container says, the size of the first frame, and the times of the first packets.

    Raises:
        UserError: not a video, or its first frame cannot be decoded.
    """
    try:
        with opened(path) as (container, stream):
            clock = Clock(container, stream)
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
            turned = orientation(first)[0]
            height, width = (first.width, first.height) if turned else (first.height, first.width)
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
            )
    except (FFmpegError, OSError, ValueError) as error:
        raise _undecodable(path, error) from error


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
    clock = Clock(container, stream)
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


def _white(path: Path) -> float:
    """The value of 16 bits that is to become white: see `reading.white`."""
    with opened(path) as (container, stream):
        sample = [
            frame.to_ndarray(format="gray16le" if is_grey(frame.format) else "rgb48le").max()
            for frame in _sampled(container, stream)
        ]
    return white(np.array(sample, np.uint16))


def _sampled(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """The first frames, and some spread over the length where the file allows for jumps."""
    try:
        yield from islice(container.decode(stream), _SAMPLES)
        begin, length = container.start_time or 0, container.duration or 0
        for part in range(1, _SAMPLES if length else 1):
            container.seek(begin + length * part // _SAMPLES)
            yield from islice(container.decode(stream), 1)
    except FFmpegError:
        return  # broken or without an index: reading it will tell, or the first frames do
