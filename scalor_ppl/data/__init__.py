"""Video in: toy sets made on the fly, own recordings, and batches of either."""

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data.batches import Batch, batches, make_batch
from scalor_ppl.data.clips import open_source
from scalor_ppl.data.describe import Description, describe
from scalor_ppl.data.frames import probe
from scalor_ppl.data.readers.base import VideoInfo
from scalor_ppl.data.recordings import iterate_frames, load_video
from scalor_ppl.data.records import Clip, ClipSource, Split, Truth
from scalor_ppl.data.registered import REGISTERED
from scalor_ppl.data.specs import TOY_SETS, ToySpec

__all__ = [
    "REGISTERED",
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
]
