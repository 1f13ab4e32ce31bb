"""Video, masks and tracks as layers of napari (https://napari.org), for looking at them.

Layers are plain arrays and options, as napari's documentation has them; napari is needed only to
open its window. Coordinates are time, y and x: frames of the video, and pixels whose first centre
is at 0.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.errors import UserError
from scalor_ppl.tracks.mot_reader import read_rows

if TYPE_CHECKING:
    import pandas as pd

Colour = Literal["id", "confidence"]

_MOST = 4 * 2**30  # bytes of a video held in memory
_TAIL = 30  # frames of a track that are drawn behind its object
_COLUMNS = ("frame", "id", "x", "y", "confidence")


class Layer(NamedTuple):
    """A layer as napari takes it.

    Attributes:
        data: its array.
        options: keyword arguments of the layer.
        kind: ``image``, ``labels`` or ``tracks``.
    """

    data: Any
    options: dict[str, Any]
    kind: str


def require_napari() -> None:
    """Complain where napari is missing.

    Raises:
        UserError: it is.
    """
    if find_spec("napari") is None:
        raise UserError("the viewer needs napari: pip install 'scalor-ppl[napari]' 'napari[pyqt6]'")


def read_table(path: Path) -> "pd.DataFrame":
    """Tracks of a file as a table with at least frame and id (from 0), x, y and confidence.

    Args:
        path: NAME.txt, .csv, .parquet or .nc, as `track` writes them. Where there are boxes only,
            objects are in their centres.

    Raises:
        UserError: it cannot be read, or is of another format.
    """
    import pandas as pd
    import xarray as xr

    if not path.is_file():
        raise UserError(f"no such file: {path}")
    try:
        if path.suffix == ".csv":
            table = pd.read_csv(path)
        elif path.suffix in (".parquet", ".pq"):
            table = pd.read_parquet(path)
        elif path.suffix == ".nc":
            with xr.open_dataset(path, engine="h5netcdf") as dataset:
                table = dataset.to_dataframe().reset_index(drop=True)
        elif path.suffix == ".txt":
            table = _boxes(path)
        else:
            raise UserError(f"{path}: give tracks that end in .txt, .csv, .parquet or .nc")
    except UserError:
        raise
    except Exception as error:  # whatever the readers of spoilt files raise
        raise UserError(f"{path} cannot be read as tracks: {error}") from None
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        raise UserError(f"{path} has no column {missing[0]}: give tracks of scalor-ppl track")
    return table


def _boxes(path: Path) -> "pd.DataFrame":
    """Rows of MOTChallenge."""
    import pandas as pd

    rows = read_rows(path)
    return pd.DataFrame(
        {
            "frame": rows.frames,
            "id": rows.ids[rows.objects] - (1 if rows.counted_from == 1 else 0),
            "x": rows.boxes[:, 0] + rows.boxes[:, 2] / 2,
            "y": rows.boxes[:, 1] + rows.boxes[:, 3] / 2,
            "confidence": rows.confidence,
        }
    )


def tracks_layer(table: "pd.DataFrame", colour: Colour = "id") -> Layer:
    """Tracks as napari's layer of that name: rows of id, time, y and x, by id and time.

    Args:
        table: as of `read_table`; all its columns are the points' features.
        colour: what is told by colour.
    """
    table = table.sort_values(["id", "frame"], ignore_index=True)
    data = np.stack(
        [table["id"], table["frame"], table["y"] - 0.5, table["x"] - 0.5], 1, dtype=np.float64
    )
    features = table.drop(columns=["frame", "x", "y"])
    options = {
        "name": "tracks",
        "features": features,
        "color_by": "track_id" if colour == "id" else colour,
        "tail_length": _TAIL,
    }
    return Layer(data, options, "tracks")


def video_layer(video: Path, first: int, last: int) -> Layer:
    """The frames of a video as napari's image layer.

    Args:
        video: as `iterate_frames` reads it.
        first: number of the first frame that is shown, from 0.
        last: of the last.

    Raises:
        UserError: it cannot be read, or does not fit in memory.
    """
    from scalor_ppl.data import iterate_frames

    frames: list[np.ndarray] = []
    for frame in iterate_frames(video, options=SourceOptions(start=first, stop=last + 1)):
        if not frames and frame.nbytes * (last + 1 - first) > _MOST:
            need = frame.nbytes * (last + 1 - first) / 2**30
            raise UserError(
                f"frames {first} to {last} of {video} take {need:.0f} GiB: show fewer, with "
                "--start and --stop"
            )
        frames.append(frame)
    shown = np.stack(frames)
    colour = shown.shape[-1] == 3
    options = {"name": video.name, "rgb": colour, "translate": (first, 0, 0)}
    return Layer(shown if colour else shown[..., 0], options, "image")


def masks_layer(masks: Path, first: int, last: int) -> Layer:
    """Masks of `track --masks` as napari's labels layer: the identity plus 1, nothing 0.

    Args:
        masks: NAME.nc.
        first: number of the first frame that is shown.
        last: of the last.

    Raises:
        UserError: it cannot be read.
    """
    import xarray as xr

    try:
        with xr.open_dataset(masks, engine="h5netcdf") as dataset:
            ids = dataset["id"].sel(frame=slice(first, last))
            axes = [ids[name].values.astype(float) for name in ("frame", "y", "x")]
            labels = ids.values.astype(np.int32) + 1
    except FileNotFoundError:
        raise UserError(f"no such file: {masks}") from None
    except Exception as error:  # whatever HDF5 says of a spoilt file
        raise UserError(f"{masks} cannot be read as masks: {error}") from None
    if not labels.size:
        raise UserError(f"{masks} has no frames from {first} to {last}")
    scale = tuple(float(axis[1] - axis[0]) if len(axis) > 1 else 1.0 for axis in axes)
    translate = (axes[0][0], axes[1][0] - 0.5, axes[2][0] - 0.5)
    options = {"name": "masks", "scale": scale, "translate": translate, "opacity": 0.5}
    return Layer(labels, options, "labels")


def show(layers: list[Layer]) -> None:
    """Open napari's window, until it is closed.

    Raises:
        UserError: napari is missing.
    """
    require_napari()
    import napari

    viewer = napari.Viewer(title="scalor-ppl")
    for layer in layers:
        viewer.add_layer(napari.layers.Layer.create(*layer))
    napari.run()
