"""A part of a recording as a recording of its own, with its ground truth."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from scalor_ppl.data.frames import find_sequences, look_at, read_frames
from scalor_ppl.data.motchallenge import read_boxes
from scalor_ppl.data.records import SourceOptions
from scalor_ppl.data.region import Region
from scalor_ppl.errors import UserError
from scalor_ppl.results.files import written_whole

VIDEO = "video.mkv"
_RATE = 10.0  # frames a second, where the recording does not say


def cut_recording(
    path: Path,
    out: Path,
    region: Region,
    *,
    boxes: Path | None = None,
    start: int = 0,
    stop: int | None = None,
) -> int:
    """Write a part of a recording as a MOTChallenge sequence, without loss (FFV1).

    Args:
        path: a video file, a folder of images, or a MOTChallenge sequence.
        out: folder to make: ``video.mkv``, and ``gt/gt.txt`` where there are boxes.
        region: of the frames.
        boxes: MOTChallenge rows of the recording; the sequence's own ground truth by default. Those
            whose centre lies in the region are kept.
        start: first frame, from 0.
        stop: the frame after the last one.

    Returns:
        How many frames were written.

    Raises:
        UserError: it cannot be read, has no such region, or the folder cannot be written.
    """
    sequences = find_sequences(path)
    if len(sequences) > 1:
        raise UserError(f"{path} holds {len(sequences)} sequences: give the path of one")
    sequence = sequences[0]
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already: choose another --out")
    rate = look_at(sequence).fps or _RATE
    frames = read_frames(sequence, SourceOptions(start=start, stop=stop))
    first = region.cut(next(frames))  # complains before anything is made
    boxes = boxes or sequence.boxes
    with written_whole(out / VIDEO) as lent:
        count = _write(lent, _cut(first, frames, region), rate)
    if boxes is not None:
        with written_whole(out / "gt" / "gt.txt") as lent:
            lent.write_text("".join(_rows(boxes, region, range(start, start + count))))
    return count


def _cut(first: np.ndarray, frames: Iterator[np.ndarray], region: Region) -> Iterator[np.ndarray]:
    yield first
    for frame in frames:
        yield region.cut(frame)


def _write(path: Path, frames: Iterator[np.ndarray], rate: float) -> int:
    """Encode uint8 frames ``[H, W, 1 or 3]`` without loss; how many there were."""
    count = 0
    with av.open(str(path), "w", format="matroska") as container:
        stream = None
        for frame in frames:
            grey = frame.shape[2] == 1
            if stream is None:
                stream = container.add_stream("ffv1", rate=Fraction(rate).limit_denominator(1001))
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "gray" if grey else "bgr0"
            pixels = np.ascontiguousarray(frame[..., 0] if grey else frame)
            picture = av.VideoFrame.from_ndarray(pixels, format="gray" if grey else "rgb24")
            container.mux(stream.encode(picture))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    return count


def _rows(path: Path, region: Region, frames: range) -> Iterator[str]:
    """The boxes in the region, in its pixels and frames."""
    found = read_boxes(path, frames)
    for t, n in np.argwhere(region.holds(found.boxes)):
        left, top, width, height = found.boxes[t, n] - [region.left, region.top, 0, 0]
        yield (f"{t + 1},{found.ids[n]},{left:.3f},{top:.3f},{width:.3f},{height:.3f},1,-1,-1,-1\n")
