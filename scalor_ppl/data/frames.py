"""Where the frames of a recording lie, and one after the other out of there."""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from scalor_ppl.config.reading import DEFAULT_OPTIONS, SourceOptions
from scalor_ppl.data.levels import Levels, find_levels, in_channels, narrowed, stretched
from scalor_ppl.data.piped import local_copy
from scalor_ppl.data.readers.base import Found, Reader, VideoInfo, told
from scalor_ppl.data.readers.images import ImagesReader
from scalor_ppl.data.readers.registry import IMAGES, STACKS, VIDEOS, reader_class
from scalor_ppl.data.readers.zarr import is_zarr
from scalor_ppl.data.records import Size
from scalor_ppl.errors import UserError

_LOG = logging.getLogger(__name__)
_told: set[Path] = set()  # recordings of whose black and white something was said


@dataclass(frozen=True)
class Sequence:
    """Where the frames of one recording lie.

    Attributes:
        name: names it in messages.
        files: the video file, the stack, or the images, in order.
        boxes: the file of MOTChallenge rows that goes with it, or None.
    """

    name: str
    files: tuple[Path, ...]
    boxes: Path | None

    @property
    def images(self) -> tuple[Path, ...]:
        """The images; none of a video or of a stack that is no image."""
        return self.files if self.files[0].suffix.lower() in IMAGES else ()


def find_sequences(path: Path, options: SourceOptions = DEFAULT_OPTIONS) -> list[Sequence]:
    """The recordings at a path.

    Args:
        path: a video file; a TIFF, ``.npy`` or Zarr stack, or another image; a folder of images;
            a MOTChallenge sequence (`img1/` or one video file or stack, `gt/gt.txt` where there is
            truth); a folder whose subfolders are one of these, as in the authors' layout of Grand
            Central Station; or ``-`` for a file that comes from standard input.
        options: with a reader of its own, which is to know what to do with the path.

    Raises:
        UserError: nothing of the kind is there, or it may not be read.
    """
    path = local_copy(path)
    if options.reader is not None and path.exists():
        truth = path / "gt" / "gt.txt"
        return [Sequence(path.name, (path,), truth if truth.is_file() else None)]
    try:
        return _sequences(path)
    except PermissionError as error:
        place = error.filename or path
        raise UserError(f"{place} may not be read: change its permissions") from error


def find_sequence(path: Path, options: SourceOptions = DEFAULT_OPTIONS) -> Sequence:
    """The one recording at a path.

    Args:
        path: as in `find_sequences`, but without the folder of subfolders.
        options: likewise.

    Raises:
        UserError: as `find_sequences`, or there are several.
    """
    sequences = find_sequences(path, options)
    if len(sequences) > 1:
        raise UserError(f"{path} holds {len(sequences)} sequences: give the path of one")
    return sequences[0]


def _sequences(path: Path) -> list[Sequence]:
    if path.is_file():
        with path.open("rb"):  # whether it may be read
            pass
        return [Sequence(path.name, (path,), None)]
    if not path.is_dir():
        wrong = "is neither a file nor a folder" if path.exists() else "does not exist"
        raise UserError(f"{path} {wrong}: give a video file or a folder of images")
    if is_zarr(path):
        return [Sequence(path.name, (path,), None)]
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
        return Sequence(path.name, images, boxes)
    videos = _sorted(
        p
        for p in path.iterdir()
        if (p.suffix.lower() in VIDEOS | STACKS and _is_there(p)) or (p.is_dir() and is_zarr(p))
    )
    if len(videos) > 1:
        raise UserError(f"{path} holds {len(videos)} video files: give the path of one of them")
    return Sequence(path.name, (videos[0],), boxes) if videos else None


def _images(folder: Path) -> tuple[Path, ...]:
    """The images of a folder, in natural order."""
    return tuple(
        _sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGES and _is_there(p))
    )


def _is_there(path: Path) -> bool:
    """Whether a path is a file.

    Raises:
        UserError: it is a link to nothing. To skip it would shift the frames that follow.
    """
    if path.is_symlink() and not path.exists() and not path.name.startswith("."):
        raise UserError(f"{path} is a link to {path.readlink()}, which is not there: mend the link")
    return path.is_file()


def _sorted(paths: Iterator[Path]) -> list[Path]:
    """In natural order: frame 2 comes before frame 10."""

    def key(path: Path) -> list[tuple[int, str]]:
        # Text and numbers take turns; not by isdigit(), which holds of superscripts too.
        parts = re.split(r"(\d+)", path.name.lower())
        return [(int(part), "") if n % 2 else (-1, part) for n, part in enumerate(parts)]

    return sorted((p for p in paths if not p.name.startswith(".")), key=key)


