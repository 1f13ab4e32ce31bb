"""The tables of RESULTS.md and other pages, from the lines of the ledger.

A folder of results holds the lines (``ledger.jsonl`` and other ``*.jsonl``) and the tables
(``tables.toml``)::

    [tables.speed]                  # one row per line of speed.jsonl
    lines = "speed.jsonl"
    columns = [{ heading = "setting", show = "{setting}" },
               { heading = "ms", show = "{ms:.0f}", aside = " ({ms_before:.0f} before)" }]

    [tables.density]                # one row per experiment and trial: the worst seed
    rows = [{ title = "low density", experiment = "dsprites-ld", trial = "10 frames" }]
    columns = [{ heading = "MOTA", show = "{mota:.3f}", aside = " ({paper_mota:.3f})" }]

A cell stays empty, and an aside is left out, where a line lacks one of its figures. In a page a
table stands between ``<!-- table: speed -->`` and ``<!-- end of table -->``; the words around are
the page's own.
"""

import re
import string
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import ValidationError

from scalor_ppl.config.schema import Section
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import owned
from scalor_ppl.studies.experiment import read_experiment
from scalor_ppl.studies.ledger import Entry, read_entries, read_lines

LEDGER = "ledger.jsonl"
TABLES = "tables.toml"
PLACE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
LESS_IS_BETTER = ("count_mae", "mse", "id_switches", "fragmentations", "minutes")
MORE_IS_BETTER = ("mota", "plain", "strict", "iou", "precision", "recall", "idf1", "hota")


class Column(Section):
    """A column of a table.

    Attributes:
        heading: its title.
        show: a format string over the fields of a line.
        aside: another one, added where its figures are there.
    """

    heading: str
    show: str
    aside: str = ""


class LedgerRow(Section):
    """A row that the ledger fills.

    Attributes:
        title: its first cell.
        experiment: name of the experiment.
        trial: title of its trial.
        minutes_of: commit whose trainings give the minutes, where the last ones shared the machine
            with other programs; by default those that were scored last.
    """

    title: str
    experiment: str
    trial: str
    minutes_of: str | None = None


class ResultTable(Section):
    """A table: either all lines of a file, or chosen rows of the ledger.

    Attributes:
        columns: from left to right.
        lines: a file of JSON lines beside the table's.
        where: fields that a line must have to be a row.
        by: fields that name a row: of the lines that agree in them the last one counts, and rows
            with the same first of them stand together. None makes a row of every line.
        rows: of the ledger.
        median: name of the field that says "median" in a last row; none adds no such row.
    """

    columns: tuple[Column, ...]
    lines: str | None = None
    where: dict[str, str | int] = {}  # noqa: RUF012 (pydantic copies it)
    by: tuple[str, ...] = ()
    rows: tuple[LedgerRow, ...] = ()
    median: str | None = None


def write_tables(folder: Path) -> list[Path]:
    """Make the tables of the pages beside a folder of results anew.

    Returns:
        The pages.

    Raises:
        UserError: as :func:`with_tables`, no page has a place for a table, or one cannot be
            written.
    """
    root = folder.absolute().parent
    # All are made before the first is written.
    texts = {page: with_tables(page.read_text("utf-8"), folder) for page in pages_with_tables(root)}
    if not texts:
        raise UserError(f"no page in {root} has a place for a table: <!-- table: NAME -->")
    for page, text in texts.items():
        with owned(page), written_whole(page) as path:
            path.write_text(text, encoding="utf-8")
    return list(texts)


