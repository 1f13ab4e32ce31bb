"""``scalor-ppl reproduce table-2``: systems trained for the same time, on the same clips."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.options import INTERRUPTED, PLAIN
from scalor_ppl.cli.progress import say, shown_training
from scalor_ppl.cli.tables import plus_minus, print_table, ruled_table, shown, wide_console
from scalor_ppl.errors import UserError
from scalor_ppl.results.locks import owned_folder

if TYPE_CHECKING:
    from scalor_ppl.programs import Program
    from scalor_ppl.studies.systems.cells import Cell, CellWork
    from scalor_ppl.studies.systems.table import SystemsTable

OTHER_DATA = (
    "The paper's figures are of data of its own, with a constant that it does not state: only "
    "differences down a column say something."
)


def reproduce_table(
    table: "SystemsTable",
    out: Path,
    results: Path,
    *,
    sets: str | None,
    systems: str | None,
    seeds: Sequence[int],
    minutes: float,
    runs: Sequence[str],
    video: Path | None,
    folder: Path | None,
    amounts: tuple[int, int, int],
    device: str,
) -> None:
    """Check everything, then train and judge set by set, print, and add lines to the results.

    Args:
        table: which.
        out: folder of runs, judgements and sheets.
        results: file of lines.
        sets: names separated by commas; none takes all whose data are given.
        systems: likewise.
        seeds: of the trainings.
        minutes: that each is planned for.
        runs: in place of trainings, ``SYSTEM[/SET]=RUN``.
        video: recording, for sets that want one.
        folder: of the MNIST files.
        amounts: clips, clips that are bounded, particles.
        device: as ``pick_device`` takes it.
    """
    from scalor_ppl.studies.ledger import check_ledger
    from scalor_ppl.studies.systems.cells import CellWork, check_cells, parse_given
    from scalor_ppl.studies.systems.entries import SystemEntry
    from scalor_ppl.studies.systems.judge import JudgingQuestion
    from scalor_ppl.training.devices import pick_device

    columns, left_out = _columns(table, sets, video, folder)
    rows = parse_choice("--systems", systems, list(table.systems))
    question = JudgingQuestion(*amounts, frames=table.frames)
    work = CellWork(table, question, out, pick_device(device), video, folder)
    cells = table.cells(columns, rows)
    given = parse_given(runs, cells)
    check_ledger(results, SystemEntry)
    with owned_folder(out):
        check_cells(work, cells, given)
        for reason in left_out:
            say(reason)
        for column in columns:
            own = [row for each, row in cells if each == column]
            here = {row: given[column, row] for row in own if (column, row) in given}
            _column(work, column, own, here, seeds, minutes, results, device)
    if table.paper:
        Console().print(OTHER_DATA, **PLAIN)


def _columns(
    table: "SystemsTable", sets: str | None, video: Path | None, folder: Path | None
) -> tuple[list[str], list[str]]:
    """The sets that are asked for, and why others are left out where none are named."""
    if sets is not None:
        return parse_choice("--sets", sets, list(table.sets)), []
    left_out = {
        name: "--video" if clips.recorded else "--data-dir"
        for name, clips in table.sets.items()
        if (clips.recorded and video is None) or (clips.of_digits and folder is None)
    }
    reasons = [f"{name} is left out: it wants {option}" for name, option in left_out.items()]
    return [name for name in table.sets if name not in left_out], reasons


def _column(
    work: "CellWork",
    column: str,
    rows: Sequence[str],
    given: Mapping[str, Path],
    seeds: Sequence[int],
    minutes: float,
    results: Path,
    device: str,
) -> None:
    """The cells of one set, its table, its lines and its sheet."""
    from scalor_ppl.studies.ledger import append_entry
    from scalor_ppl.studies.systems.cells import SHEET, given_cell
    from scalor_ppl.studies.systems.entries import system_entry
    from scalor_ppl.studies.systems.sheet import side_by_side

    found: list[tuple[Cell, Program, Path]] = []
    for row, run in given.items():
        with Console(stderr=True).status(f"{column}, {row}: judging"):
            program, cell = given_cell(work, column, row, run)
        found.append((cell, program, run))
    trained = [row for row in rows if row not in given]
    found += _trained(work, column, trained, seeds, minutes, device)
    found.sort(key=lambda each: rows.index(each[0].row))
    if not found:
        return
    # Not the run's own: one that ships with the package knows no folder of digits.
    source = work.held_out(column, work.config(column, found[0][0].row))
    print_table(column_table(work, column, [cell for cell, _, _ in found]), wide_console())
    for cell, _, run in found:
        if not append_entry(results, system_entry(work, cell, run, found[0][0])):
            Console().print(f"{results} has the line of {column}, {cell.row} already", **PLAIN)
    # One program a system: that of the first seed.
    first = {cell.row: program for cell, program, _ in reversed(found)}
    titles = {work.table.systems[row].title: first[row] for row in rows if row in first}
    sheet = work.out / column / SHEET
    frames = work.question.frames
    side_by_side(titles, source.clip(0, frames).video, sheet, observed=frames // 2)
    Console().print(str(sheet), **PLAIN)


def _trained(
    work: "CellWork",
    column: str,
    rows: Sequence[str],
    seeds: Sequence[int],
    minutes: float,
    device: str,
) -> "list[tuple[Cell, Program, Path]]":
    """Train and judge the cells of a set for which no run is given."""
    from scalor_ppl.studies.reproduction import check_same
    from scalor_ppl.studies.systems.cells import CELL, TRAINED, Cell, run_folder
    from scalor_ppl.studies.training_comparison import planned
    from scalor_ppl.training.runs import CONFIG

    found: list[tuple[Cell, Program, Path]] = []
    if not rows:
        return found
    configs = {row: work.config(column, row) for row in rows}
    with Console(stderr=True).status(f"{column}: timing steps"):
        plans = planned(configs, minutes, work.out / column, work.device)
    for seed in seeds:
        for row, plan in plans.items():
            run, config = run_folder(work, column, row, seed), plan.config(seed)
            say(f"{column}, {row}, seed {seed}: {config.train.steps} steps, {minutes:g} min")
            resume = (run / CONFIG).is_file()
            if resume:
                check_same(config, run)
            outcome = shown_training(config, run, device=device, resume=resume)
            if outcome.interrupted:
                say(f"stopped after step {outcome.step}; the same command goes on")
                raise typer.Exit(INTERRUPTED)
            with Console(stderr=True).status("judging"):
                source = work.held_out(column, config)
                program, judgement = work.judged(run / CELL, run, source)
            measured = (outcome.step, outcome.minutes, minutes, judgement)
            found.append((Cell(column, row, seed, TRAINED, *measured), program, run))
    return found


def column_table(work: "CellWork", column: str, cells: "Sequence[Cell]") -> Table:
    """The systems on one set, and the mean of each over seeds.

    Args:
        work: of the table.
        column: name of the set.
        cells: of that set, system by system; differences are to the first.
    """
    from scalor_ppl.inference.bounds import standard_error

    clips, first = work.table.sets[column], cells[0].judgement
    title = (
        f"{clips.title}: {len(first.errors)} held-out clips of {work.question.frames} frames, "
        f"sigma {clips.sigma:g}\n"
        "NLL bound: -log p(x) is at most so much, nats a pixel over the sequence "
        f"({first.bound.particles} particles, {first.bound.clips} clips)\n"
        f"= {first.floor:.2f} (every value hit) + misfit (squared error) + rest\n"
        "rest = what latents cost + what drawing them adds to the misfit, less what the best of "
        "many draws saves"
    )
    heads = (
        "presence",
        "misfit, rest (latents, draws)",
        "over the first",
        "MSE",
        "paper's NLL",
        "its MSE",
        "steps",
        "min (of)",
    )
    table = ruled_table(title, "system", "seed", "NLL bound", *heads)
    for row in dict.fromkeys(cell.row for cell in cells):
        own = [cell for cell in cells if cell.row == row]
        for cell in own:
            table.add_row(*_cells_of(work, cell, cells[0]))
        if len(own) > 1:
            bounds = [cell.judgement.nll_bound for cell in own]
            errors = [cell.judgement.mse for cell in own]
            nll = plus_minus(sum(bounds) / len(own), standard_error(bounds), ".3f")
            mse = plus_minus(sum(errors) / len(own), standard_error(errors), ".5f")
            table.add_row("", "mean", nll, "", "", "", mse, style="bold")
    for row, figures in work.table.paper.items():
        if row not in {cell.row for cell in cells} and column in figures:
            paper = (shown(figures[column].nll, ".2f"), shown(figures[column].mse, ".4f"))
            known = work.table.systems.get(row)
            title = row if known is None else known.title
            table.add_row(f"{title} (paper only)", *[""] * 6, *paper)
    return table


def _cells_of(work: "CellWork", cell: "Cell", first: "Cell") -> tuple[str, ...]:
    """The row of a cell."""
    mine, paper = cell.judgement, work.table.figures_of_paper(cell.column, cell.row)
    title = work.table.systems[cell.row].title
    planned = "" if cell.budget is None else f" ({cell.budget:g})"
    return (
        title if cell.budget is not None else f"{title}, {cell.origin}",
        str(cell.seed),
        plus_minus(mine.nll_bound, mine.nll_error, ".3f"),
        mine.bound.presence or "none",
        f"{mine.misfit:.3f}, {mine.rest:.3f} ({mine.latents:.3f}, {mine.drawn:.3f})",
        "" if cell is first else plus_minus(*mine.over(first.judgement), ".3f"),
        plus_minus(mine.mse, mine.mse_error, ".5f"),
        shown(paper.nll, ".2f"),
        shown(paper.mse, ".4f"),
        str(cell.steps),
        shown(cell.minutes, ".1f") + planned,
    )


def parse_choice(option: str, text: str | None, known: Sequence[str]) -> list[str]:
    """Names separated by commas, in the order of the known ones; all where none are given.

    Raises:
        UserError: one is not known.
    """
    from scalor_ppl.config.settings import nearest

    if text is None:
        return list(known)
    names = {part.strip() for part in text.split(",")}
    for name in names:
        if name not in known:
            raise UserError(f"{option} {text}: there is no {name!r}{nearest(name, list(known))}")
    return [name for name in known if name in names]
