"""``scalor-ppl compare --programs RUN...``: programs of any kind side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.names import check_once
from scalor_ppl.cli.options import PLAIN
from scalor_ppl.cli.tables import (
    plus_minus,
    print_table,
    ruled_table,
    shown,
    wide_console,
)
from scalor_ppl.results.locks import owned_folder

if TYPE_CHECKING:
    from scalor_ppl.studies.systems.judge import JudgingQuestion
    from scalor_ppl.studies.systems.programs import ComparedProgram

SIGMAS = "The runs have different model.sigma: their bounds do not compare."


def compare_programs(
    runs: Sequence[Path],
    question: "JudgingQuestion",
    data: str | None,
    data_dir: Path | None,
    out: Path,
    *,
    realism: int | None,
    observe: int,
    device: str,
) -> None:
    """Judge, time, print, write, and draw one clip as each program sees and imagines it.

    Args:
        runs: folders of trained runs.
        question: on how much they are judged.
        data: set or path; that of the first run where none is given.
        data_dir: folder of the MNIST files.
        out: folder for the figures and the sheet.
        realism: videos that are sampled of each, to be told from real ones; none samples none.
        observe: frames of the clip that are seen before the rest is imagined.
        device: as ``pick_device`` takes it.
    """
    from scalor_ppl.data.spread import spread_clips
    from scalor_ppl.realism.sides import RealismQuestion
    from scalor_ppl.studies.comparison_files import check_files, write_files
    from scalor_ppl.studies.systems.programs import (
        compare_side_by_side,
        same_sigma,
        to_programs_document,
    )
    from scalor_ppl.studies.systems.sheet import check_observed, side_by_side
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import load_run
    from scalor_ppl.training.sources import chosen, open_data

    check_once(runs)
    check_files(out)
    check_observed(observe, question.frames)
    samples = None if realism is None else RealismQuestion(realism, question.frames)
    where = pick_device(device)
    folders = {str(run): run for run in runs}
    # Programs are compared by what their networks say alone.
    programs = {name: load_run(run, where, refine=0) for name, run in folders.items()}
    first = next(iter(programs.values()))
    settings = chosen(first.config.data, data, folder=data_dir)
    source = open_data(settings, "test")
    clips = spread_clips(source, question.clips, question.frames)
    with owned_folder(out):
        with Console(stderr=True).status("measuring") as status:
            rows = compare_side_by_side(
                programs,
                folders,
                clips,
                question,
                realism=samples,
                say=lambda text: status.update(f"measuring {text}"),
            )
        print_table(programs_table(rows, question), wide_console())
        if not same_sigma(rows):
            Console().print(SIGMAS, **PLAIN)
        document = to_programs_document(
            rows, programs, question, samples, settings.model_dump(mode="json")
        )
        clip = clips.clip(0, question.frames).video
        labels = {f"{each.name}\n{Path(name).name}": each for name, each in programs.items()}
        if len(labels) < len(programs):
            labels = {f"{each.name}\n{name}": each for name, each in programs.items()}
        write_files(out, document, lambda path: side_by_side(labels, clip, path, observed=observe))
    Console().print(str(out), **PLAIN)


def programs_table(rows: "Sequence[ComparedProgram]", question: "JudgingQuestion") -> Table:
    """A row for each run; differences of bounds are to the first, clip by clip."""
    first = rows[0].judgement
    title = (
        f"{len(first.errors)} held-out clips of {question.frames} frames. NLL bound: -log p(x) is "
        f"at most so much, nats a pixel over the sequence ({first.bound.particles} particles, "
        f"{first.bound.clips} clips)"
    )
    heads = ("sigma", "NLL bound", "over the first", "MSE", "see [ms]", "step [ms]")
    realism = ("AUC", "floor") if any(row.auc is not None for row in rows) else ()
    table = ruled_table(title, "run", "program", "objects", "parameters", *heads, *realism)
    table.add_column("trained [min]")
    for row in rows:
        mine = row.judgement
        compares = mine is not first and mine.sigma == first.sigma
        cells = [
            row.run,
            mine.program,
            "yes" if row.finds else "no",
            f"{mine.parameters:,}",
            f"{mine.sigma:g}",
            plus_minus(mine.nll_bound, mine.nll_error, ".3f"),
            plus_minus(*mine.over(first), ".3f") if compares else "",
            plus_minus(mine.mse, mine.mse_error, ".5f"),
            f"{1e3 * row.forward:.0f}",
            f"{1e3 * row.step:.0f}",
        ]
        if realism:
            cells += [shown(row.auc, ".3f"), shown(row.auc_floor, ".3f")]
        table.add_row(*cells, shown(row.minutes, ".1f"))
    return table
