"""Samples as datasets with named dimensions, in the groups that ArviZ knows, and their file.

Dimensions: ``chain`` (always one), ``draw``, ``frame``, ``object``, ``y``, ``x``, ``channel``,
``latent`` (numbers of an object's appearance), ``background`` (numbers of a background's code).
Places are in pixels of the view, 0 its upper left corner: the centre of the first pixel is 0.5, and
so count the coordinates ``x`` and ``y``.

The file is NetCDF 4, one group a dataset: ``arviz.from_netcdf`` and ``xarray.open_datatree`` read
it. xarray writes it, because ArviZ's own writers differ between its versions 0.x and 1.x.
"""

import io
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from scalor_ppl.files import written_whole
from scalor_ppl.results.rescaled import Rescaled
from scalor_ppl.results.samples import ByObject, Codes, Samples

SUFFIX: Final = ".nc"
_ENGINE: Final = "h5netcdf"
_COMPRESSED: dict[str, Any] = {"zlib": True, "complevel": 4}
_CHANNELS = {1: ["grey"], 3: ["red", "green", "blue"]}
_FRAMES = ("chain", "draw", "frame")
_OBJECTS = (*_FRAMES, "object")
_PIXELS = ("frame", "y", "x", "channel")


def latents(samples: Samples, objects: ByObject, names: np.ndarray) -> xr.Dataset:
    """The groups ``posterior`` and ``prior``.

    Args:
        samples: S draws.
        objects: the same, sorted into O columns.
        names: int [O], the columns' identities.
    """

    def variable(values: np.ndarray, said: str, units: str = "", *more: str) -> tuple[Any, ...]:
        return (*_OBJECTS, *more), values[None], _described(said, units)

    width, height = np.moveaxis(objects.boxes[..., 2:], -1, 0)
    x, y = np.moveaxis(objects.centres, -1, 0)
    variables: dict[str, Any] = {
        "presence": variable(objects.presence, "z_pres where the object lives, 0 elsewhere"),
        "centre_x": variable(x, "centre of mass, from the left edge", "pixels"),
        "centre_y": variable(y, "centre of mass, from the upper edge", "pixels"),
        "width": variable(width, "width of the box", "pixels"),
        "height": variable(height, "height of the box", "pixels"),
        "depth": variable(objects.depth, "z_depth; smaller is nearer"),
        "what": variable(objects.what, "z_what: appearance", "", "latent"),
        "count": (_FRAMES, samples.counts()[None], _described("objects that live", "objects")),
    }
    if samples.background is not None:
        variables["z_bg"] = (
            (*_FRAMES, "background"),
            samples.background[None],
            _described("z_bg: the code of the background"),
        )
    draws, frames = samples.depth.shape[:2]
    coordinates = _draws(draws) | {
        "frame": np.arange(frames),
        "object": ("object", names, _described("identity")),
        "latent": np.arange(samples.what.shape[-1]),
    }
    return xr.Dataset(variables, coordinates)


def codes(samples: Codes) -> xr.Dataset:
    """The groups ``posterior`` and ``prior`` of a program without objects: one code a frame."""
    variables, coordinates = {}, _draws(len(samples))
    for name, values in samples.latents.items():
        said = _described(f"{name}: the frame's code")
        variables[name] = ((*_FRAMES, f"{name}_latent"), values[None], said)
        coordinates["frame"] = np.arange(values.shape[1])
        coordinates[f"{name}_latent"] = np.arange(values.shape[2])
    return xr.Dataset(variables, coordinates)


def drawn_video(video: np.ndarray) -> xr.Dataset:
    """The groups ``posterior_predictive`` and ``prior_predictive`` from uint8 [S, T, H, W, C]."""
    said = _described("rendered mean of the pixels, without their noise", "1/255 of full light")
    variable = (("chain", "draw", *_PIXELS), video[None], said)
    return xr.Dataset({"video": variable}, _draws(len(video)) | _pixels(video))


def observed_video(video: np.ndarray) -> xr.Dataset:
    """The group ``observed_data`` from uint8 [T, H, W, C]."""
    variable = (_PIXELS, video, _described("the clip", "1/255 of full light"))
    return xr.Dataset({"video": variable}, _pixels(video))


def frame_densities(likelihood: np.ndarray) -> xr.Dataset:
    """The group ``log_likelihood`` from float64 [S, T]; named as what was observed."""
    draws, frames = likelihood.shape
    said = _described("log-density of the frame's pixels given the latents", "nats")
    variable = (_FRAMES, likelihood[None], said)
    return xr.Dataset({"video": variable}, _draws(draws) | {"frame": np.arange(frames)})


def statistics(figures: dict[str, tuple[np.ndarray, str, str]]) -> xr.Dataset:
    """The group ``sample_stats`` from values [S] or [S, T], each with a description and a unit."""
    variables: dict[str, Any] = {}
    coordinates: dict[str, Any] = {}
    for name, (values, said, units) in figures.items():
        coordinates |= _draws(len(values))
        if values.ndim == 2:
            coordinates["frame"] = np.arange(values.shape[1])
        variables[name] = (_FRAMES[: values.ndim + 1], values[None], _described(said, units))
    return xr.Dataset(variables, coordinates)


def deviations_before(honest: Rescaled, names: np.ndarray) -> xr.Dataset:
    """What was true of centres before their spread was calibrated, for ``sample_stats``.

    Args:
        honest: T frames, O objects.
        names: int [O], their identities.
    """
    across = ("frame", "object")
    moved = _described("whether centres and sizes were moved to have calibrated deviations")
    variables: dict[str, Any] = {"calibrated": (across, honest.changed, moved)}
    for axis, name in enumerate(("guide_std_x", "guide_std_y")):
        said = _described(f"standard deviation of the guide's own draws of {name[-1]}", "pixels")
        variables[name] = (across, honest.own[..., axis], said)
    return xr.Dataset(variables, {"frame": np.arange(len(honest.own)), "object": names})


def write_tree(tree: xr.DataTree, path: Path) -> None:
    """Write a tree as NetCDF, whole or not at all, compressed.

    Raises:
        UserError: the file cannot be written.
    """
    encoding = {
        f"/{name}": {str(key): _COMPRESSED for key, each in group.data_vars.items() if each.size}
        for name, group in tree.children.items()
    }
    # In memory first, where it is small beside the tree: HDF5 does not survive a full disk.
    buffer = io.BytesIO()
    tree.to_netcdf(buffer, engine=_ENGINE, encoding=encoding)
    with written_whole(path) as target:
        target.write_bytes(buffer.getbuffer())


def _draws(number: int) -> dict[str, Any]:
    return {"chain": np.arange(1), "draw": np.arange(number)}


def _pixels(video: np.ndarray) -> dict[str, Any]:
    frames, height, width, channels = video.shape[-4:]
    middle = _described("middle of the pixel", "pixels")
    return {
        "frame": np.arange(frames),
        "y": ("y", np.arange(height) + 0.5, middle),
        "x": ("x", np.arange(width) + 0.5, middle),
        "channel": _CHANNELS[channels],
    }


def _described(said: str, units: str = "") -> dict[str, str]:
    return {"description": said} | ({"units": units} if units else {})
