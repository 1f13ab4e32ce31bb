"""TIFF stacks with their axes, as ImageJ, OME and others write them, through tifffile."""

import logging
import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from tifffile import TiffFile

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data.readers.axes import index_of, letters_of
from scalor_ppl.data.readers.pillow import deep_colours, orientation_of, pixels_of, upright
from scalor_ppl.data.readers.stacks import PlanarReader
from scalor_ppl.errors import UserError

# What it has to say is about files, and told in one line by what cannot be read.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_PLAIN = ("generic", "uniform")  # kinds of series that are nothing but pages of one size
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_ORIENTATION = 274
_MAGIC = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}


def is_tiff(path: Path) -> bool:
    """Whether a file begins as TIFF files do."""
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


class TiffReader(PlanarReader):
    """The frames of one TIFF file.

    Axes of ImageJ, OME, LSM, MicroManager and tifffile itself are known; without any, every page
    is a frame. Values are black where they are least: those of files whose white is zero are
    turned about, at every depth.

    Raises:
        UserError: no TIFF file; several images; see `choose_planes`.
    """

    def __init__(self, path: Path, options: SourceOptions) -> None:
        super().__init__(path, options)
        self._file = TiffFile(path)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._count, self._whole = _pages(self.path)
        announced = self._count
        meta = self._file.imagej_metadata or {} if self._file.is_imagej else {}
        if isinstance(meta.get("images"), int):
            announced = max(announced, meta["images"])
        self.fps = _rate(meta)
        self._series: Any = self._known_series()
        self._announced = announced
        if self._series is None:
            # A page more where the file breaks off: to be told when it is to be read.
            frames = max(announced, self._count + (not self._whole))
            shape: tuple[int, ...] = (frames,)
            axes = "Q"
            if self.options.axes is not None:
                first = self._file.pages[0]
                whole = (*shape, first.imagelength, first.imagewidth)  # type: ignore[union-attr]
                axes = letters_of(self.path.name, self.options.axes, whole)[:1]
            self._inner = 1
        else:
            axes, shape = self._series.axes, self._series.shape
            if self.options.axes is not None:
                axes = letters_of(self.path.name, self.options.axes, shape)
            if {axes.index(n) for n in "YX"} != {self._series.axes.index(n) for n in "YX"}:
                raise UserError(
                    f"data.axes={self.options.axes}: {self.path.name} has its rows and columns "
                    f"elsewhere, it says {self._series.axes}"
                )
            leading = [n for n, letter in enumerate(axes) if letter not in "YXS"]
            axes, shape = "".join(axes[n] for n in leading), tuple(shape[n] for n in leading)
            held = len(self._series.pages)
            truncated = self._series.dataoffset is not None and held == 1
            self._inner = 1 if truncated else max(1, int(np.prod(shape)) // max(1, held))
        self._shape = shape
        self.arrange(axes, shape, self._labels())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _known_series(self) -> Any:
        """The one image whose axes are known; none where pages are nothing but pages.

        Raises:
            UserError: there are several, or the file is cut off so that its axes cannot be told.
        """
        try:
            found = list(self._file.series)
        except Exception:  # a description that is damaged; the pages may be sound
            found = []
        found = [one for one in found if one.kind.lower() not in _PLAIN]
        if not self._whole and not self._file.is_imagej:
            # tifffile would take what is left for the whole.
            if self._file.is_ome or any(_leading(meta) > 1 for meta in self._declared()):
                raise UserError(f"{self.path} is cut off, and holds several axes: repair it")
            return None
        if len(found) > 1 and found[0].kind.lower() != "lsm":  # which has small pictures, too
            if any(len(one.axes.replace("S", "")) > 3 for one in found) or self._file.is_ome:
                names = ", ".join(one.name or str(n) for n, one in enumerate(found))
                raise UserError(
                    f"{self.path} holds {len(found)} images ({names}): save the one that is meant "
                    "on its own"
                )
            return None  # pages that were written one by one
        if not found or not {"Y", "X"} <= set(found[0].axes):
            return None
        planes = int(
            np.prod(
                [n for n, a in zip(found[0].shape, found[0].axes, strict=True) if a not in "YXS"]
            )
        )
        alone = len(found[0].pages) == 1 and found[0].dataoffset is None
        return None if alone and planes > 1 and self._count > 1 else found[0]

    def _declared(self) -> list[dict[str, Any]]:
        """What tifffile wrote about the shapes of its arrays."""
        try:
            return list(self._file.shaped_metadata or ())
        except Exception:
            return []

    def _labels(self) -> list[str]:
        """Names of the channels."""
        text = self._file.ome_metadata if self._file.is_ome else None
        if not text:
            return []
        try:
            root = ElementTree.fromstring(text)
        except ElementTree.ParseError:
            return []
        return [e.get("Name", "") for e in root.iter() if e.tag.endswith("}Channel")]

    def plane(self, place: tuple[int, ...]) -> np.ndarray:
        """See `PlanarReader`.

        Raises:
            EOFError: the file ends before it.
        """
        page, layer = divmod(index_of(place, self._shape), self._inner)
        series = self._series
        if series is not None and len(series.pages) == 1 and page > 0:
            return self._virtual(page)
        pages = self._file.pages if series is None else series.pages
        held = self._count if series is None else len(pages)
        if page >= held:
            if not self._whole:
                raise EOFError("the file is cut off")
            raise EOFError(f"it announces {self._announced} pages, but has {held}")
        found = pages[page]
        if found is None:
            raise EOFError("the page is not there")
        return self._decoded(found, page, layer)

    def _virtual(self, number: int) -> np.ndarray:
        """A plane of those that follow the first without pages of their own (ImageJ above 4 GB)."""
        key = self._series.pages[0].keyframe
        dtype = np.dtype(self._file.byteorder + key.dtype.char)
        handle = self._file.filehandle
        handle.seek(self._series.dataoffset + number * key.nbytes)
        content = handle.read(key.nbytes)
        if len(content) < key.nbytes:
            raise EOFError("the file is cut off")
        return _arranged(np.frombuffer(content, dtype).reshape(key.shape), key, 0)

    def _decoded(self, page: Any, number: int, layer: int) -> np.ndarray:
        """The values of a page."""
        key = page.keyframe
        most = Image.MAX_IMAGE_PIXELS
        if most is not None and key.imagelength * key.imagewidth > 2 * most:
            raise UserError(f"{self.path} has too many pixels to be read: make it smaller")
        size = page.parent.filehandle.size
        if any(at + n > size for at, n in zip(page.dataoffsets, page.databytecounts, strict=True)):
            raise EOFError("the file is cut off")
        plain = key.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)
        if plain and key.bitspersample in (8, 16, 32, 64) and key.dtype is not None:
            if key.compression == 1 and sum(page.databytecounts) < key.nbytes:
                raise EOFError("the page is cut off")
            try:
                values = np.asarray(page.asarray())
            except ValueError as error:
                if "imagecodecs" not in str(error):
                    raise
            else:
                return _arranged(values, key, layer)
        return self._by_pillow(key, number)

    def _by_pillow(self, key: Any, number: int) -> np.ndarray:
        """A page in a compression or with colours that tifffile alone does not know."""
        with Image.open(self.path) as file:
            file.seek(number)
            wide = key.bitspersample == 16 and key.samplesperpixel > 1
            if wide:
                if number or self._count > 1:
                    raise UserError(
                        f"{self.path} is a compressed stack of colours of 16 bits, which cannot be "
                        "read: save it without compression, or pip install imagecodecs"
                    )
                return deep_colours(self.path)
            values = pixels_of(file)
            if values.dtype != np.uint8 and key.photometric == _WHITE_IS_ZERO:
                values = _turned_about(values, key.bitspersample)
            return values


