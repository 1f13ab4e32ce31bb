"""The table of G-SWM's benchmark, for ``scalor-ppl foresee``."""

import math
from collections.abc import Mapping

from rich.table import Table

from scalor_ppl.cli.tables import ruled_table
from scalor_ppl.evaluation.summed_error import SPANS, SummedError


def summed_table(
    title: str, rows: Mapping[str, SummedError], energies: Mapping[str, tuple[float, ...]]
) -> Table:
    """Summed errors, a row each.

    Args:
        title: of the set.
        rows: by run, or by what a floor knows.
        energies: energy score of the draws of runs by frame, in sides of the frame.
    """
    table = ruled_table(f"{title}: mean distance in sides of the frame, summed", "prediction")
    for span in SPANS:
        table.add_column(f"first {span}", justify="right", no_wrap=True)
    for span in SPANS:
        table.add_column(f"energy, first {span}", justify="right", no_wrap=True)
    table.add_column("matched", justify="right", no_wrap=True)
    table.add_column("lost", justify="right", no_wrap=True)
    for name, error in rows.items():
        energy = energies.get(name, ())
        scores = [sum(energy[:span]) if len(energy) >= span else math.nan for span in SPANS]
        cells = [_figure(error.summed(span)) for span in SPANS] + [_figure(s) for s in scores]
        table.add_row(name, *cells, f"{error.matched} of {error.objects}", f"{error.lost:.1%}")
    return table


def _figure(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"
