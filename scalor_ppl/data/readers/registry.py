"""Which reader reads a recording: by name, by the file's ending, or by its first bytes."""

from collections.abc import Callable
from pathlib import Path

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data.readers.base import Reader
from scalor_ppl.data.readers.images import ImagesReader
from scalor_ppl.data.readers.stacks import NumpyReader
from scalor_ppl.data.readers.tiff import is_tiff
from scalor_ppl.data.readers.video import VideoReader
from scalor_ppl.data.readers.zarr import ZarrReader
from scalor_ppl.errors import UserError

MakeReader = Callable[[Path, SourceOptions], Reader]

READERS: dict[str, MakeReader] = {
    "video": VideoReader,
    "images": ImagesReader,
    "numpy": NumpyReader,
    "zarr": ZarrReader,
}
"""Readers by the name that ``data.reader`` gives."""

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"}
"""Endings of images, of which a folder may hold a sequence."""

VIDEOS = {".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".gif", ".wmv", ".ogv"}
VIDEOS |= {".mts", ".m2ts", ".ts", ".3gp", ".flv", ".asf", ".vob"}
"""Endings of video files, of which a folder may hold one."""

STACKS = {".npy", ".lsm", ".stk"}
"""Endings of stacks that a folder may hold one of; ``.zarr`` is a folder itself."""

_MAGIC = {b"\x93NUMPY": "numpy", b"\x89PNG\r\n\x1a\n": "images", b"\xff\xd8\xff": "images"}


def reader_class(path: Path, options: SourceOptions) -> MakeReader:
    """The reader of one file or Zarr store.

    What has no known ending goes by its first bytes: ffmpeg would read the first page of a TIFF
    stack alone.

    Raises:
        UserError: `options.reader` names none.
    """
    if options.reader is not None:
        return _named(options.reader)
    if path.is_dir():
        return ZarrReader
    ending = path.suffix.lower()
    if ending in IMAGES:
        return ImagesReader
    if ending == ".npy":
        return NumpyReader
    if ending in VIDEOS:
        return VideoReader
    if is_tiff(path):
        return ImagesReader
    with path.open("rb") as file:
        head = file.read(8)
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return READERS[name]
    return VideoReader


def _named(name: str) -> MakeReader:
    if name in READERS:
        return READERS[name]
    if ":" not in name:
        raise UserError(
            f"data.reader={name}: there are {', '.join(READERS)}; one of your own is file.py:Class"
        )
    # Here, as it brings in all of the programs, which nobody needs to read a video.
    from scalor_ppl.code import load_class

    found = load_class(name)
    missing = [part for part in ("look", "frames", "sample") if not hasattr(found, part)]
    if missing:
        raise UserError(
            f"data.reader={name}: it has no {missing[0]}; derive it from "
            "scalor_ppl.data.readers.base.StackReader"
        )
    return found
