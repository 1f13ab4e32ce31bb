"""``scalor-ppl curves``: scores over the course of trainings, in one picture."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scalor_ppl.cli.options import PLAIN, LabelledRuns, check_figure, labelled
from scalor_ppl.results.locks import owned

PANELS = {
    "mota": "MOTA",
    "precision": "precision",
    "recall": "recall",
    "propagation_rate": "propagation rate",
    "discoveries_per_video": "discoveries a clip",
}


def curves(
    runs: LabelledRuns,
    out: Annotated[Path, typer.Option(help="Picture to write: png, svg or pdf.")],
) -> None:
    """Draw MOTA, propagation rate and discoveries over the steps of trainings."""
    from scalor_ppl.studies.curves import draw_curves, read_curve
    from scalor_ppl.training.runs import located, run_config

    check_figure("--out", out)
    with owned(out):
        lines = {}
        for label, run in labelled(runs).items():
            run_config(run)
            lines[label] = read_curve(located(run))
        draw_curves(lines, PANELS, out)
    Console().print(str(out), **PLAIN)
