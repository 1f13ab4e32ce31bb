"""Frames out of images: one of each file, or all of a TIFF stack or an animation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data.readers.base import SAMPLES, Found, VideoInfo
from scalor_ppl.data.readers.pillow import ImageReader
from scalor_ppl.data.readers.tiff import TiffReader, is_tiff
from scalor_ppl.errors import UserError

_STACKS = {".tif", ".tiff", ".webp"}  # names of files that may have many pages

Pages = ImageReader | TiffReader


class ImagesReader:
    """The images of a recording, one after the other.

    Args:
        path: names it; the one image, where no others are given.
        options: how they are read.
        files: in order; those of `_STACKS`, and a single one, may have several frames.

    Raises:
        UserError: while reading, an image that cannot be read, or a stack that is cut short.
    """

    def __init__(self, path: Path, options: SourceOptions, files: Sequence[Path] = ()) -> None:
        self.path = path
        self.options = options
        self._files = tuple(files) or (path,)

    def look(self) -> VideoInfo:
        """The size of the first frame, and the number of pages of all files."""
        with _opened(self._files[0], self.options) as first, _told(self._files[0], 0, 0):
            count = len(first)
            pixels = first.checked(0)
            rate = first.fps
        height, width, channels = pixels.shape
        count += sum(self._pages(path) for path in self._files[1:])
        bits = 8 * pixels.dtype.itemsize
        return VideoInfo(self.path.name, height, width, channels, count, rate, False, bits=bits)

    def frames(self, *, exact: bool = False) -> Iterator[Found]:
        """See `Reader`."""
        number = 0
        options = self.options
        for path in self._files:
            if number == options.stop:
                return
            if not self._may_be_stack(path) and not options.taken(number):
                number += 1
                continue
            with _opened(path, options) as stack:
                for page in range(len(stack)):
                    if number == options.stop:
                        return
                    if options.taken(number):
                        with _told(path, page, number):
                            pixels = stack.checked(page)
                        yield Found(number, f"page {page} of {path}" if page else str(path), pixels)
                    number += 1

    def sample(self) -> Iterator[np.ndarray]:
        """See `Reader`."""
        files = self._files
        chosen = np.unique(np.linspace(0, len(files) - 1, SAMPLES).astype(int))
        for path in (files[n] for n in chosen):
            try:
                with _opened(path, self.options) as stack:
                    most = SAMPLES // len(chosen)
                    for page in np.unique(np.linspace(0, len(stack) - 1, most).astype(int)):
                        yield stack.checked(int(page))
            except UserError:
                continue  # reading it will tell
            except Exception:
                continue

    def _may_be_stack(self, path: Path) -> bool:
        """Whether a file must be opened to know how many frames it holds."""
        return len(self._files) == 1 or path.suffix.lower() in _STACKS

    def _pages(self, path: Path) -> int:
        """How many frames a file holds; 1 where it cannot be read, which reading will tell."""
        if not self._may_be_stack(path):
            return 1
        try:
            with _opened(path, self.options) as stack:
                return len(stack)
        except UserError:
            return 1


@contextmanager
def _opened(path: Path, options: SourceOptions) -> Iterator[Pages]:
    with _told(path, 0, 0):
        kind = TiffReader if is_tiff(path) else ImageReader
        stack = kind(path, options)
    try:
        yield stack
    finally:
        stack.close()


@contextmanager
def _told(path: Path, page: int, number: int) -> Iterator[None]:
    """Tell in one line what is wrong with a page, which is the frame of a number."""
    try:
        yield
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(f"{path} may not be read: change its permissions") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{path} has too many pixels to be read: make it smaller") from error
    except Exception as error:  # a broken file makes a decoder stumble anywhere, over anything
        reason = " ".join(str(error).split()) or type(error).__name__
        if page == 0:
            raise UserError(f"{path} is not a readable image ({reason}): remove it") from error
        raise UserError(
            f"{path} breaks off at page {page} ({reason}): repair it or read it with stop={number}"
        ) from error
