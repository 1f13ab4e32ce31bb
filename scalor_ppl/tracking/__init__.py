"""Tracking of whole videos of any length, as a stream (`track_video`) or into files."""

from scalor_ppl.tracking.job import track_to_files
from scalor_ppl.tracking.recognition import recognised_stream
from scalor_ppl.tracking.stream import BrokenVideoError, Tracked, track_video
from scalor_ppl.tracking.watch import Outcome, Silent, Watcher
from scalor_ppl.tracking.writers import FORMATS

__all__ = [
    "FORMATS",
    "BrokenVideoError",
    "Outcome",
    "Silent",
    "Tracked",
    "Watcher",
    "recognised_stream",
    "track_to_files",
    "track_video",
]
