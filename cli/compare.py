"""``scalor-ppl compare``: objectives side by side, on trained runs or by training with each."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.names import check_once
from scalor_ppl.cli.options import (
    INTERRUPTED,
    PLAIN,
    ConfigName,
    DataFolder,
    Device,
    Settings,
    Threads,
    nested,
    parse_seeds,
    use_threads,
)
from scalor_ppl.cli.progress import shown_training
from scalor_ppl.cli.tables import print_table, ruled_table, wide_console
from scalor_ppl.errors import UserError
from scalor_ppl.files import check_writable, written_whole
from scalor_ppl.results.locks import owned_folder

if TYPE_CHECKING:
    from scalor_ppl.config.schema import Config
    from scalor_ppl.inference.gradients import Noise
    from scalor_ppl.studies.comparison import Question, Row, Tail
    from scalor_ppl.studies.training_comparison import Plan, Result

TWO_MODELS = (
    "Relaxed and hard presence are two models: values of one do not compare with values of the "
    "other."
)


def compare(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Folders of trained runs.", show_default=False)
    ] = None,
    train: Annotated[bool, typer.Option("--train", help="Train with each estimator.")] = False,
    estimators: Annotated[
        str | None,
        typer.Option(help="Separated by commas: elbo,iwae,vimco; with --train also scalor."),
    ] = None,
    particles: Annotated[
        str | None, typer.Option(help="Separated by commas: 1,5,25; with --train one number: 5.")
    ] = None,
    clips: Annotated[
        int | None, typer.Option(min=1, help="Held-out clips: 10; with --train 100.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Length of each.")] = 10,
    data: Annotated[
        str | None,
        typer.Option(help="Set or path; that of the first run by default.", metavar="NAME|PATH"),
    ] = None,
    gradients: Annotated[int | None, typer.Option(min=2, help="Draws of the gradient: 20.")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Clips of the batch that it is of: 2.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the draws: 0.")] = None,
    config: ConfigName = None,
    settings: Settings = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.001, help="Of training, for each: 10.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Of the trainings: 0,1,2.")] = None,
    data_dir: DataFolder = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder: runs/compare; with --train runs/compare-train.")
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Compare objectives on trained runs: bounds, noise of gradients, time.

    With --train: train with each objective from the same start, for the same time, and compare
    what they reach (--config, --set, --minutes, --seeds).
    """
    from scalor_ppl.programs.configuration import resolve
    from scalor_ppl.studies.comparison import Question
    from scalor_ppl.studies.training_comparison import entrant

    use_threads(threads)
    mine = {"--data": data, "--gradients": gradients, "--batch": batch, "--seed": seed}
    theirs = {"--config": config, "--set": settings, "--minutes": minutes, "--seeds": seeds}
    _refuse(mine if train else theirs, "does not go with --train" if train else "needs --train")
    names = parse_names(estimators or ("elbo,scalor,iwae,vimco" if train else "elbo,iwae,vimco"))
    counts = parse_particles(particles or ("5" if train else "1,5,25"))
    if train:
        if runs:
            raise UserError(f"--train makes its own runs: leave {runs[0]} out")
        if config is None:
            raise UserError("--train needs --config: a preset's name, or a TOML file")
        if len(counts) > 1:
            raise UserError(f"--particles {particles}: with --train give one number")
        out = out or Path("runs/compare-train")
        folder = None if data_dir is None else str(data_dir)
        base = resolve(config, settings or [], nested(data__folder=folder))
        with owned_folder(out):
            compare_trainings(
                {name: entrant(base, name, counts[0]) for name in names},
                parse_seeds(seeds or "0,1,2"),
                minutes or 10.0,
                out,
                clips=clips or 100,
                frames=frames,
                device=device,
            )
        return
    if not runs:
        raise UserError("give runs to compare on, or --train with --config to train new ones")
    question = Question(
        names, counts, clips or 10, frames, gradients or 20, batch or 2, 0 if seed is None else seed
    )
    out = out or Path("runs/compare")
    with owned_folder(out):
        compare_runs(runs, question, data, data_dir, out, device)


