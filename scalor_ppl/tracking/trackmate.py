"""Tracks as TrackMate XML (https://imagej.net/plugins/trackmate/), which Fiji loads.

A spot an object and frame, an edge from each to the next of the same object. What TrackMate has a
name for has that name; the other columns are features of their own, declared in the file. The
standard library writes it as it goes: a tree in memory would be many times the rows.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import numpy as np

from scalor_ppl.files import check_room, written_whole
from scalor_ppl.tracking.outputs import About
from scalor_ppl.tracking.parts import all_rows, from_pixel_centres, links
from scalor_ppl.tracking.table import MEANING, ROW

VERSION = "7.11.1"
"""Of TrackMate, whose files look like this."""

_BYTES = 1024  # of a spot and its edge, at most about
ROOM = 2**16

# Feature: name, short name, dimension, whether an integer.
_SPOT = {
    "QUALITY": ("Quality", "Quality", "QUALITY", False),
    "POSITION_X": ("X", "X", "POSITION", False),
    "POSITION_Y": ("Y", "Y", "POSITION", False),
    "POSITION_Z": ("Z", "Z", "POSITION", False),
    "POSITION_T": ("T", "T", "TIME", False),
    "FRAME": ("Frame", "Frame", "NONE", True),
    "RADIUS": ("Radius", "R", "LENGTH", False),
    "VISIBILITY": ("Visibility", "Visibility", "NONE", True),
}
_EDGE = {
    "SPOT_SOURCE_ID": ("Source spot ID", "Source ID", "NONE", True),
    "SPOT_TARGET_ID": ("Target spot ID", "Target ID", "NONE", True),
    "DISPLACEMENT": ("Displacement", "Disp.", "LENGTH", False),
    "EDGE_TIME": ("Edge time", "Edge T", "TIME", False),
}
_TRACK = {
    "TRACK_INDEX": ("Track index", "Index", "NONE", True),
    "TRACK_ID": ("Track ID", "ID", "NONE", True),
    "NUMBER_SPOTS": ("Number of spots in track", "N spots", "NONE", True),
    "NUMBER_GAPS": ("Number of gaps", "N gaps", "NONE", True),
    "TRACK_DURATION": ("Duration of track", "Duration", "TIME", False),
    "TRACK_START": ("Track start", "T start", "TIME", False),
    "TRACK_STOP": ("Track stop", "T stop", "TIME", False),
}
_NAMED = {"frame", "id", "x", "y"}  # columns that TrackMate has places of its own for
_OURS = {
    name.upper(): (said, name, "LENGTH" if unit else "NONE", ROW[name].kind in "ib")
    for name, (said, unit) in MEANING.items()
    if name not in _NAMED
}


class _Writer:
    """XML with an element a line."""

    def __init__(self, out: Any) -> None:
        self._xml = XMLGenerator(out, "UTF-8", short_empty_elements=True)
        self._xml.startDocument()

    @contextmanager
    def within(self, tag: str, **attributes: object) -> Iterator[None]:
        """An element, with what is written meanwhile in it."""
        self._xml.startElement(tag, _texts(attributes))
        self._xml.characters("\n")
        yield
        self._xml.endElement(tag)
        self._xml.characters("\n")

    def element(self, tag: str, **attributes: object) -> None:
        """An element with nothing in it."""
        self._xml.startElement(tag, _texts(attributes))
        self._xml.endElement(tag)
        self._xml.characters("\n")


def _texts(attributes: Mapping[str, object]) -> AttributesImpl:
    return AttributesImpl({name: _text(value) for name, value in attributes.items()})


def _text(value: object) -> str:
    """A value as Java reads it."""
    if isinstance(value, float):
        return str(value) if math.isfinite(value) else "NaN"
    return str(value).lower() if isinstance(value, bool) else str(value)


def to_trackmate(part: Path, target: Path, about: About) -> None:
    """Write the rows as a TrackMate session.

    Places count from the centre of the first pixel, as TrackMate's do; times are seconds where the
    video says how fast it is, else frames.
    """
    rows = from_pixel_centres(all_rows(part))
    check_room(target, _BYTES * len(rows) + ROOM)
    interval = 1 / about.fps if about.fps else 1.0
    units = {"spatialunits": "pixel", "timeunits": "sec" if about.fps else "frame"}
    with (
        written_whole(target) as lent,
        lent.open("w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        xml = _Writer(file)
        with xml.within("TrackMate", version=VERSION):
            with xml.within("Model", **units):
                with xml.within("FeatureDeclarations"):
                    _declare(xml, "SpotFeatures", _SPOT | _OURS)
                    _declare(xml, "EdgeFeatures", _EDGE)
                    _declare(xml, "TrackFeatures", _TRACK)
                _spots(xml, rows, interval)
                _tracks(xml, rows, interval)
            _settings(xml, about, interval)
            xml.element("GUIState", state="ConfigureViews")
    part.unlink()


def _declare(xml: _Writer, kind: str, features: Mapping[str, tuple[str, str, str, bool]]) -> None:
    with xml.within(kind):
        for feature, (name, short, dimension, whole) in features.items():
            xml.element(
                "Feature",
                feature=feature,
                name=name,
                shortname=short,
                dimension=dimension,
                isint=whole,
            )


def _spots(xml: _Writer, rows: np.ndarray, interval: float) -> None:
    """All rows, frame by frame; a spot's number is the place of its row."""
    ours = [name for name in MEANING if name not in _NAMED]
    begins = np.r_[0, np.flatnonzero(np.diff(rows["frame"])) + 1, len(rows)]
    with xml.within("AllSpots", nspots=len(rows)):
        for begin, end in pairwise(begins.tolist()):
            if begin == end:
                continue
            with xml.within("SpotsInFrame", frame=rows["frame"][begin]):
                for n in range(begin, end):
                    row = rows[n]
                    side = math.sqrt(max(0.0, float(row["width"]) * float(row["height"])))
                    frame = int(row["frame"])
                    xml.element(
                        "Spot",
                        ID=n,
                        name=f"ID{row['id']}",
                        QUALITY=float(row["confidence"]),
                        POSITION_X=float(row["x"]),
                        POSITION_Y=float(row["y"]),
                        POSITION_Z=0.0,
                        POSITION_T=frame * interval,
                        FRAME=frame,
                        RADIUS=side / 2,
                        VISIBILITY=1,
                        **{
                            name.upper(): float(row[name])
                            if ROW[name].kind == "f"
                            else int(row[name])
                            for name in ours
                        },
                    )


