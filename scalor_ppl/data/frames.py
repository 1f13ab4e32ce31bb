"""Frames out of video files and folders of images, with plain words about what is wrong."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image, UnidentifiedImageError

from scalor_ppl.data.records import Size, SourceOptions
from scalor_ppl.errors import UserError

_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"}
_VIDEOS = {".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".gif", ".wmv", ".ogv"}


@dataclass(frozen=True)
class Sequence:
    """Where the frames of one recording lie.

    Attributes:
        name: names it in messages.
        video: the video file, or None.
        images: else the images, in order.
        boxes: the file of MOTChallenge rows that goes with it, or None.
    """

    name: str
    video: Path | None
    images: tuple[Path, ...]
    boxes: Path | None


def find_sequences(path: Path) -> list[Sequence]:
    """The recordings at a path.

    Args:
        path: a video file; a folder of images; a MOTChallenge sequence (`img1/` or one video file,
            `gt/gt.txt` where there is truth); or a folder whose subfolders are one of these, as in
            the authors' layout of Grand Central Station.

    Raises:
        UserError: nothing of the kind is there.
    """
    if path.is_file():
        return [Sequence(path.name, path, (), None)]
    if not path.is_dir():
        raise UserError(f"{path} does not exist: give a video file or a folder of images")
    found = _folder(path)
    if found is not None:
        return [found]
    folders = [_folder(inner) for inner in _sorted(p for p in path.iterdir() if p.is_dir())]
    sequences = [found for found in folders if found is not None]
    if not sequences:
        raise UserError(
            f"{path} holds no frames: expected images, one video file, a MOTChallenge sequence "
            "(img1/ and gt/gt.txt), or subfolders of these"
        )
    return sequences


def _folder(path: Path) -> Sequence | None:
    """The one recording in a folder itself, or None."""
    truth = path / "gt" / "gt.txt"
    boxes = truth if truth.is_file() else None
    images = _images(path / "img1") if (path / "img1").is_dir() else _images(path)
    if images:
        return Sequence(path.name, None, images, boxes)
    videos = _sorted(p for p in path.iterdir() if p.suffix.lower() in _VIDEOS and p.is_file())
    if len(videos) > 1:
        raise UserError(f"{path} holds {len(videos)} video files: give the path of one of them")
    return Sequence(path.name, videos[0], (), boxes) if videos else None


def _images(folder: Path) -> tuple[Path, ...]:
    """The images of a folder, in natural order."""
    return tuple(
        _sorted(p for p in folder.iterdir() if p.suffix.lower() in _IMAGES and p.is_file())
    )


def _sorted(paths: Iterator[Path]) -> list[Path]:
    """In natural order: frame 2 comes before frame 10."""

    def key(path: Path) -> list[tuple[int, str]]:
        parts = re.split(r"(\d+)", path.name.lower())
        return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]

    return sorted((p for p in paths if not p.name.startswith(".")), key=key)


def read_frames(sequence: Sequence, options: SourceOptions) -> Iterator[np.ndarray]:
    """Decode the frames that start, stop and stride choose, one by one.

    Yields:
        [H, W, C] uint8; C = 1 for grey recordings, else 3, unless the options say which.

    Raises:
        UserError: not a video or image; broken in the middle; frames of changing size; no frames.
    """
    size: tuple[int, ...] | None = None
    frames = _decoded(sequence, options) if sequence.video else _loaded(sequence, options)
    for frame in frames:
        if size is not None and frame.shape != size:
            raise UserError(
                f"{sequence.name} changes its frame size, from {_words(size)} to "
                f"{_words(frame.shape)}: bring all frames to one size first"
            )
        size = frame.shape
        yield frame
    if size is None:
        last = "the end" if options.stop is None else options.stop
        raise UserError(f"{sequence.name} has no frames from {options.start} to {last}")


def _words(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} pixels in {shape[2]} channel{'s' if shape[2] > 1 else ''}"


def _decoded(sequence: Sequence, options: SourceOptions) -> Iterator[np.ndarray]:
    """The chosen frames of a video file."""
    path = sequence.video
    count = 0
    try:
        with av.open(str(path)) as container:
            # ffmpeg takes any text file for a terminal recording.
            if not container.streams.video or container.format.name == "tty":
                raise UserError(f"{path} is not a video: it has no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                if count >= options.start and (count - options.start) % options.stride == 0:
                    grey = frame.format.name.startswith("gray")
                    channels = options.channels or (1 if grey else 3)
                    pixels = frame.to_ndarray(format="gray" if channels == 1 else "rgb24")
                    yield pixels.reshape(frame.height, frame.width, channels)
                count += 1
                # Before the next frame is decoded: it may be the broken one.
                if count == options.stop:
                    return
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if count == 0:
            raise UserError(
                f"{path} is not a video that can be decoded ({reason}): check it in a player"
            ) from error
        raise UserError(
            f"{path} breaks off at frame {count} ({reason}): repair it or read it with stop={count}"
        ) from error


def _loaded(sequence: Sequence, options: SourceOptions) -> Iterator[np.ndarray]:
    """The chosen images of a folder."""
    for path in sequence.images[options.start : options.stop : options.stride]:
        try:
            with Image.open(path) as file:
                image: Image.Image = file
                if file.mode.startswith("I;16"):  # 16-bit grey: keep the upper byte
                    image = Image.fromarray((np.asarray(file) >> 8).astype(np.uint8))
                grey = image.mode in ("1", "L", "LA", "I", "F")
                channels = options.channels or (1 if grey else 3)
                pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            raise UserError(f"{path} is not a readable image ({error}): remove it") from error
        yield pixels.reshape(*pixels.shape[:2], channels)


def split_tiles(frame: np.ndarray, tiles: Size) -> list[np.ndarray]:
    """Cut [H, W, C] into rows x columns equal tiles, row by row; drops what is left over."""
    height, width = frame.shape[0] // tiles[0], frame.shape[1] // tiles[1]
    if height < 1 or width < 1:
        raise UserError(f"tiles={tiles} are more than a frame of {_words(frame.shape)} can give")
    return [
        frame[i * height : (i + 1) * height, j * width : (j + 1) * width]
        for i in range(tiles[0])
        for j in range(tiles[1])
    ]


def resized(frame: np.ndarray, size: Size) -> np.ndarray:
    """[H, W, C] uint8 to size (height, width); averages areas where it shrinks, so no aliasing."""
    if frame.shape[:2] == size:
        return frame
    shrinks = size[0] <= frame.shape[0] and size[1] <= frame.shape[1]
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    grey = frame.shape[2] == 1
    image = Image.fromarray(np.ascontiguousarray(frame[..., 0] if grey else frame))
    return np.asarray(image.resize((size[1], size[0]), method)).reshape(*size, frame.shape[2])