def _refuse(options: Mapping[str, Any], reason: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise UserError(f"{name} {reason}")


def parse_names(text: str) -> tuple[str, ...]:
    """``elbo,iwae`` as registered names, each once."""
    from scalor_ppl.studies.comparison import check_estimators

    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    check_estimators(names)
    return names


def parse_particles(text: str) -> tuple[int, ...]:
    """``1,5,25`` as numbers, each once, from few to many."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UserError(f"--particles {text}: give numbers from 1 separated by commas, e.g. 1,5,25")
    return tuple(sorted({int(part) for part in parts}))


# ------------------------------------------------------------------------------ on trained runs


def compare_runs(
    runs: Sequence[Path],
    question: "Question",
    data: str | None,
    data_dir: Path | None,
    out: Path,
    device: str,
) -> None:
    """Measure, print and write."""
    from scalor_ppl.objectives.estimators import ESTIMATORS
    from scalor_ppl.studies.comparison import compare_run, to_document
    from scalor_ppl.studies.comparison_figures import draw_comparison
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import load_run
    from scalor_ppl.training.sources import chosen, open_data

    if not question.cases():
        least = max(ESTIMATORS[name].least_particles for name in question.estimators)
        raise UserError(f"these estimators need at least {least} particles: --particles 5,25")
    check_once(runs)
    _check_out(out)
    where = pick_device(device)
    # Objectives are compared as training has them: on what the networks say alone.
    programs = {str(run): load_run(run, where, refine=0) for run in runs}
    # The same clips for all: those of the first run, where nothing else is said.
    first = next(iter(programs.values()))
    settings = chosen(first.config.data, data, folder=data_dir)
    source = open_data(settings, "test")
    for program in programs.values():
        program.check_fits(source.name, source.height, source.width, source.channels)
    console = wide_console()
    rows: list[Row] = []
    tails: list[Tail] = []
    with Console(stderr=True).status("measuring") as status:
        for name, program in programs.items():
            measured = compare_run(
                name, program, source, question, lambda text: status.update(f"measuring {text}")
            )
            rows += measured[0]
            tails += measured[1]
    for name in programs:
        print_table(comparison_table(name, [row for row in rows if row.run == name]))
        for tail in tails:
            if tail.run == name:
                console.print(tail_line(tail))
        console.print()
    console.print(TWO_MODELS)
    document = to_document(question, programs, settings.model_dump(mode="json"), rows, tails)
    with written_whole(out / "compare.json") as path:
        path.write_text(json.dumps(document, indent=2, allow_nan=False))
    draw_comparison(rows, out / "compare.png")
    console.print(str(out), **PLAIN)


def comparison_table(title: str, rows: "Sequence[Row]") -> Table:
    """A row for each estimator, presence and K of one run."""
    from scalor_ppl.studies.comparison import is_bound

    table = ruled_table(title, "estimator", "presence")
    heads = ("K", "bound [nats]", "ESS", "guide SNR", "guide var")
    for head in (*heads, "model SNR", "model var", "ms"):
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(
            row.estimator,
            row.presence,
            str(row.particles),
            with_error(row.bound, row.error) if is_bound(row.estimator) else "objective, no bound",
            f"{row.effective:.1f}",
            *_noise(row.guide),
            *_noise(row.model),
            f"{row.milliseconds:.0f}",
        )
    return table


def _noise(noise: "Noise") -> tuple[str, str]:
    return _shown(noise.snr, ".2f"), f"{noise.variance:.1e}"


def tail_line(tail: "Tail") -> str:
    """The weights' tail in words."""
    from scalor_ppl.studies.pareto import LIMIT

    return (
        f"Pareto k-hat, {tail.presence} presence: median {tail.median:.1f}, above {LIMIT} in "
        f"{tail.share:.0%} of {len(tail.k_hat)} clips ({tail.draws} draws a clip)."
    )


# ----------------------------------------------------------------------------------- by training


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
    from scalor_ppl.studies.reproduction import check_same
    from scalor_ppl.studies.training_comparison import check_data, judged, planned, to_document
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import CONFIG, load_run

    _check_out(out)
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
    with written_whole(out / "compare.json") as path:
        path.write_text(json.dumps(document, indent=2, allow_nan=False))
    draw_results(results, out / "compare.png")
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
            cells = _cells(mean, _shown(mean["bound"], ".1f"))
            table.add_row("", "", "", "mean", *cells, style="bold")
    return table


def _cells(figures: Mapping[str, float | None], bound: str) -> tuple[str, ...]:
    shares = (_shown(figures[key], ".3f") for key in ("mota", "plain", "count_mae"))
    rest = (_shown(figures[key], form) for key, form in (("steps", ".0f"), ("minutes", ".1f")))
    return (*shares, _shown(figures["mse"], ".4f"), bound, *rest)


# ------------------------------------------------------------------------------------ the output


def _check_out(out: Path) -> None:
    for name in ("compare.json", "compare.png"):
        check_writable(out / name)


def with_error(value: float | None, error: float | None) -> str:
    """``-12.3 +- 4.5``, as far as there are such: one clip has no error."""
    shown = _shown(value, ".1f")
    return shown if error is None or math.isnan(error) else f"{shown} +- {error:.1f}"


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"
