"""The look of tables of figures, and the console that they are printed to."""

import math

from rich import box
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_WIDEST = 10_000
WIDTH = 100  # of wide tables, also where the output is no terminal


def ruled_table(title: str, *columns: str, title_justify: JustifyMethod = "left") -> Table:
    """An empty table with a line under its head, and nothing around it."""
    return Table(
        *columns,
        title=Text(title),
        title_justify=title_justify,
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )


def wide_console() -> Console:
    """A console in which wide tables are not cut, and names are printed as they are."""
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, WIDTH)
    return console


def print_table(table: Table, console: Console | None = None) -> None:
    """Print a table as wide as it is: a narrow terminal breaks its lines, but nothing is cut.

    Args:
        table: to print.
        console: where to; by default one that prints what is in cells as it is, brackets too.
    """
    console = console or Console(highlight=False, markup=False)
    before = console.width
    needed = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    console.width = max(before, min(needed, _WIDEST))
    console.print(table)
    console.width = before


def with_error(value: float | None, error: float | None) -> str:
    """``-12.3 +- 4.5``, as far as there are such: one clip has no error."""
    return plus_minus(value, error, ".1f")


def plus_minus(value: float | None, error: float | None, form: str) -> str:
    """The same in any format."""
    text = shown(value, form)
    return text if error is None or math.isnan(error) else f"{text} +- {error:{form}}"


def shown(value: float | None, form: str) -> str:
    """A number in a format; nothing where there is none."""
    return "" if value is None else f"{value:{form}}"
