"""Clips in NetCDF files with named dimensions, through xarray."""

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from scalor_ppl.config.reading import DEFAULT_OPTIONS, SourceOptions
from scalor_ppl.data.apart import apart
from scalor_ppl.data.records import (
    Clip,
    ClipSource,
    Truth,
    check_clip,
)
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole

_ENGINE: Final = "h5netcdf"
_CORNERS = ["left", "top", "width", "height"]
_VIDEO = ("clip", "frame", "y", "x", "channel")
_CHANNELS = {1: ["grey"], 3: ["red", "green", "blue"]}
_NOBODY = -1  # id where a clip has fewer objects than the dimension `object`
_COMPRESSED: dict[str, Any] = {"zlib": True, "complevel": 4}


def write_netcdf(
    source: ClipSource, path: str | Path, clips: int, frames: int, *, first: int = 0
) -> None:
    """Write clips `first` to `first + clips - 1` of a source.

    The file appears whole or not at all. Variables: `video` (clip, frame, y, x, channel) uint8,
    `name` (clip), and where there is truth `id` (clip, object), -1 where a clip has no such object,
    `box` (clip, frame, object, corner) in pixels, `visible` (clip, frame, object) in 0..1,
    `mask` (clip, frame, y, x), ids or -1, where centres of mass are known `centre` (clip, frame,
    object, axis) in pixels, and where objects are to be ignored `ignored` (clip, frame, object), 1
    for those.

    Args:
        source: where clips come from.
        path: the file to write; one that is there is replaced.
        clips: how many.
        frames: length of each.
        first: index of the first.

    Raises:
        UserError: fewer than one clip; the source has no such clips; the folder is not writable.
    """
    if clips < 1:
        raise UserError(f"clips={clips}: give at least 1 clip to write")
    dataset = to_dataset([source.clip(first + n, frames) for n in range(clips)])
    dataset.attrs |= {
        "source": source.name,
        "split": getattr(source, "split", ""),
        "seed": getattr(source, "seed", 0),
        "first": first,
        "spec": json.dumps(asdict(source.spec)) if hasattr(source, "spec") else "",
    }
    encoding = {str(n): _COMPRESSED for n in dataset.data_vars if n != "name"}
    # In memory first, where it is small beside the clips: HDF5 does not survive a full disk.
    buffer = io.BytesIO()
    dataset.to_netcdf(buffer, engine=_ENGINE, encoding=encoding)
    with written_whole(path) as lent:
        lent.write_bytes(buffer.getbuffer())


def to_dataset(clips: list[Clip]) -> xr.Dataset:
    """Clips of one length and size as a dataset; see `write_netcdf` for its variables."""
    channels = clips[0].video.shape[-1]
    variables: dict[str, Any] = {
        "video": (_VIDEO, np.stack([clip.video for clip in clips])),
        "name": ("clip", [clip.name for clip in clips]),
    }
    coordinates: dict[str, Any] = {"channel": _CHANNELS[channels]}
    attributes: dict[str, Any] = {}
    truths = [clip.truth for clip in clips if clip.truth is not None]
    if len(truths) == len(clips):
        frames = len(clips[0].video)
        most = max(len(truth.ids) for truth in truths)
        ids = np.full((len(clips), most), _NOBODY, dtype=np.int64)
        boxes = np.full((len(clips), frames, most, 4), np.nan, dtype=np.float32)
        visible = np.zeros((len(clips), frames, most), dtype=np.float32)
        ignored = np.zeros(visible.shape, dtype=np.int8)
        centres = np.full((*visible.shape, 2), np.nan)
        for n, truth in enumerate(truths):
            count = len(truth.ids)
            ids[n, :count] = truth.ids
            boxes[n, :, :count] = truth.boxes
            visible[n, :, :count] = truth.visible
            if truth.ignored is not None:
                ignored[n, :, :count] = truth.ignored
            if truth.centres is not None:
                centres[n, :, :count] = truth.centres
        variables |= {
            "id": (("clip", "object"), ids),
            "box": (("clip", "frame", "object", "corner"), boxes, {"units": "pixels"}),
            "visible": (("clip", "frame", "object"), visible),
        }
        if any(truth.centres is not None for truth in truths):
            axes = ("clip", "frame", "object", "axis")
            variables["centre"] = (axes, centres, {"units": "pixels"})
            coordinates["axis"] = ["x", "y"]
        if ignored.any():
            variables["ignored"] = (("clip", "frame", "object"), ignored)
        masks = [truth.masks for truth in truths if truth.masks is not None]
        if len(masks) == len(clips):
            variables["mask"] = (("clip", "frame", "y", "x"), np.stack(masks))
        coordinates["corner"] = _CORNERS
        attributes["object_size"] = truths[0].object_size
    return xr.Dataset(variables, coordinates, attributes)


