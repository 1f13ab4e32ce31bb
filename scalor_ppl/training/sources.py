"""The videos that a configuration names."""

from pathlib import Path
from typing import TypeVar

import numpy as np

from scalor_ppl.code import own_file
from scalor_ppl.config.schema import Config, DataConfig, Section
from scalor_ppl.data import REGISTERED, ClipSource, Split, open_source
from scalor_ppl.data.piped import refuse_piped
from scalor_ppl.errors import UserError
from scalor_ppl.programs.loader import family_of

Table = TypeVar("Table", bound=Section)


def open_data(data: DataConfig, split: Split) -> ClipSource:
    """The clips of a configuration; of registered sets those of ``test`` are others."""
    if split == "train":
        refuse_piped(data.source)
    return open_source(data.source, split=split, seed=data.seed, options=data)


def open_unseen(data: DataConfig, trained: ClipSource) -> ClipSource:
    """Clips that are not trained on; a recording has none, so it is not read a second time."""
    return open_data(data, "test") if data.source in REGISTERED else trained


def anchored(config: Config) -> Config:
    """The configuration with paths that exist made absolute: a run works from any directory."""

    data = config.data
    found = {"source": _anchor(data.source)}
    if data.folder is not None:
        found["folder"] = _anchor(data.folder)
    if data.reader is not None:
        found["reader"] = own_file(data.reader)
    return config.model_copy(
        update={
            "data": data.model_copy(update=found),
            "model": _own_files(config.model),
            "prior": _own_files(config.prior),
            "guide": _own_files(config.guide),
            "model_file": own_file(config.model_file),
            "guide_file": own_file(config.guide_file),
        }
    )


def _own_files(table: Table) -> Table:
    """A table in which files of somebody's own, ``file.py:Class``, have absolute paths."""
    named = {
        name: own_file(value) for name, value in table if isinstance(value, str) and ".py" in value
    }
    return table.model_copy(update=named)


def _anchor(place: str) -> str:
    path = Path(place)
    return str(path.resolve()) if place not in REGISTERED and path.exists() else place


def reading(data: DataConfig, source: str) -> DataConfig:
    """How another source is read by a run: as its own data, but from beginning to end.

    ``start`` and ``stop`` are a range of the run's own recording, and hold for that alone.
    """
    source = _anchor(source)
    if source == _anchor(data.source):
        return data
    return data.model_copy(update={"source": source, "start": 0, "stop": None})


def with_seed(data: DataConfig, seed: int) -> DataConfig:
    """The same data with another seed: other clips of a registered set."""
    return data.model_copy(update={"seed": seed})


def chosen(
    data: DataConfig,
    source: str | None = None,
    *,
    folder: Path | None = None,
    seed: int | None = None,
) -> DataConfig:
    """The data of a run, or what is asked for in its place; what is not given stays.

    Args:
        data: the run's own.
        source: registered set or path, read as :func:`reading` says.
        folder: of the MNIST files, for digits.
        seed: of generated clips.
    """
    if source is not None:
        data = reading(data, source)
    if folder is not None:
        data = data.model_copy(update={"folder": str(folder)})
    return data if seed is None else with_seed(data, seed)


def fitted(config: Config, source: ClipSource) -> Config:
    """The configuration with what only the data tell: size, channels, and the values of black
    and white where pixels have more than 8 bits, which hold for all that the run reads later.

    Raises:
        UserError: the configuration gives others.
    """
    given = config.model
    size = {"height": source.height, "width": source.width, "channels": source.channels}
    for name, value in size.items():
        asked = getattr(given, name)
        if asked is not None and asked != value:
            raise UserError(
                f"model.{name} is {asked} but {source.name} has {value}: "
                "leave it out, or set data.resize or data.channels"
            )
    deep = getattr(source, "deep_levels", None) or config.data.deep_levels
    config = config.model_copy(
        update={
            "model": given.model_copy(update=size),
            "data": config.data.model_copy(update={"deep_levels": deep}),
        }
    )
    return family_of(config.model_file).program.with_source(config, source)


def open_clip(data: DataConfig, source: str, number: int, frames: int) -> np.ndarray:
    """A clip of a source, read as :func:`reading` says: ``[T, H, W, C]`` uint8.

    Raises:
        UserError: there is no such source, or it has no clip of that number and length.
    """
    opened = open_data(reading(data, source), "test")
    count = opened.starts(frames)
    if count and number >= count:
        raise UserError(f"--clip {number}: {source} has {count} clips of {frames} frames")
    return opened.clip(number, frames).video
