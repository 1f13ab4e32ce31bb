"""Positions of tracks: from files and tables that have x and y of their own, or from boxes."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.mot_reader import read_rows

if TYPE_CHECKING:
    import pandas as pd

_TABLES = (".csv", ".parquet", ".pq")
_PLACES = ("frame", "id", "x", "y")
_SPREAD = ("x_std", "y_std")


class Positions(NamedTuple):
    """Positions of objects.

    Attributes:
        table: rows; the middle of a box is the position.
        spread: float64 [R, 2], standard deviations of x and y in pixels, NaN where nobody knows;
            None where the file does not say.
    """

    table: BoxTable
    spread: np.ndarray | None

    def kept(self, confidence: float | None) -> "Positions":
        """The rows of at least this confidence; all where none is given."""
        return self if confidence is None else self.of_rows(self.table.confidence >= confidence)

    def of_rows(self, rows: np.ndarray) -> "Positions":
        """Some of the rows, bool [R]."""
        return Positions(self.table.kept(rows), None if self.spread is None else self.spread[rows])

    def errors(self, static: float | Literal["fit"] | None) -> np.ndarray | None:
        """[R, 2] standard deviations that are taken as known; None where they are to be fitted.

        Args:
            static: of each coordinate, in pixels; "fit", or None for what is stated, if it is.

        Raises:
            UserError: it is no such error.
        """
        if static is None:
            return self.spread
        if static == "fit":
            return None
        if not (isinstance(static, float | int) and 0 <= static < np.inf):
            raise UserError(f"static error {static}: give pixels, 0 or more, or 'fit'")
        return np.full((len(self.table), 2), float(static))


def read_positions(path: str | Path) -> Positions:
    """Read a file of tracks: centres where it has them, else the middles of its boxes.

    Args:
        path: a .csv or .parquet file of `track`, or MOTChallenge rows.

    Raises:
        UserError: it cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() not in _TABLES or not path.is_file():
        return Positions(read_rows(path), None)
    import pandas as pd

    try:
        frame = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except Exception as error:  # damage makes the readers stumble over anything
        raise UserError(f"{path} cannot be read as a table of tracks: {error}") from error
    if not set(_PLACES) <= set(frame.columns):
        return Positions(read_rows(path), None)
    try:
        return positions_of(frame)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def positions_of(tracks: "pd.DataFrame") -> Positions:
    """Tracks in a table, as `scalor_ppl.track` gives them or trackpy's ``link``.

    Args:
        tracks: columns ``frame``, ``x``, ``y`` and ``id`` (or ``particle``); ``confidence``,
            ``x_std`` and ``y_std`` where it has them.

    Raises:
        UserError: columns are missing, values are not finite, or an object is twice in a frame.
    """
    name = "id" if "id" in tracks or "particle" not in tracks else "particle"
    missing = [column for column in ("frame", name, "x", "y") if column not in tracks]
    if missing:
        raise UserError(f"the table of tracks has no column {', '.join(missing)}")
    columns = [tracks[column].to_numpy(dtype=np.float64) for column in ("frame", name, "x", "y")]
    if not all(np.isfinite(column).all() for column in columns):
        raise UserError("the table of tracks has values that are not finite: leave these rows out")
    if tracks.duplicated(["frame", name]).any():
        raise UserError("the table of tracks has an object twice in a frame")
    order = np.argsort(columns[0], kind="stable")
    frames, identity, x, y = (column[order] for column in columns)
    labels, objects = np.unique(identity.astype(np.int64), return_inverse=True)
    sure = tracks["confidence"].to_numpy(np.float64)[order] if "confidence" in tracks else None
    table = BoxTable(
        frames=frames.astype(np.int64),
        objects=objects,
        boxes=np.stack([x, y, np.zeros_like(x), np.zeros_like(x)], axis=1),
        confidence=np.ones(len(x)) if sure is None else sure,
        labels=tuple(labels.tolist()),
        counted_from=0,
    )
    if not set(_SPREAD) <= set(tracks.columns):
        return Positions(table, None)
    return Positions(table, tracks[list(_SPREAD)].to_numpy(np.float64)[order])