def open_reader(sequence: Sequence, options: SourceOptions) -> Reader:
    """What reads a recording.

    Raises:
        UserError: `options.reader` names none, or what is there is not of its kind.
    """
    first = sequence.files[0]
    if len(sequence.files) > 1:
        return ImagesReader(first.parent, options, sequence.files)
    make = reader_class(first, options)
    with told(first, 0):  # a reader of somebody's own may open its file when it is made
        return make(first, options)


def read_frames(sequence: Sequence, options: SourceOptions) -> Iterator[np.ndarray]:
    """Decode the frames that start, stop and stride choose, one by one, and stretch their levels.

    Yields:
        [H, W, C] uint8; C = 1 for grey recordings, else 3, unless the options say which.

    Raises:
        UserError: not a video or image; broken in the middle; frames of changing size; no frames.
    """
    reader = open_reader(sequence, options)
    deep = options.deep_levels
    for frame in _of_one_size(sequence, options, reader.frames()):
        if frame.dtype != np.uint8:
            if deep is None:
                deep = find_levels(reader.sample()) or (0.0, 255.0)
                _tell_levels(sequence, deep)
            frame = narrowed(frame, deep)
        yield frame if options.levels is None else stretched(frame, options.levels)


def read_exact_frames(sequence: Sequence, options: SourceOptions) -> Iterator[np.ndarray]:
    """As `read_frames`, but with all bits of the pixels: of 8 bits as uint8, else as they are."""
    return _of_one_size(sequence, options, open_reader(sequence, options).frames(exact=True))


def deep_levels_of(sequences: Iterable[Sequence], options: SourceOptions) -> Levels | None:
    """Black and white for all of some recordings; None where all have 8 bits.

    What the options give stays. Else they are found from a sample of each: the darkest black and
    the brightest white of all.
    """
    if options.deep_levels is not None:
        return options.deep_levels
    sequences = list(sequences)
    each = [find_levels(open_reader(one, options).sample()) for one in sequences]
    found = [levels for levels in each if levels is not None]
    if not found:
        return None
    levels = min(black for black, _ in found), max(white for _, white in found)
    _tell_levels(sequences[0], levels)
    return levels


def _tell_levels(sequence: Sequence, levels: Levels) -> None:
    """Say once of each recording what becomes black and white where nobody has said it.

    A run that was trained on 8 bits has no such values of its own: it would see two files at two
    brightnesses, and nobody would know.
    """
    first = sequence.files[0]
    if first not in _told:
        _told.add(first)
        _LOG.warning(
            "%s: of its more than 8 bits %g becomes black and %g white, as found in it; "
            "data.deep_levels says otherwise",
            *(sequence.name, *levels),
        )


def look_at(sequence: Sequence, options: SourceOptions = DEFAULT_OPTIONS) -> VideoInfo:
    """What a recording is like, without decoding more than its first frame.

    Raises:
        UserError: it cannot be read.
    """
    return replace(open_reader(sequence, options).look(), name=sequence.name)


def probe(path: str | Path, options: SourceOptions = DEFAULT_OPTIONS) -> VideoInfo:
    """What a recording is like; a video's first frame is decoded, the rest only looked at.

    Args:
        path: a video file, a stack, an image, a folder of images, or a MOTChallenge sequence.
        options: which channel and slice of a stack, and by what it is read.

    Raises:
        UserError: it cannot be read, or is several sequences.
    """
    return look_at(find_sequence(Path(path), options), options)


def _of_one_size(
    sequence: Sequence, options: SourceOptions, found: Iterator[Found]
) -> Iterator[np.ndarray]:
    """The pixels, in the channels that are asked for.

    Raises:
        UserError: frames of changing size; no frames.
    """
    size: tuple[int, ...] | None = None
    for number, place, pixels in found:
        frame = in_channels(pixels, options.channels)
        if size is not None and frame.shape != size:
            raise UserError(
                f"{sequence.name} changes its frame size at {place}, from {_words(size)} to "
                f"{_words(frame.shape)}: {_remedy(size, frame.shape, number)}"
            )
        size = frame.shape
        yield frame
    if size is None:
        last = "the end" if options.stop is None else options.stop
        raise UserError(f"{sequence.name} has no frames from {options.start} to {last}")


def _words(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} pixels in {shape[2]} channel{'s' if shape[2] > 1 else ''}"


def _remedy(before: tuple[int, ...], now: tuple[int, ...], number: int) -> str:
    if before[:2] == now[:2]:
        return "give --set data.channels=1 (grey) or 3 (colour)"
    return f"bring all frames to one size first, or read only those before it with stop={number}"


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
