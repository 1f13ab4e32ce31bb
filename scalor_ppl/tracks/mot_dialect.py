"""How a file writes its MOTChallenge rows: what separates them, and which column is which.

The format says commas and a fixed order. Files in use have semicolons, tabs or spaces, decimal
commas, a line of headings, a class label, a separator at the end of the line.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

COLUMNS = ("frame", "id", "left", "top", "width", "height", "confidence")
_OTHER_NAMES = {
    "frame": ("frame_id", "frameid", "frame_no", "frame_number", "frame_index", "frame_idx"),
    "id": ("track_id", "trackid", "object_id", "obj_id", "identity", "target_id", "particle"),
    "left": ("bb_left", "bbox_left", "box_left", "xmin", "x_min", "bb_x", "bbox_x", "x"),
    "top": ("bb_top", "bbox_top", "box_top", "ymin", "y_min", "bb_y", "bbox_y", "y"),
    "width": ("bb_width", "bbox_width", "box_width", "bbox_w", "w"),
    "height": ("bb_height", "bbox_height", "box_height", "bbox_h", "h"),
    "confidence": ("conf", "score", "presence"),
}
_SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", None: "spaces"}
_PLAIN = re.compile(r"[-+0-9.,;\t ]*[0-9.]")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)
_IN_ORDER = tuple(range(len(COLUMNS)))
_DIGITS = 100  # of a whole number with an exponent: more are no id


class RowError(ValueError):
    """A line is no row; the message says why, where there is more to say than that."""


class MotRow(NamedTuple):
    """What a line says.

    Attributes:
        frame: as it stands there.
        identity: likewise.
        box: left, top, width, height in pixels.
        confidence: None where nothing is said.
    """

    frame: int
    identity: int
    box: tuple[float, float, float, float]
    confidence: float | None


@dataclass
class Dialect:
    """How one file writes its rows.

    Attributes:
        separator: between the columns; None is white space.
        columns: where frame, id, left, top, width, height and confidence stand.
        noticed: what differs from the format, in words, in the order in which it was met.
    """

    separator: str | None
    columns: tuple[int, ...]
    noticed: dict[str, None] = field(default_factory=dict)

    def row(self, line: str) -> MotRow:
        """Read a line.

        Raises:
            RowError: it is no row.
        """
        places = self.columns
        if _PLAIN.fullmatch(line):  # nearly all rows of nearly all files: three times as fast
            fields = line.split(self.separator)
            with suppress(ValueError, IndexError):
                left, top, width, height = (float(fields[n]) for n in places[2:6])
                known = len(places) > 6 and places[6] < len(fields)
                return MotRow(
                    int(fields[places[0]]),
                    int(fields[places[1]]),
                    (left, top, width, height),
                    float(fields[places[6]]) if known else None,
                )
        fields = self._fields(line)
        if len(fields) <= max(places[:6]):
            raise RowError
        frame, identity = (_whole(name, fields[places[n]]) for n, name in enumerate(COLUMNS[:2]))
        left, top, width, height = (self._real(fields[places[n]]) for n in range(2, 6))
        return MotRow(frame, identity, (left, top, width, height), self._confidence(fields))

    def _fields(self, line: str) -> list[str]:
        fields = [part.strip() for part in line.split(self.separator)]
        if fields and not fields[-1]:
            self.noticed["a separator at the end of lines"] = None
            fields.pop()
        return fields

    def _confidence(self, fields: list[str]) -> float | None:
        place = self.columns[6] if len(self.columns) > 6 else len(fields)
        if any(part[:1].isalpha() for part in fields[max(place, 6) + 1 :]):
            self.noticed["words after the seventh column (a class?), which do not matter"] = None
        if place >= len(fields) or not fields[place]:
            return None
        try:
            value = self._real(fields[place])
        except RowError:
            if not fields[place][0].isalpha():
                raise
            self.noticed[f"a word for the confidence ({fields[place]!r}), which is taken as 1"] = (
                None
            )
            return None
        return value

    def _real(self, text: str) -> float:
        if self.separator != "," and "," in text and _DECIMAL_COMMA.fullmatch(text):
            self.noticed["decimal commas"] = None
            text = text.replace(",", ".")
        if "_" in text:  # which Python takes for a number
            raise RowError
        try:
            return float(text)
        except ValueError:
            raise RowError from None


def settled(line: str, headings: "Headings | None" = None) -> Dialect | None:
    """The dialect of a file whose first row is this line; None where it is no row in any.

    Raises:
        RowError: it is one but for a number.
    """
    for separator, name in _SEPARATORS.items():
        dialect = Dialect(separator, headings.columns if headings else _IN_ORDER)
        try:
            dialect.row(line)
        except RowError as error:
            if error.args:
                raise
            continue
        if separator != ",":
            dialect.noticed[f"{name} between the columns"] = None
        return dialect
    return None


class Headings(NamedTuple):
    """What a line of headings says.

    Attributes:
        columns: where frame, id, left, top, width, height and perhaps the confidence stand.
        names: all of them, plain.
    """

    columns: tuple[int, ...]
    names: list[str]

    def __str__(self) -> str:
        return f"headings ({', '.join(self.names[n] for n in self.columns)})"


def headings_of(line: str) -> Headings | None:
    """The headings in a line; None where these are none.

    Raises:
        RowError: they are headings, but not of boxes in frames.
    """
    for separator in _SEPARATORS:
        names = [_plain(part) for part in line.split(separator)]
        if len(names) < 6 or not all(part[:1].isalpha() for part in names if part):
            continue
        places = [_place(names, column) for column in COLUMNS]
        missing = [column for column, n in zip(COLUMNS[:6], places[:6], strict=True) if n is None]
        if missing:
            raise RowError(f"the headings have no {', '.join(missing)}")
        return Headings(tuple(n for n in places if n is not None), names)
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\s.\-]+", "_", name.strip().strip("\"'<>[]").lower())


def _place(names: list[str], column: str) -> int | None:
    return next((names.index(n) for n in (column, *_OTHER_NAMES[column]) if n in names), None)


def _whole(name: str, text: str) -> int:
    """A whole number, exactly: ``3``, ``3.0`` and ``3e0``, not ``3.5``.

    Raises:
        RowError: it is no number, or no whole one, which is said.
    """
    if "_" in text:  # which Python takes for a number
        raise RowError
    with suppress(ValueError):
        return int(text)
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise RowError from None
    if not value.is_finite():
        raise RowError
    if value.adjusted() >= _DIGITS:
        raise RowError(f"the {name} has more than {_DIGITS} digits")
    if value != value.to_integral_value():
        raise RowError(f"the {name} {text} is no whole number")
    return int(value)
