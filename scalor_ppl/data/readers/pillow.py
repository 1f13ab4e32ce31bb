"""One image file, through Pillow: a picture, or all pages of an animation."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data.readers.base import StackReader, no_slices, one_of_three
from scalor_ppl.data.readers.conversion import is_grey
from scalor_ppl.data.readers.video import opened

_PAGED = {"TIFF", "WEBP", "PNG"}  # not MPO: the second picture of a phone's JPEG is no frame
_GREY = {"1", "L", "LA", "La", "I", "F"}


class ImageReader(StackReader):
    """The pages of one image file; a photo's orientation is followed, transparency dropped.

    Raises:
        OSError: it is no image.
    """

    def __init__(self, path: Path, options: SourceOptions) -> None:
        super().__init__(path, options)
        no_slices(options, path.name)
        self._file = Image.open(path)
        self._announced = 1
        if self._file.format in _PAGED:
            self._announced = int(getattr(self._file, "n_frames", 1))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __len__(self) -> int:
        """How many pages the file says that it has."""
        return self._announced

    def frame(self, number: int) -> np.ndarray:
        """See `StackReader`."""
        if number or self._announced > 1:
            try:
                self._file.seek(number)
            except EOFError:
                raise EOFError(f"it announces {self._announced} pages, but has {number}") from None
        # Pillow keeps the upper byte of colours of 16 bits, which is black for a camera of 12.
        tiles = getattr(self._file, "tile", [])
        deep = not self._file.mode.startswith("I") and any(";16" in str(tile) for tile in tiles)
        pixels = deep_colours(self.path) if deep else pixels_of(self._file)
        return one_of_three(pixels, self.options, self.path.name)


def pixels_of(file: Image.Image) -> np.ndarray:
    """[H, W, C] of the page that a file is turned to: uint8, or deeper numbers as they are."""
    image = ImageOps.exif_transpose(file)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return np.asarray(image)[..., None]
    pixels = np.asarray(image.convert("L" if file.mode in _GREY else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


def deep_colours(path: Path) -> np.ndarray:
    """[H, W, C] uint16 of an image with several channels of 16 bits, which ffmpeg reads whole."""
    with opened(path) as (container, stream):
        frame = next(container.decode(stream))
        grey = is_grey(frame.format)
        wide = frame.to_ndarray(format="gray16le" if grey else "rgb48le")
    return wide.reshape(*wide.shape[:2], -1)


def orientation_of(value: object) -> int:
    """The orientation of a TIFF or EXIF tag, 1 (upright) where it is none of the eight."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """[H, W, ...] as it is to be seen, by the orientation of TIFF and EXIF, 1 to 8."""
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    # Which edges are mirrored, after rows and columns have changed places.
    down = orientation in (3, 4, 7, 8)
    across = orientation in (2, 3, 6, 7)
    return values[:: -1 if down else 1, :: -1 if across else 1]
