"""Zarr and OME-Zarr stacks (https://ngff.openmicroscopy.org/0.5/): needs the extra ``zarr``."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data.readers.base import told
from scalor_ppl.data.readers.stacks import ArrayReader
from scalor_ppl.errors import UserError

_SIGNS = (".zarray", ".zgroup", "zarr.json")
_LETTERS = {"t": "T", "time": "T", "c": "C", "channel": "C", "z": "Z", "y": "Y", "x": "X"}


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr array or group."""
    return any((path / sign).is_file() for sign in _SIGNS)


class ZarrReader(ArrayReader):
    """An array, a group with one array, or an image of OME-Zarr in its full resolution.

    Axes go by the names that OME-Zarr, xarray or Zarr 3 store with them.

    Raises:
        UserError: zarr is not installed; there is no array, or several; see `ArrayReader`.
    """

    def __init__(self, path: Path, options: SourceOptions) -> None:
        if find_spec("zarr") is None:
            raise UserError(
                f"{path} is a Zarr store: install what reads it, pip install 'scalor-ppl[zarr]'"
            )
        import zarr  # optional

        with told(path, 0):
            node: Any = zarr.open(str(path), mode="r")
            attributes = dict(node.attrs)
            names: list[str] | None = None
            labels: list[str] = []
            if isinstance(node, zarr.Group):
                node, names, labels = _image(path, node, attributes)
            names = names or _names(node)
            axes = None if names is None else "".join(map(_letter, names))
            if axes is not None and not set("YX") <= set(axes):
                axes = None
        super().__init__(path, options, node, axes, labels)


def _image(
    path: Path, group: Any, attributes: Mapping[str, Any]
) -> tuple[Any, list[str] | None, list[str]]:
    """The array of a group, the names of its axes and of its channels."""
    own = attributes.get("ome", attributes)  # since version 0.5 in a place of their own
    scales = own.get("multiscales")
    if scales:
        array = group[scales[0]["datasets"][0]["path"]]
        axes = [axis["name"] if isinstance(axis, Mapping) else axis for axis in scales[0]["axes"]]
        channels = own.get("omero", {}).get("channels", [])
        return array, axes, [str(channel.get("label", "")) for channel in channels]
    arrays = sorted(name for name, _ in group.arrays())
    if len(arrays) != 1:
        inside = f"the arrays {', '.join(arrays)}" if arrays else "no array"
        raise UserError(f"{path} holds {inside}: give the path of one")
    return group[arrays[0]], None, []


def _names(array: Any) -> list[str] | None:
    """Names of an array's dimensions, of Zarr 3 or as xarray writes them into Zarr 2."""
    names = getattr(array.metadata, "dimension_names", None) or dict(array.attrs).get(
        "_ARRAY_DIMENSIONS"
    )
    return [str(name) for name in names] if names else None


def _letter(name: str) -> str:
    return _LETTERS.get(name.lower(), "Q")
