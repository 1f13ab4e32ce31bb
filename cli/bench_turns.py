"""``scalor-ppl bench --compiled`` and ``bench --run``: ways to the same result, in turns."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.options import PLAIN
from scalor_ppl.cli.tables import print_table
from scalor_ppl.files import written_whole

if TYPE_CHECKING:
    import torch

    from scalor_ppl.studies.benchmark.turns import Way


def show_turns(title: str, ways: "list[Way]", device: "torch.device", out: Path | None) -> None:
    """Print ways beside each other, and write their figures where that is asked for."""
    from scalor_ppl.environment import environment

    table = Table(title=title, title_justify="left")
    table.add_column("in turns")
    for column in ("median [ms]", "quartiles [ms]", "frames/s", "times", "first turn [s]"):
        table.add_column(column, justify="right")
    # The networks alone do less: what is compared with them is not the same result.
    reference = ways[-2]
    for way in ways:
        low, high = 1e3 * way.seconds.low, 1e3 * way.seconds.high
        table.add_row(
            way.name,
            f"{1e3 * way.seconds.median:.1f}",
            f"{low:.1f} - {high:.1f}",
            f"{way.rate:.2f}",
            f"{reference.seconds.median / way.seconds.median:.2f}",
            f"{way.first:.1f}",
        )
    console = Console()
    print_table(table, console)
    if out is not None:
        figures = {"environment": environment(device), "title": title, "ways": [*map(asdict, ways)]}
        with written_whole(out) as lent:
            lent.write_text(json.dumps(figures, indent=2) + "\n")
        console.print(f"all figures are in {out}", **PLAIN)
