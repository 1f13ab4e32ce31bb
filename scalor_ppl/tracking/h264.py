"""H.264 without a container, which can be cut and continued, and then put into an mp4."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from scalor_ppl.files import written_whole


class Encoder:
    """Pictures to H.264 in yuv420p, the one format that every player knows.

    Without B-frames, so that pictures are stored in the order of time: a stream without a container
    has no other clock.

    Args:
        rate: frames a second.
    """

    def __init__(self, rate: Fraction) -> None:
        self._rate = rate
        self._codec: av.VideoCodecContext | None = None

    def encode(self, picture: np.ndarray) -> bytes:
        """The next picture, uint8 [H, W, 3] of even size; what is ready of it and those before."""
        if self._codec is None:
            height, width = picture.shape[:2]
            codec = av.CodecContext.create("libx264", "w")
            assert isinstance(codec, av.VideoCodecContext)
            codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
            codec.framerate, codec.time_base = self._rate, 1 / self._rate
            codec.options = {"crf": "20", "preset": "veryfast", "bf": "0"}
            # One thread: tracking has the others.
            codec.thread_count = 1
            self._codec = codec
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))

    def flush(self) -> bytes:
        """What is still inside; the next picture begins a stream that stands alone."""
        codec, self._codec = self._codec, None
        return b"" if codec is None else b"".join(bytes(packet) for packet in codec.encode(None))


def wrap(stream: Path, target: Path, rate: Fraction) -> None:
    """Put streams of an `Encoder`, one after the other in a file, into an mp4, as they are.

    Args:
        stream: the file.
        target: the mp4, replaced whole.
        rate: frames a second.
    """
    with (
        written_whole(target) as lent,
        av.open(str(stream), format="h264") as source,
        av.open(str(lent), "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        track = container.add_stream_from_template(source.streams.video[0])
        time = 0
        for packet in source.demux(video=0):
            if not packet.size:  # the end
                continue
            packet.stream, packet.time_base = track, 1 / rate
            packet.pts = packet.dts = time
            packet.duration = 1
            time += 1
            container.mux(packet)
