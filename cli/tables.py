"""The look of tables of figures, and the console that they are printed to."""

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

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
