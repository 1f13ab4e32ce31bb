"""Which object is seen at each pixel: as arrays, and as a NetCDF file, frame by frame."""

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np

from scalor_ppl.data.records import Size
from scalor_ppl.files import check_room, written_whole
from scalor_ppl.tracking.outputs import About, AppendedFile, part_of
from scalor_ppl.tracking.tracked import Tracked
from scalor_ppl.tracks.table import EMPTY

COVERED = 0.5
"""An object is seen where its presence times its mask is above this."""


def id_maps(tracked: Tracked, threshold: float) -> np.ndarray:
    """The ids of the objects seen at the pixels of some frames, see `id_map`.

    Returns:
        int32 [T, h, w] in the size in which the frames were tracked.
    """
    frames = range(len(tracked.numbers))
    return np.stack([id_map(tracked, t, threshold, tracked.size) for t in frames])


def id_map(tracked: Tracked, t: int, threshold: float, size: Size) -> np.ndarray:
    """The ids of the objects seen at the pixels of a frame.

    At a pixel that several objects cover, the one counts that has the largest weight in the
    rendering: presence x mask x importance by depth, so the nearer one.

    Args:
        tracked: T frames.
        t: which of them.
        threshold: least presence of an object, 0..1.
        size: height and width of the map; masks are interpolated.

    Returns:
        int32 [h, w]; -1 where there is no object.
    """
    height, width = size
    found = np.full(size, EMPTY, np.int32)
    presence = tracked.tracks.presence[t]
    strongest = np.zeros(size, np.float32)
    for k in np.nonzero(tracked.tracks.present(threshold)[t])[0]:
        box = tracked.where[t, k]
        if not np.isfinite(box).all():
            continue
        rows, taps_y = _taps(box[1], box[3], height, tracked.masks.shape[2])
        columns, taps_x = _taps(box[0], box[2], width, tracked.masks.shape[3])
        cover = presence[k] * (taps_y @ tracked.masks[t, k] @ taps_x.T)
        weight = cover * tracked.importance[t, k]
        wins = (cover > COVERED) & (weight > strongest[rows, columns])
        strongest[rows, columns][wins] = weight[wins]
        found[rows, columns][wins] = tracked.tracks.ids[t, k]
    return found


def _taps(centre: float, extent: float, pixels: int, count: int) -> tuple[slice, np.ndarray]:
    """Bilinear weights of a mask along one axis, as the renderer writes it.

    Args:
        centre: of the box in image coordinates, -1..1 in the view.
        extent: of the box, as a share of the image.
        pixels: of the image along the axis.
        count: of the mask.

    Returns:
        The image's pixels inside the box, n of them, and the weights of the mask's in each
        ``[n, count]``. Outside the box no mask reaches ``COVERED``.
    """
    begin = max(0, int(np.floor((centre - extent + 1) / 2 * pixels)))
    end = min(pixels, int(np.ceil((centre + extent + 1) / 2 * pixels)))
    pixel = np.arange(begin, max(begin, end), dtype=np.float32)
    within = ((pixel + 0.5) * 2 / pixels - 1 - centre) / extent
    position = ((within + 1) * count - 1) / 2
    weights = 1 - np.abs(position[:, None] - np.arange(count, dtype=np.float32))
    return slice(begin, max(begin, end)), np.maximum(weights, 0).astype(np.float32)


def resampled(maps: np.ndarray, size: Size) -> np.ndarray:
    """Id maps ``[..., h, w]`` in another size, by the nearest pixel."""
    rows, columns = (
        (np.arange(new) * 2 + 1) * old // (2 * new)
        for new, old in zip(size, maps.shape[-2:], strict=True)
    )
    return maps[..., rows[:, None], columns]


ROOM = 2**20  # bytes beside those of the file in the making
_LENGTH = 8  # bytes of the number in front of each block of the file in the making


class MaskOutput:
    """Ids by pixel: variable ``id`` over frame, y, x.

    The file in the making is a row of compressed blocks, as HDF5 files do not survive the death of
    their writer.

    Args:
        target: where they will be, NAME.nc.
        threshold: least presence of an object, 0..1.
        state: what `sync` gave, to go on from there.
    """

    def __init__(
        self, target: Path, threshold: float, state: Mapping[str, Any] | None = None
    ) -> None:
        self.target = target
        self._threshold = threshold
        self._size = (state["height"], state["width"]) if state else (0, 0)
        self._file = AppendedFile(part_of(target), state["length"] if state else 0)

    def add(self, tracked: Tracked) -> None:
        """Write the maps of some frames."""
        self._size = tracked.size
        self._file.append(packed(id_maps(tracked, self._threshold)))

    def sync(self) -> dict[str, Any]:
        """Bring everything to the disk."""
        height, width = self._size
        return {"length": self._file.sync(), "height": height, "width": width}

    def close(self) -> None:
        """Let go of the file in the making."""
        self._file.close()

    def finish(self, about: About) -> None:
        """Write the maps as NetCDF, a block at a time."""
        self.close()
        part = part_of(self.target)
        check_room(self.target, part.stat().st_size + ROOM)
        height, width = self._size
        with written_whole(self.target) as lent, h5netcdf.File(lent, "w") as file:
            file.attrs.update(about.attributes())
            file.dimensions = {"frame": about.frames, "y": height, "x": width}
            numbers = about.start + about.stride * np.arange(about.frames)
            _coordinate(file, "frame", numbers, "number of the frame in the video, from 0")
            for name, pixels, whole in (("y", height, about.height), ("x", width, about.width)):
                centres = (np.arange(pixels) + 0.5) * whole / pixels
                _coordinate(file, name, centres, "centre of the pixel, in the video's own pixels")
            chunks = (min(about.frames, 16), height, width)
            packed: dict[str, Any] = {"compression": "gzip", "compression_opts": 4}
            ids = file.create_variable("id", ("frame", "y", "x"), "i4", chunks=chunks, **packed)
            ids.attrs["long_name"] = f"identity of the object that is seen, {EMPTY} for none"
            begin = 0
            for block in unpacked(part, height, width):
                ids[begin : begin + len(block)] = block
                begin += len(block)
        part.unlink()


def _coordinate(file: h5netcdf.File, name: str, values: np.ndarray, said: str) -> None:
    variable = file.create_variable(name, (name,), values.dtype, data=values)
    variable.attrs["long_name"] = said


def packed(maps: np.ndarray) -> bytes:
    """Maps of ids, compressed, as a block of a file in the making."""
    block = zlib.compress(maps.astype("<i4").tobytes(), 1)
    return len(block).to_bytes(_LENGTH, "little") + block


def unpacked(part: Path, height: int, width: int) -> Iterator[np.ndarray]:
    """The maps of a file in the making, int32 [T, height, width] each block."""
    with part.open("rb") as file:
        while head := file.read(_LENGTH):
            data = zlib.decompress(file.read(int.from_bytes(head, "little")))
            yield np.frombuffer(data, "<i4").reshape(-1, height, width)
