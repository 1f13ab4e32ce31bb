"""``scalor-ppl compare --train``: objectives side by side by training with each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.options import INTERRUPTED, PLAIN
from scalor_ppl.cli.progress import shown_training
from scalor_ppl.cli.tables import print_table, ruled_table, shown, wide_console, with_error

if TYPE_CHECKING:
    from scalor_ppl.config.schema import Config
    from scalor_ppl.studies.training_comparison import Plan, Result


def compare_trainings(
    entrants: "Mapping[str, Config]",
    seeds: Sequence[int],
    minutes: float,
    out: Path,
    *,
    clips: int,
    frames: int,
    device: str,
) -> None:
    """Plan, train, score, print and write. Runs that are there go on, or are scored again."""
    from scalor_ppl.studies.comparison_figures import draw_results
    from scalor_ppl.studies.comparison_files import check_files, write_files
    from scalor_ppl.studies.reproduction import check_same
    from scalor_ppl.studies.training_comparison import check_data, judged, planned, to_document
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import CONFIG, load_run

    check_files(out)
    where = pick_device(device)
    check_data(next(iter(entrants.values())), frames)
    console = wide_console()
    with Console(stderr=True).status("timing steps"):
        plans = planned(entrants, minutes, out, where)
    for name, plan in plans.items():
        console.print(plan_line(name, plan))
    results: list[Result] = []
    for seed in seeds:
        for name, plan in plans.items():
            run, config = out / name / f"seed_{seed}", plan.config(seed)
            resume = (run / CONFIG).is_file()
            if resume:
                check_same(config, run)
            outcome = shown_training(config, run, device=device, resume=resume)
            if outcome.interrupted:
                console.print(f"stopped after step {outcome.step}; the same command goes on")
                raise typer.Exit(INTERRUPTED)
            results.append(judged(load_run(run, where), outcome, clips=clips, frames=frames))
    print_table(result_table(results))
    document = to_document(plans, results, device=where, clips=clips, frames=frames)
    write_files(out, document, lambda path: draw_results(results, path))
    console.print(str(out), **PLAIN)


def plan_line(name: str, plan: "Plan") -> str:
    """What was chosen, in words."""
    longest = max(plan.seconds)
    return (
        f"{name}: {plan.train.steps} steps in {plan.predicted:.1f} min; "
        f"{plan.seconds[longest]:.2f} s a step of {longest} frames"
    )


def result_table(results: "Sequence[Result]") -> Table:
    """A row for each training, by estimator, and the mean where there are several."""
    from scalor_ppl.studies.training_comparison import means

    table = ruled_table("the same time for each", "estimator", "presence")
    heads = ("K", "seed", "MOTA", "plain", "count", "MSE", "bound, hard", "steps", "min")
    for head in heads:
        table.add_column(head, justify="right")
    for name, mean in means(results).items():
        own = sorted((r for r in results if r.estimator == name), key=lambda r: r.seed)
        for each in own:
            cells = _cells(each.figures, with_error(each.bound.per_video, each.bound.error))
            table.add_row(name, each.presence, str(each.particles), str(each.seed), *cells)
        if len(own) > 1:
            cells = _cells(mean, shown(mean["bound"], ".1f"))
            table.add_row("", "", "", "mean", *cells, style="bold")
    return table


def _cells(figures: Mapping[str, float | None], bound: str) -> tuple[str, ...]:
    shares = (shown(figures[key], ".3f") for key in ("mota", "plain", "count_mae"))
    rest = (shown(figures[key], form) for key, form in (("steps", ".0f"), ("minutes", ".1f")))
    return (*shares, shown(figures["mse"], ".4f"), bound, *rest)
