"""``scalor-ppl reproduce`` of experiments: figures and a verdict for each as it is done."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from scalor_ppl.cli.options import INTERRUPTED, PLAIN
from scalor_ppl.cli.progress import shown_training
from scalor_ppl.cli.score_tables import score_table
from scalor_ppl.cli.side_by_side import trained_side_by_side

if TYPE_CHECKING:
    from scalor_ppl.studies.reproduction import Reproduced, Reproduction


def reproduce_rows(
    asked: "Sequence[Reproduction]", *, jobs: int = 1, scheduler: str | None = None
) -> None:
    """Train, score and print; see `studies.reproduction.reproduce_run`.

    Args:
        asked: experiments with their seeds.
        jobs, scheduler: where, see `parallel.tasks.connected`.

    Raises:
        UserError: the only one cannot be done, or no worker can be had.
        typer.Exit: some were not done.
    """
    from scalor_ppl.studies.reproduction import reproduce_run

    if len(asked) == 1 and scheduler is None:
        _show(asked[0], reproduce_run(asked[0], shown_training))
        return
    go_on = "the same command goes on"
    with trained_side_by_side(
        reproduce_run, asked, "runs", "reproduced", go_on, jobs=jobs, scheduler=scheduler
    ) as (tally, results):
        for result in results:
            own = asked[result.index]
            if result.value is None:
                tally.refused(f"{own.title}: {result.error}", fault=result.fault)
            elif result.value.outcome.interrupted:
                tally.stopped = True
                break
            else:
                tally.succeeded()
                _print(own, result.value)


def _show(asked: "Reproduction", reproduced: "Reproduced") -> None:
    """Print what became of the only one.

    Raises:
        typer.Exit: a signal ended it.
    """
    if reproduced.outcome.interrupted:
        step = reproduced.outcome.step
        Console().print(f"stopped after step {step}; the same command goes on", **PLAIN)
        raise typer.Exit(INTERRUPTED)
    _print(asked, reproduced)


def _print(asked: "Reproduction", reproduced: "Reproduced") -> None:
    """The figures of every trial, and whether they are what was to be reached."""
    from scalor_ppl.studies.reproduction import verdict

    console = Console()
    for trial in asked.experiment.trials:
        scores, entry, new = reproduced.trials[trial.title]
        if not new:
            console.print(f"{asked.results} has this line already", **PLAIN)
        title = f"{asked.experiment.title}, {trial.title}, seed {asked.seed}"
        console.print(score_table(scores, title))
        console.print(verdict(asked.experiment, trial, entry), **PLAIN)