def _arranged(values: np.ndarray, key: Any, layer: int) -> np.ndarray:
    """[H, W] or [H, W, C] of what a page holds, upright and with black as the least."""
    # Pages are [depth, H, W] or [S, H, W] in planes of their own, or [H, W, S].
    inside = key.axes.replace("S", "")
    if key.axes.startswith("S"):
        values = np.moveaxis(values, 0, -1)
    if len(inside) > 2:
        values = values.reshape(-1, *values.shape[len(inside) - 2 :])[layer]
    elif layer:
        values = values[..., layer]  # samples that are said to be channels
    if key.photometric == _WHITE_IS_ZERO:
        values = _turned_about(values, key.bitspersample)
    tag = key.tags.get(_ORIENTATION)
    return values if tag is None else upright(values, orientation_of(tag.value))


def _turned_about(values: np.ndarray, bits: int) -> np.ndarray:
    """Values whose white is 0 as values whose black is 0."""
    if values.dtype.kind != "u" and not (values.dtype.kind == "i" and bits < 32):
        raise ValueError("its white is zero, but its values have no largest: save it otherwise")
    return (2**bits - 1 - values.astype(np.int64)).astype(f"u{values.dtype.itemsize}")


def _leading(meta: dict[str, Any]) -> int:
    """How many axes, other than rows, columns and colours, an array has as it is declared."""
    shape = meta.get("shape", ())
    rows = shape[:-3] if len(shape) > 2 and shape[-1] in (3, 4) else shape[:-2]
    return sum(length > 1 for length in rows)


def _rate(meta: dict[str, Any]) -> float | None:
    """Frames a second of an ImageJ stack, if it says so."""
    interval, rate = meta.get("finterval"), meta.get("fps")
    if meta.get("tunit", "sec") not in ("s", "sec", "second", "seconds"):
        interval = None
    if isinstance(interval, int | float) and 0 < interval < float("inf"):
        return 1 / interval
    return float(rate) if isinstance(rate, int | float) and 0 < rate < float("inf") else None


def _pages(path: Path) -> tuple[int, bool]:
    """How many pages the chain of a file has, and whether it ends as it should.

    tifffile and Pillow both stop without a word where the chain breaks.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        order = _MAGIC[head[:4]]
        big = head[2:4] in (b"+\0", b"\0+")
        count_form, entry, link = (order + "Q", 20, order + "Q") if big else (order + "H", 12, "")
        link = link or order + "I"
        width, start = struct.calcsize(count_form), 8 if big else 4
        (offset,) = struct.unpack_from(link, head, start)
        seen: set[int] = set()
        while offset:
            if offset in seen or offset + width > size:
                return len(seen), False
            file.seek(offset)
            (entries,) = struct.unpack(count_form, file.read(width))
            file.seek(offset + width + entries * entry)
            after = file.read(struct.calcsize(link))
            if len(after) < struct.calcsize(link):
                return len(seen), False
            seen.add(offset)
            (offset,) = struct.unpack(link, after)
    return len(seen), True
