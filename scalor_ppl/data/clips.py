"""The front door of the data package: open a source by name or path, take clips and batches."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from scalor_ppl.data.batches import Batch, batches, make_batch
from scalor_ppl.data.describe import Description, describe
from scalor_ppl.data.records import (
    DEFAULT_OPTIONS,
    Clip,
    ClipSource,
    SourceOptions,
    Split,
    Truth,
    check_split,
)
from scalor_ppl.data.specs import TOY_SETS
from scalor_ppl.errors import UserError

__all__ = [
    "Batch",
    "Clip",
    "ClipSource",
    "Description",
    "SourceOptions",
    "Split",
    "Truth",
    "batches",
    "describe",
    "iterate_frames",
    "load_video",
    "make_batch",
    "open_source",
    "write_netcdf",
]


def open_source(
    name_or_path: str | Path,
    *,
    split: Split = "train",
    seed: int = 0,
    options: SourceOptions = DEFAULT_OPTIONS,
) -> ClipSource:
    """Open a source of clips.

    Args:
        name_or_path: the name of a toy set (`specs.TOY_SETS`), or the path of a video file, a
            folder of images, a MOTChallenge sequence folder, or a NetCDF file of clips.
        split: train or test. Toy sets have different clips in each; recordings differ only in that
            random crops are taken in train.
        seed: for what is drawn at random: toy clips, crops.
        options: how to read it.

    Raises:
        UserError: unknown name and no such path, or what lies there cannot be read.
    """
    check_split(split)
    # Imported when needed: one costs the compiler, the other the decoders.
    if str(name_or_path) in TOY_SETS:
        from scalor_ppl.data.toys import ToySource

        return ToySource(TOY_SETS[str(name_or_path)], split=split, seed=seed, options=options)
    path = Path(name_or_path)
    if not path.exists():
        raise UserError(_unknown(str(name_or_path)))
    if path.is_file():
        from scalor_ppl.data.netcdf import NetcdfSource, is_netcdf

        if is_netcdf(path):
            return NetcdfSource(path, options=options)
    from scalor_ppl.data.recordings import RecordingSource

    return RecordingSource(path, split=split, seed=seed, options=options)


def load_video(path: str | Path, *, options: SourceOptions = DEFAULT_OPTIONS) -> Clip:
    """A whole recording as one clip, for tracking: see `recordings.load_video`."""
    from scalor_ppl.data.recordings import load_video as load

    return load(path, options=options)


def iterate_frames(
    path: str | Path, *, options: SourceOptions = DEFAULT_OPTIONS
) -> Iterator[np.ndarray]:
    """The frames of a recording one by one: see `recordings.iterate_frames`."""
    from scalor_ppl.data.recordings import iterate_frames as iterate

    return iterate(path, options=options)


def write_netcdf(
    source: ClipSource, path: str | Path, clips: int, frames: int, *, first: int = 0
) -> None:
    """Write clips of a source to a NetCDF file: see `netcdf.write_netcdf`."""
    from scalor_ppl.data.netcdf import write_netcdf as write

    write(source, path, clips, frames, first=first)


def _unknown(name: str) -> str:
    """One line on what `name` might have been meant to be."""
    near = get_close_matches(name, TOY_SETS, n=3, cutoff=0.6)
    meant = f"did you mean {' or '.join(near)}?" if near else "`data list` shows the toy sets"
    return f"{name} is neither a toy set nor an existing path: {meant}"
