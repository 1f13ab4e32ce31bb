"""A recording frame by frame, as a run reads its own data."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scalor_ppl.config.schema import Config, DataConfig
from scalor_ppl.data import REGISTERED, SourceOptions, iterate_frames
from scalor_ppl.data.frames import find_sequence, look_at, resized
from scalor_ppl.data.netcdf import is_netcdf
from scalor_ppl.data.records import Size
from scalor_ppl.data.truth import tell_of_places
from scalor_ppl.errors import UserError
from scalor_ppl.training.sources import reading


class RecordedFrame(NamedTuple):
    """One frame.

    Attributes:
        number: in the file, from 0.
        seen: ``[h, w, C]`` uint8, as the run reads it.
        shown: ``[H, W, C]`` uint8, in the recording's own size; none where nobody asked for it.
    """

    number: int
    seen: np.ndarray
    shown: np.ndarray | None


@dataclass(frozen=True)
class Recording:
    """A video file or folder of images.

    Attributes:
        path: where it lies.
        options: how it is read; without resizing, which comes afterwards.
        source: height and width of its own frames.
        size: height and width in which the run sees them.
        total: how many frames will be read; none where the file does not say.
        fps: frames a second of the file; none where there is no such thing.
        variable_rate: whether its frames are unevenly spaced in time.
    """

    path: Path
    options: SourceOptions
    source: Size
    size: Size
    total: int | None
    fps: float | None
    variable_rate: bool

    @property
    def name(self) -> str:
        """Names it in messages and files."""
        return self.path.name

    def frames(self, done: int = 0, *, shown: bool = False) -> Iterator[RecordedFrame]:
        """The frames after the first ``done`` ones.

        Args:
            done: frames that were read before; they are decoded again, and dropped.
            shown: hand over the frames in their own size, too.

        Raises:
            UserError: the recording breaks off or changes its frame size; see `iterate_frames`.
        """
        # From the last one that is done: to read no frame at all would be an error.
        behind = max(0, done - 1)
        start = self.options.start + behind * self.options.stride
        options = self.options.changed(start=start)
        for taken, frame in enumerate(iterate_frames(self.path, options=options), start=behind):
            if taken >= done:
                number = self.options.start + taken * self.options.stride
                yield RecordedFrame(number, resized(frame, self.size), frame if shown else None)


def open_recording(
    config: Config, path: str | Path, start: int | None = None, stop: int | None = None
) -> Recording:
    """Look at a recording, and decide how it is read.

    As the run reads its own data (size, channels, levels; its stride, unless ``data.track_stride``
    is another), but whole: not in tiles or crops. Where neither ``start`` nor ``stop`` is given, a
    run's own recording is read over the range that the run names, another from beginning to end.

    Args:
        config: of the run.
        path: a video file, a folder of images, or a MOTChallenge sequence folder.
        start: first frame, from 0.
        stop: the frame after the last one.

    Raises:
        UserError: nothing there can be read, or it is several recordings, or the range is empty.
    """
    path = Path(path)
    if not path.exists() and str(path) in REGISTERED:
        raise UserError(f"{path} is a registered set: give a video file or a folder of images")
    if path.is_file() and is_netcdf(path):
        raise UserError(f"{path} holds clips: give a video file or a folder of images")
    data = reading(config.data, str(path))
    sequence = find_sequence(path, data)
    about = look_at(sequence, data)
    tell_of_places(sequence, data)
    trained = start is None and stop is None  # the range that was trained on, if any
    read = {
        "channels": config.model.channels,
        "start": data.start if trained else start or 0,
        "stop": data.stop if trained else stop,
        "stride": data.track_stride or data.stride,
        **dict.fromkeys(("resize", "tiles", "crop")),
    }
    options = data.changed(**read)
    total = about.expected_frames
    if total is not None:
        stops = total if options.stop is None else min(options.stop, total)
        total = len(range(options.start, stops, options.stride))
    source = (about.height, about.width)
    return Recording(
        path, options, source, _seen(data, source), total, about.fps, about.variable_rate
    )


def _seen(data: DataConfig, source: Size) -> Size:
    """The size in which the run sees frames of a size."""
    if data.resize is None:
        return source
    # Each tile is resized: the whole frame keeps that scale.
    rows, columns = data.tiles or (1, 1)
    return rows * data.resize[0], columns * data.resize[1]
