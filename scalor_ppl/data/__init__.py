"""Video in: toy sets made on the fly, own recordings, and batches of either."""

from scalor_ppl.data.clips import (
    Batch,
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
from scalor_ppl.data.probing import VideoInfo, probe
from scalor_ppl.data.specs import TOY_SETS, ToySpec

__all__ = [
    "TOY_SETS",
    "Batch",
    "Clip",
    "ClipSource",
    "Description",
    "SourceOptions",
    "Split",
    "ToySpec",
    "Truth",
    "VideoInfo",
    "batches",
    "describe",
    "iterate_frames",
    "load_video",
    "make_batch",
    "open_source",
    "probe",
    "write_netcdf",
]
