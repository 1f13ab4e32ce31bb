"""MNIST digits from files in the IDX format, split so that test digits are never trained on."""

import gzip
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from scalor_ppl.data.records import Split
from scalor_ppl.errors import UserError

_REMEDY = (
    "give --data-dir a folder that holds t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, plain "
    "or .gz; `torchvision.datasets.MNIST(FOLDER, download=True)` fetches them"
)


@dataclass(frozen=True)
class Digits:
    """Digits of one split.

    Attributes:
        images: [M, 30, 30] float32 in 0..1; 28 x 28 pixels and an empty rim.
        labels: [M] int64.
        boxes: [M, 4] float32 least x, least y, greatest x, greatest y of the ink, in pixels of the
            picture from its centre.
        mean_side: mean side of the boxes of all digits 0 to 9, in pixels: the unit of size.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    mean_side: float


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes, plain or gzipped.

    Returns:
        uint8, in the shape that the file states.

    Raises:
        UserError: the file is no such IDX file, or cut short.
    """
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}): fetch it again") from error
    # Two zero bytes, the type (8: unsigned byte), the number of dimensions, then each dimension.
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
        raise UserError(f"{path} is not an IDX file of bytes: {_REMEDY}")
    shape = struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]])
    values = np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * raw[3])
    if values.size != int(np.prod(shape)):
        raise UserError(f"{path} is cut short ({values.size} values, states {shape}): fetch again")
    return values.reshape(shape)


def _find(folder: Path, stem: str) -> Path | None:
    """The file `stem` in a folder, plain or gzipped."""
    names = (stem, f"{stem}.gz")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _pair(folder: Path, prefix: str) -> tuple[Path, Path] | None:
    """The files of images and labels of one part of MNIST, where both are there."""
    images = _find(folder, f"{prefix}-images-idx3-ubyte")
    labels = _find(folder, f"{prefix}-labels-idx1-ubyte")
    return (images, labels) if images and labels else None


@lru_cache(maxsize=4)
def load_digits(data_dir: str | None, split: Split) -> Digits:
    """The digits of one split.

    With MNIST's training files in the folder, they are the train split and the test files the test
    split. With the test files alone, every other digit is training, the rest is test. (Not halves:
    the first half of the test file was written by other, tidier people than the second.)

    Args:
        data_dir: folder of the IDX files, or the one that torchvision was given.
        split: train or test.

    Raises:
        UserError: no folder, no such files in it, or files that do not fit each other.
    """
    if data_dir is None:
        raise UserError(f"moving-mnist needs the MNIST files: {_REMEDY}")
    folder = Path(data_dir)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: {_REMEDY}")
    if (folder / "MNIST" / "raw").is_dir():  # where torchvision puts them
        folder = folder / "MNIST" / "raw"
    train, test = _pair(folder, "train"), _pair(folder, "t10k")
    if test is None:
        raise UserError(f"{folder} has no MNIST test images and labels: {_REMEDY}")
    files = train if train and split == "train" else test
    images, labels = (read_idx(path) for path in files)
    if images.ndim != 3 or labels.shape != images.shape[:1] or not len(images):
        raise UserError(f"{files[0]} and {files[1]} do not fit each other: {_REMEDY}")
    if train is None:
        half = slice(0 if split == "train" else 1, None, 2)
        images, labels = images[half], labels[half]
    boxes = _ink_boxes(images)
    sides = boxes[:, 2:] - boxes[:, :2]
    # An empty rim of a pixel, so that bilinear look-up fades to nothing at a glyph's edge.
    scaled = np.pad(images.astype(np.float32) / 255, ((0, 0), (1, 1), (1, 1)))
    return Digits(scaled, labels.astype(np.int64), boxes, float(sides.mean()))


def _ink_boxes(images: np.ndarray) -> np.ndarray:
    """[M, 4] box of what is at least half as bright as ink, from the picture's centre."""
    ink = images >= 128
    bounds = []
    for axis in (1, 2):  # ink per column, then per row
        any_ink: np.ndarray = np.any(ink, axis=axis)
        length = any_ink.shape[1]
        first = any_ink.argmax(axis=1)
        last = length - any_ink[:, ::-1].argmax(axis=1)
        bounds.append((first - length / 2, last - length / 2))
    (left, right), (top, bottom) = bounds
    return np.stack([left, top, right, bottom], axis=1).astype(np.float32)
