"""``scalor-ppl evaluate``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from scalor_ppl.cli.options import Device, Run, Threads, use_threads

from scalor_ppl.evaluation import Scores
from scalor_ppl.inference.runs import load_run
from scalor_ppl.inference.scoring import score
from scalor_ppl.inference.sources import open_data
from scalor_ppl.inference.training import pick_device
from scalor_ppl.results.files import written_whole

COLUMNS = {
    "mota": ".3f",
    "precision": ".3f",
    "recall": ".3f",
    "id_switches": "d",
    "idf1": ".3f",
    "hota": ".3f",
    "count_mae": ".3f",
    "mse": ".4f",
    "propagation_rate": ".3f",
}


def evaluate(
    run: Run,
    data: Annotated[
        str | None, typer.Option(help="Set or path; the run's own by default.", metavar="NAME|PATH")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="How many clips.")] = 100,
    frames: Annotated[int, typer.Option(min=1, help="Length of each.")] = 10,
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score a run's tracks on clips with ground truth that were never trained on."""
    use_threads(threads)
    program = load_run(run, pick_device(device))
    settings = program.config.data
    if data is not None:
        settings = settings.model_copy(update={"source": data})
    scores = score(program, open_data(settings, "test"), clips=clips, frames=frames)
    Console().print(score_table(scores, f"{settings.source}: {clips} clips of {frames} frames"))
    if out is not None:
        with written_whole(out) as path:
            path.write_text(json.dumps({k: v.to_dict() for k, v in scores.items()}, indent=2))


def score_table(scores: Mapping[str, Scores], title: str) -> Table:
    """The figures by scoring rule."""
    table = Table("rule", *COLUMNS, title=title)
    for rule, figures in scores.items():
        table.add_row(rule, *(f"{getattr(figures, name):{f}}" for name, f in COLUMNS.items()))
    return table