class NetcdfSource:
    """Clips from a file that `write_netcdf` wrote, read into memory.

    Args:
        path: the file.
        options: must be left alone, the clips are as they are; `folder` does not matter.

    Raises:
        UserError: the file is no such file, or options were given.
    """

    def __init__(self, path: Path, *, options: SourceOptions = DEFAULT_OPTIONS) -> None:
        if options.of_recordings() or options.channels is not None:
            raise UserError(f"{path} holds finished clips: give the options to `data make` instead")
        try:
            self._data: xr.Dataset = apart(lambda: _loaded(path), _seconds(path))
        except Exception as error:  # damage makes HDF5 stumble anywhere, over anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"{path} is not a readable NetCDF file ({reason}): make it again with `data make`"
            ) from error
        if "video" not in self._data or self._data["video"].ndim != 5:
            raise UserError(f"{path} holds no clips: expected a variable `video` from `data make`")
        wrong = _damage(self._data)
        if wrong:
            raise UserError(f"{path} is damaged ({wrong}): make it again with `data make`")
        self.path = path
        self.name: str = self._data.attrs.get("source", path.name)
        self.split = self._data.attrs.get("split", "")
        self.height, self.width, self.channels = self._data["video"].shape[2:]

    def __len__(self) -> int:
        """How many clips the file holds."""
        return self._data.sizes["clip"]

    def starts(self, frames: int) -> int:
        """How many clips of `frames` frames there are: all, or none if they are shorter."""
        return len(self) if frames <= self._data.sizes["frame"] else 0

    def clip(self, index: int, frames: int) -> Clip:
        """The first `frames` frames of a clip in the file."""
        check_clip(self.name, index, frames, self.starts)
        data = self._data.isel(clip=index, frame=slice(0, frames))
        truth = None
        if "id" in data:
            there = data["id"].values != _NOBODY
            truth = Truth(
                ids=data["id"].values[there],
                boxes=data["box"].values[:, there],
                visible=data["visible"].values[:, there],
                masks=data["mask"].values if "mask" in data else None,
                object_size=float(data.attrs["object_size"]),
                ignored=data["ignored"].values[:, there] == 1 if "ignored" in data else None,
                centres=data["centre"].values[:, there] if "centre" in data else None,
            )
        return Clip(data["video"].values, truth, str(data["name"].item()))


def _loaded(path: Path) -> xr.Dataset:
    with xr.open_dataset(path, engine=_ENGINE) as dataset:
        return dataset.load()


def _seconds(path: Path) -> int:
    """Seconds of the processor that reading a file may take: a hundred times what it takes."""
    return 10 + 5 * (path.stat().st_size >> 20)


def _damage(data: xr.Dataset) -> str | None:
    """What is not as `to_dataset` makes it; None where all is."""
    of: dict[str, tuple[tuple[str, ...], Any]] = {
        "video": (_VIDEO, np.uint8),
        "name": (("clip",), None),
    }
    if "id" in data:
        objects = ("clip", "frame", "object")
        of |= {
            "id": (("clip", "object"), np.int64),
            "box": ((*objects, "corner"), np.float32),
            "visible": (objects, np.float32),
        }
        if "ignored" in data:
            of["ignored"] = (objects, np.int8)
        if not isinstance(data.attrs.get("object_size"), float | int | np.number):
            return "no size of the objects"
    if "mask" in data:
        of["mask"] = (("clip", "frame", "y", "x"), None)
    for name, (dims, dtype) in of.items():
        if name not in data or data[name].dims != dims:
            return f"no variable {name} of {', '.join(dims)}"
        if dtype is not None and data[name].dtype != dtype:
            return f"{name} is of type {data[name].dtype}"
    if 0 in data["video"].shape or data.sizes["channel"] not in _CHANNELS:
        return f"videos of {' x '.join(map(str, data['video'].shape))}"
    return None


def is_netcdf(path: Path) -> bool:
    """Whether a file is meant to be NetCDF, by its name or its first bytes."""
    if path.suffix.lower() in (".nc", ".nc4"):
        return True
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"