def with_tables(text: str, folder: Path) -> str:
    """A page with its tables made anew.

    Args:
        text: of the page.
        folder: of the lines and tables.

    Raises:
        UserError: a file is missing or does not fit, a row has no line, or there is no such table.
    """
    tables = read_tables(folder / TABLES)
    entries = read_entries(folder / LEDGER)

    def table(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        if name not in tables:
            raise UserError(f"a page wants a table {name!r} that {folder / TABLES} has not")
        made = markdown(tables[name], _rows(tables[name], folder, entries))
        return f"{begin}\n{made}\n\n{end}"

    return PLACE.sub(table, text)


def pages_with_tables(root: Path) -> list[Path]:
    """The Markdown files of a folder and of its ``docs`` that have places for tables."""
    pages = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    return sorted(page for page in pages if PLACE.search(page.read_text(encoding="utf-8")))


def read_tables(path: Path) -> dict[str, ResultTable]:
    """The tables of a file, by name.

    Raises:
        UserError: the file cannot be read or does not fit.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: ResultTable(**table) for name, table in found["tables"].items()}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, ValidationError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{path}: {error}") from None


def markdown(table: ResultTable, rows: Iterable[Mapping[str, Any]]) -> str:
    """The table in Markdown, without a line break at its end."""
    lines = [[column.heading for column in table.columns], ["---"] * len(table.columns)]
    lines += [[_cell(column, row) for column in table.columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def worst_of(entries: Sequence[Entry], row: LedgerRow) -> dict[str, Any]:
    """A row's fields: of each figure the worst over seeds, and what it is measured by.

    The last line of each seed counts. Beside the fields of an `Entry` there are ``title``,
    ``seeds`` (how many), ``limit`` (minutes at most), and the paper's figures and the targets as
    ``paper_mota``, ``target_plain`` and so on.

    Raises:
        UserError: the ledger has no line of it.
    """
    mine = [e for e in entries if (e.experiment, e.trial) == (row.experiment, row.trial)]
    last = {entry.seed: entry for entry in mine}
    if not last:
        raise UserError(f"no line of {row.experiment}, {row.trial}: scalor-ppl reproduce writes it")
    fields = next(reversed(last.values())).model_dump() | {"title": row.title, "seeds": len(last)}
    for names, worst in ((LESS_IS_BETTER, max), (MORE_IS_BETTER, min)):
        for name in names:
            fields[name] = _over(worst, (getattr(entry, name) for entry in last.values()))
    if row.minutes_of is not None:
        fields["minutes"] = _over(max, (e.minutes for e in mine if e.commit == row.minutes_of))
    experiment = read_experiment(row.experiment)
    fields["limit"] = experiment.minutes
    for trial in experiment.trials:
        if trial.title == row.trial:
            fields |= {f"paper_{name}": figure for name, figure in trial.paper}
            fields |= {f"target_{name}": figure for name, figure in trial.target}
    return fields


def _over(of: Callable[[list[float]], float], figures: Iterable[float | None]) -> float | None:
    """The figure of several; None where one of them is missing, or there is none."""
    known = list(figures)
    return None if not known or None in known else of(known)  # type: ignore[arg-type]


def _rows(table: ResultTable, folder: Path, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    if table.lines is None:
        return [worst_of(entries, row) for row in table.rows]
    lines = [line for _, line in read_lines(folder / table.lines)]
    lines = [line for line in lines if table.where.items() <= line.items()]
    if table.by:
        lines = last_by(lines, table.by)
    if table.median is not None:
        middle: dict[str, Any] = {table.median: "median"}
        for name, first in lines[0].items():
            if name != table.median and isinstance(first, int | float):
                middle[name] = median(line[name] for line in lines)
        lines.append(middle)
    return lines


def last_by(lines: Sequence[dict[str, Any]], fields: Sequence[str]) -> list[dict[str, Any]]:
    """The last of the lines that agree in some fields, grouped by the first field.

    Groups, and lines in them, come in the order in which they were first written.

    Args:
        lines: from the first to the last.
        fields: that name a row; a line may lack one.
    """
    last = {tuple(line.get(name) for name in fields): line for line in lines}
    places = {group: n for n, group in enumerate(dict.fromkeys(key[0] for key in last))}
    return [last[key] for key in sorted(last, key=lambda key: places[key[0]])]


def _cell(column: Column, row: Mapping[str, Any]) -> str:
    shown = _filled(column.show, row)
    return shown + (_filled(column.aside, row) if shown else "")


def _filled(text: str, row: Mapping[str, Any]) -> str:
    """The text with the row's figures in it; empty where one of them is missing."""
    names = [name.partition("[")[0] for _, name, *_ in string.Formatter().parse(text) if name]
    missing = any(row.get(name) is None for name in names)
    return "" if missing else text.format_map(row)
