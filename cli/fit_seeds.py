"""``scalor-ppl fit --seeds``: several fits of one video, told of as they come."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from scalor_ppl.cli.options import PLAIN
from scalor_ppl.cli.side_by_side import trained_side_by_side

if TYPE_CHECKING:
    from scalor_ppl.report.seeds import SeedFit


def fit_seeds(asked: "Sequence[SeedFit]", *, jobs: int, scheduler: str | None) -> None:
    """Train, track and report with each seed; see `report.seeds.fit_seed`.

    Args:
        asked: one for each seed.
        jobs, scheduler: where, see `parallel.tasks.connected`.

    Raises:
        UserError: no worker can be had.
        typer.Exit: some were not done.
    """
    from scalor_ppl.report.rehearsal import REPORT
    from scalor_ppl.report.seeds import fit_seed

    go_on = "go on with --resume, --seeds and --out"
    with trained_side_by_side(
        fit_seed, asked, "fits", "done", go_on, jobs=jobs, scheduler=scheduler
    ) as (tally, results):
        for result in results:
            own = asked[result.index]
            if result.value is None:
                tally.refused(f"{own.run}: {result.error}", fault=result.fault)
            elif not result.value:
                tally.stopped = True
                break
            else:
                tally.succeeded()
                Console().print(str(own.run / REPORT), **PLAIN)
