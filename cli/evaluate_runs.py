"""``scalor-ppl evaluate`` of several runs: figures of each as they come, and their mean."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from scalor_ppl.cli.options import PLAIN
from scalor_ppl.cli.score_tables import mean_table, show_evaluated
from scalor_ppl.cli.side_by_side import told_as_they_come
from scalor_ppl.cli.tables import print_table
from scalor_ppl.files import written_whole

if TYPE_CHECKING:
    from scalor_ppl.studies.evaluating import Evaluation


def evaluate_runs(
    asked: "Mapping[str, Evaluation]", out: Path | None, *, jobs: int, scheduler: str | None
) -> None:
    """Score, print and write; see `studies.evaluating.evaluate_run`.

    Args:
        asked: by the runs' names.
        out: file of the figures of those that could be scored; none writes none.
        jobs, scheduler: where, see `parallel.tasks.connected`.

    Raises:
        UserError: no worker can be had.
        typer.Exit: some were not scored.
    """
    from scalor_ppl.parallel.tasks import connected, run_tasks
    from scalor_ppl.studies.evaluating import evaluate_run

    names, found = list(asked), {}
    with (
        connected(min(jobs, len(asked)), scheduler) as client,
        told_as_they_come(len(asked), "runs", "evaluated", "begin again") as tally,
        closing(
            run_tasks(evaluate_run, [each.anywhere() for each in asked.values()], client)
        ) as results,
    ):
        for result in results:
            name = names[result.index]
            if result.value is None:
                tally.refused(f"{name}: {result.error}", fault=result.fault)
            else:
                tally.succeeded()
                found[name] = result.value
                show_evaluated(result.value, asked[name], name)
        found = {name: found[name] for name in names if name in found}
        if len(found) > 1:
            print_table(mean_table(found))
        if out is not None:
            document = {name: each.to_dict() for name, each in found.items()}
            with written_whole(out) as path:
                path.write_text(json.dumps(document, indent=2))
            Console().print(str(out), **PLAIN)
