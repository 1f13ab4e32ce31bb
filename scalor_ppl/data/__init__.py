"""Video in: toy sets made on the fly, own recordings, and batches of either."""

from scalor_ppl.data.clips import (
    Clip,
    ClipSource,
    Description,
    SourceOptions,
    Split,
    Truth,
    batches,
    describe,
    iterate_frames,
    load_video,
    make_batch,
    open_source,
    write_netcdf,
)
from scalor_ppl.data.specs import TOY_SETS, ToySpec

__all__ = [
    "TOY_SETS",
    "Clip",
    "ClipSource",
    "Description",
    "SourceOptions",
    "Split",
    "ToySpec",
    "Truth",
    "batches",
    "describe",
    "iterate_frames",
    "load_video",
    "make_batch",
    "open_source",
    "write_netcdf",
]
