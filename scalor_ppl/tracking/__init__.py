"""Tracking of whole videos of any length, as a stream (`track_video`) or into files."""

from scalor_ppl.tracking.formats import FORMATS
from scalor_ppl.tracking.identify import joined_stream, recognised_stream
from scalor_ppl.tracking.job import (
    SilentTracking,
    TrackingOutcome,
    TrackingWatcher,
)
from scalor_ppl.tracking.stream import track_video
from scalor_ppl.tracking.together import track_to_files
from scalor_ppl.tracking.tracked import BrokenVideoError, Tracked

__all__ = [
    "FORMATS",
    "BrokenVideoError",
    "SilentTracking",
    "Tracked",
    "TrackingOutcome",
    "TrackingWatcher",
    "joined_stream",
    "recognised_stream",
    "track_to_files",
    "track_video",
]