def _tracks(xml: _Writer, rows: np.ndarray, interval: float) -> None:
    """Edges, track by track. A track of a single spot is none here: the spot has its name."""
    edges = links(rows)
    ids = rows["id"][edges[:, 0]]
    begins = np.r_[0, np.flatnonzero(np.diff(ids)) + 1, len(ids)] if len(ids) else np.zeros(1, int)
    kept = []
    with xml.within("AllTracks"):
        for index, (begin, end) in enumerate(pairwise(begins.tolist())):
            identity = int(ids[begin])
            ends = rows["frame"][edges[begin:end]]
            first, last = int(ends.min()), int(ends.max())
            kept.append(identity)
            with xml.within(
                "Track",
                name=f"Track_{identity}",
                TRACK_INDEX=index,
                TRACK_ID=identity,
                NUMBER_SPOTS=end - begin + 1,
                NUMBER_GAPS=int(np.count_nonzero(np.diff(ends, axis=1) > 1)),
                TRACK_DURATION=(last - first) * interval,
                TRACK_START=first * interval,
                TRACK_STOP=last * interval,
            ):
                for source, sink in edges[begin:end].tolist():
                    away = [float(rows[sink][c]) - float(rows[source][c]) for c in ("x", "y")]
                    halfway = (int(rows[source]["frame"]) + int(rows[sink]["frame"])) / 2
                    xml.element(
                        "Edge",
                        SPOT_SOURCE_ID=source,
                        SPOT_TARGET_ID=sink,
                        DISPLACEMENT=math.hypot(*away),
                        EDGE_TIME=halfway * interval,
                    )
    with xml.within("FilteredTracks"):
        for identity in kept:
            xml.element("TrackID", TRACK_ID=identity)


def _settings(xml: _Writer, about: About, interval: float) -> None:
    """What TrackMate would have been told: the image, and no filter."""
    last = about.start + about.stride * max(0, about.frames - 1)
    with xml.within("Settings"):
        xml.element(
            "ImageData",
            filename=about.source,
            folder="",
            width=about.width,
            height=about.height,
            nslices=1,
            nframes=last + 1,
            pixelwidth=1.0,
            pixelheight=1.0,
            voxeldepth=1.0,
            timeinterval=interval,
        )
        xml.element(
            "BasicSettings",
            xstart=0,
            xend=about.width - 1,
            ystart=0,
            yend=about.height - 1,
            zstart=0,
            zend=0,
            tstart=about.start,
            tend=last,
        )
        xml.element("DetectorSettings", DETECTOR_NAME="MANUAL_DETECTOR", RADIUS=1.0)
        xml.element("InitialSpotFilter", feature="QUALITY", value=0.0, isabove=True)
        xml.element("SpotFilterCollection")
        xml.element("TrackerSettings", TRACKER_NAME="MANUAL_TRACKER")
        xml.element("TrackFilterCollection")
        xml.element("AnalyzerCollection")
