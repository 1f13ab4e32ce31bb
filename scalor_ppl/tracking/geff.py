"""Tracks as GEFF, the Graph Exchange File Format (https://liveimagetrackingtools.org/geff/).

A Zarr folder with a graph: a node an object and frame, an edge from each to the next of the same
object. Needs the extra ``geff``.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.files import check_room, folder_written_whole
from scalor_ppl.tracking.outputs import About
from scalor_ppl.tracking.parts import all_rows, from_pixel_centres, links
from scalor_ppl.tracking.table import MEANING, ROW

ROOM = 2**20  # bytes beside those of the rows


def check_geff() -> None:
    """Complain where geff is missing.

    Raises:
        UserError: it is.
    """
    if find_spec("geff") is None:
        raise UserError("GEFF needs geff: pip install 'scalor-ppl[geff]', or write csv or nc")


def to_geff(part: Path, target: Path, about: About) -> None:
    """Write the rows as a graph: columns are the nodes' properties, ``frame`` under the name ``t``.

    Places count from the centre of the first pixel, as other programs that read the format do.
    """
    from geff.core_io import write_arrays
    from zarr.storage import LocalStore

    rows = from_pixel_centres(all_rows(part))
    check_room(target, 2 * part.stat().st_size + ROOM)
    columns = {"t" if name == "frame" else name: name for name in ROW.names or ()}
    edges = links(rows)
    sure = np.ascontiguousarray(rows["link"][edges[:, 1]])
    with folder_written_whole(target) as lent:
        write_arrays(
            LocalStore(lent),  # given a path, it refuses a folder that is there
            np.arange(len(rows), dtype=np.uint64),
            {
                column: {"values": np.ascontiguousarray(rows[name]), "missing": None}
                for column, name in columns.items()
            },
            edges.astype(np.uint64),
            {"link": {"values": sure, "missing": None}},
            _metadata(columns, about),
        )
    part.unlink()


def _metadata(columns: dict[str, str], about: About) -> Any:
    """What the file says of itself; a `geff.GeffMetadata`."""
    from geff_spec import Axis, DisplayHint, GeffMetadata, PropMetadata

    rate = {"scale": 1 / about.fps, "scaled_unit": "second"} if about.fps else {}
    return GeffMetadata(
        directed=True,
        axes=[
            Axis(name="t", type="time", unit="frame", **rate),
            Axis(name="y", type="space", unit="pixel"),
            Axis(name="x", type="space", unit="pixel"),
        ],
        node_props_metadata={
            column: PropMetadata(
                identifier=column,
                dtype=ROW[name].name,
                unit="pixel" if MEANING[name][1] == "pixels" else None,
                description=MEANING[name][0],
            )
            for column, name in columns.items()
        },
        edge_props_metadata={
            "link": PropMetadata(
                identifier="link", dtype=ROW["link"].name, description=MEANING["link"][0]
            )
        },
        # Nobody's track has two ends: an object's path is its lineage as well.
        track_node_props={"tracklet": "id", "lineage": "id"},
        display_hints=DisplayHint(display_horizontal="x", display_vertical="y", display_time="t"),
        extra={"scalor_ppl": about.attributes()},
    )
