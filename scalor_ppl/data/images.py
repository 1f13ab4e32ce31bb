"""Frames out of images: one of each file, or all pages of a TIFF stack or an animation."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from scalor_ppl.data.probing import VideoInfo
from scalor_ppl.data.reading import Found, narrowed, taken, white
from scalor_ppl.data.records import SourceOptions
from scalor_ppl.data.videos import opened
from scalor_ppl.errors import UserError

_STACKS = {".tif", ".tiff", ".webp"}  # names of files that may have many pages
_PAGED = {"TIFF", "WEBP", "PNG"}  # not MPO: the second picture of a phone's JPEG is no frame
_GREY = {"1", "L", "LA", "La", "I", "F"}
_SAMPLES = 16  # pages that show the depth
_DESCRIPTION = 270  # TIFF tag


def image_frames(images: tuple[Path, ...], options: SourceOptions) -> Iterator[Found]:
    """Load the frames that start, stop and stride choose; a photo's orientation is followed.

    Transparency is dropped: pixels are as they are stored. Values of 16 bits and more are scaled
    by the depth that they use: see `reading.white`; the sample is spread over all images, whatever
    the options, so that all frames are scaled alike.

    Raises:
        UserError: an image cannot be read, or a stack is cut short.
    """
    number = 0
    top: float | None = None
    for path in images:
        if number == options.stop:
            return
        if not _may_be_stack(path, images) and not taken(options, number):
            number += 1
            continue
        page = 0
        try:
            with Image.open(path) as file:
                while number != options.stop:
                    if taken(options, number):
                        pixels = _values(file, path, options.channels)
                        if pixels.dtype != np.uint8:
                            top = _white(images) if top is None else top
                            pixels = narrowed(pixels, top)
                        place = f"page {page} of {path}" if page else str(path)
                        yield Found(number, place, pixels)
                    number, page = number + 1, page + 1
                    if not _turned_to(file, page):
                        break
        except UserError:
            raise
        except PermissionError as error:
            raise UserError(f"{path} may not be read: change its permissions") from error
        except Image.DecompressionBombError as error:
            raise UserError(f"{path} has too many pixels to be read: make it smaller") from error
        except Exception as error:  # a broken file makes Pillow stumble anywhere, over anything
            if page == 0:
                raise UserError(f"{path} is not a readable image ({error}): remove it") from error
            raise UserError(
                f"{path} breaks off at page {page} ({error}): repair it or read it with "
                f"stop={number}"
            ) from error


def look_at_images(name: str, images: tuple[Path, ...]) -> VideoInfo:
    """The size of the first frame, and the number of pages of all files.

    Raises:
        UserError: the first image cannot be read.
    """
    height, width, channels = next(image_frames(images, SourceOptions())).pixels.shape
    frames = sum(_pages(path) if _may_be_stack(path, images) else 1 for path in images)
    return VideoInfo(name, height, width, channels, frames, None, False)


def _may_be_stack(path: Path, images: tuple[Path, ...]) -> bool:
    """Whether a file must be opened to know how many frames it holds."""
    return len(images) == 1 or path.suffix.lower() in _STACKS


def _pages(path: Path) -> int:
    """How many frames a file holds, as it says; 1 where it cannot be read, which reading tells."""
    try:
        with Image.open(path) as file:
            return _announced(file)
    except Exception:
        return 1


def _announced(file: Image.Image) -> int:
    """How many pages a file says that it has."""
    if file.format not in _PAGED:
        return 1
    pages = int(getattr(file, "n_frames", 1))
    # ImageJ writes stacks of more than 4 GB with a single page, and the number into a text.
    text = str(getattr(file, "tag_v2", {}).get(_DESCRIPTION, ""))
    more = re.search(r"^images=(\d+)", text, re.MULTILINE) if text.startswith("ImageJ=") else None
    return max(pages, int(more[1])) if more else pages


def _turned_to(file: Image.Image, page: int) -> bool:
    """Turn to a page; False where the file ends before it.

    Raises:
        EOFError: the file says that it has this page, but does not.
    """
    if file.format not in _PAGED:
        return False
    try:
        file.seek(page)
    except EOFError:
        announced = _announced(file)
        if page < announced:
            raise EOFError(f"it announces {announced} pages, but has {page}") from None
        return False
    return True


def _values(file: Image.Image, path: Path, channels: int | None) -> np.ndarray:
    """[H, W, C] of the page that a file is turned to: uint8, or deeper numbers as they are."""
    grey = file.mode in _GREY or file.mode.startswith("I;16")
    channels = channels or (1 if grey else 3)
    # Pillow keeps the upper byte of colours of 16 bits, which is black for a camera of 12.
    if not file.mode.startswith("I") and any(
        ";16" in str(tile) for tile in getattr(file, "tile", [])
    ):
        return _deep_colours(file, path, channels)
    image = ImageOps.exif_transpose(file)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return np.repeat(np.asarray(image)[..., None], channels, axis=2)
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def _deep_colours(file: Image.Image, path: Path, channels: int) -> np.ndarray:
    """[H, W, C] uint16 of an image with several channels of 16 bits, which ffmpeg reads whole.

    Raises:
        UserError: it is a stack, of which ffmpeg reads the first page only.
    """
    if file.tell() or _announced(file) > 1:
        raise UserError(
            f"{path} is a stack of pages with several channels of 16 bits, which cannot be read: "
            "save it with 8 bits, or as a folder of PNG files"
        )
    with opened(path) as (container, stream):
        frame = next(container.decode(stream))
        wide = frame.to_ndarray(format="gray16le" if channels == 1 else "rgb48le")
    return wide.reshape(*wide.shape[:2], channels)


def _white(images: tuple[Path, ...]) -> float:
    """The value that is to become white: see `reading.white`."""
    chosen = np.unique(np.linspace(0, len(images) - 1, _SAMPLES).astype(int))
    sample: list[np.ndarray] = []
    for path in (images[n] for n in chosen):
        try:
            with Image.open(path) as file:
                pages = getattr(file, "n_frames", 1) if file.format in _PAGED else 1
                for page in np.unique(np.linspace(0, pages - 1, _SAMPLES // len(chosen))):
                    file.seek(int(page))
                    values = _values(file, path, None)
                    if values.dtype != np.uint8:
                        sample.append(np.ravel(values[np.isfinite(values)].max(initial=0)))
        except Exception:
            continue  # reading it will tell
    return white(np.concatenate(sample)) if sample else 255.0
